"""Finds the part of a model's text that is the answer: without further questions that the model asks itself, and without cues.

Models that were not tuned repeat the cue of the prompt ("Topics: earn"), write markdown, and continue with a question of their own.
"""

from functools import lru_cache

import regex

from pipeline.metrics import words
from pipeline.store.records import Example

NEXT_QUESTION = regex.compile(
    r"^[#*\s>]*(?:question|q|instructions?|input|user|human|problem|example \d+|exercise|系统|问题|问)\s*\d*\s*[:：]", regex.IGNORECASE
)
"""A line that begins another question."""
LINE_CUE = regex.compile(r"^\s*(\p{L}[\w '’/-]{0,40}[:：])")
"""`Note:` at the start of a line of the prompt."""
MARKUP = r"[\s*_`~#>\"'“”„«»‘’「」『』(\[{.\-–—•·▪◦:：]*"
"""What may precede an answer without being part of it."""
ANSWER_CUES = (
    r"(?:(?:final|correct|right|best|my|the)\s+){0,3}(?:answer|solution|result|response|output|label|choice|réponse|respuesta|antwort)"
)


THOUGHT_START = regex.compile(r"\s*<think(?:ing)?>")
THOUGHT_END = regex.compile(r"</think(?:ing)?>(?:[^\S\n]*\n)*")


def without_thoughts(text: str) -> str:
    """What a reasoning model says after its thoughts, whose start tag may stand in the prompt; nothing where it never ends them."""
    if ends := list(THOUGHT_END.finditer(text)):
        return text[ends[-1].end() :]
    return "" if THOUGHT_START.match(text) else text


def unified(text: str) -> str:
    """The text with one spelling for what looks the same: `words.composed`, straight apostrophes and plain line ends."""
    return words.composed(text).replace("’", "'").replace("\r\n", "\n")


@lru_cache(maxsize=1024)
def cues(prompt: str) -> tuple[str, tuple[str, ...]]:
    """(the cue that ends a prompt, as `Team:`, or nothing; the cues that begin its other lines)."""
    lines = [line.strip() for line in unified(prompt).splitlines() if line.strip()]
    last = lines[-1] if lines and lines[-1].endswith((":", "：")) and len(lines[-1]) <= 60 else ""
    heads = {match[1].casefold() for line in lines if (match := LINE_CUE.match(line))}
    return last, tuple(sorted(heads - {last.casefold()}))


def answer_part(text: str, example: Example) -> str:
    """`before_next_question`, as `unified` spells it."""
    return before_next_question(unified(text), example)


def before_next_question(text: str, example: Example) -> str:
    """The text up to the first line that begins another question: one of the prompt's own cues, or a word such as `Question:`."""
    heads = cues(example.text)[1]
    lines: list[str] = []
    for line in text.split("\n"):
        plain = unified(line)
        if any(line_before.strip() for line_before in lines) and (
            NEXT_QUESTION.match(plain) or (heads and plain.strip(" *#>\t").casefold().startswith(heads))
        ):
            break
        lines.append(line)
    return "\n".join(lines)


def without_cue(line: str, example: Example) -> str:
    """A line without the cue that ends the prompt, or `Answer:`, at its start."""
    last = cues(example.text)[0]
    names = [regex.escape(last.rstrip(":：").strip()), ANSWER_CUES] if last else [ANSWER_CUES]
    return str(regex.sub(rf"^[\s*_#>\"-]*(?:{'|'.join(names)})[*_\s]*[:：][*_]*\s*", "", line, count=1, flags=regex.IGNORECASE))


def lines(text: str, example: Example) -> list[str]:
    """The lines of the answer that are not blank, without the cue."""
    part = answer_part(text, example)
    return [bare for line in part.splitlines() if (bare := without_cue(line, example).strip())]
