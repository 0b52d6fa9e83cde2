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
MARKDOWN = regex.compile(r"[*`]+|^\s*(?:[#>]+\s*)+")
MARKUP = r"[\s*_`~#>\"'“”„«»‘’「」『』(\[{.\-–—•·▪◦:：]*"
"""What may precede an answer without being part of it."""
ANSWER_CUES = (
    r"(?:(?:final|correct|right|best|my|the)\s+){0,3}(?:answer|solution|result|response|output|label|choice|réponse|respuesta|antwort)"
)


CORRECTED = regex.compile(
    r"\b(?:(?:no|oh|hmm|actually),?\s+wait|wait(?=[,.!:…—-]|\s+(?:no|actually|that))|scratch\s+that|on\s+second\s+thoughts?|correction(?=\s*:)|"
    r"let\s+me\s+correct\s+(?:that|myself))\b",
    regex.IGNORECASE,
)
"""Takes back what stands before it."""
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
    """`before_next_question` of what follows the prompt where the text repeats it, as `unified` spells it."""
    return before_next_question(unified(without_prompt(text, example)), example)


def plain_line(line: str) -> str:
    """A line without markup and runs of blanks, case folded."""
    return " ".join(MARKDOWN.sub("", unified(line)).split()).casefold()


@lru_cache(maxsize=1024)
def prompt_lines(prompt: str) -> tuple[str, ...]:
    """The lines of a prompt that are not blank, as `plain_line` spells them."""
    return tuple(line for line in map(plain_line, unified(prompt).split("\n")) if line)


@lru_cache(maxsize=1024)
def own_lines(prompt: str) -> tuple[str, ...]:
    """The lines of a prompt that hold a cue and more behind it, as `rating: 5`."""
    lines = prompt_lines(prompt)
    return tuple(dict.fromkeys(line for line in lines if (match := LINE_CUE.match(line)) and line[match.end() :].strip()))


def without_prompt(text: str, example: Example) -> str:
    """What follows the last lines of the prompt, where the text begins with two or more of them; else the text."""
    of_prompt = prompt_lines(example.text)
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if plain_line(line)][: len(of_prompt)]
    written = [plain_line(lines[place]) for place in places]
    for count in range(len(written), 1, -1):
        if of_prompt[-count] != written[0] or written[1 : count - 1] != [*of_prompt[-count + 1 : -1]]:
            continue
        is_whole = written[count - 1] == of_prompt[-1]
        if is_whole or written[count - 1].startswith((of_prompt[-1] + " ", *([of_prompt[-1]] if of_prompt[-1][-1] in ":：" else []))):
            rest = lines[places[count - 1] + is_whole :]
            return "\n".join(rest) if any(line.strip() for line in rest) else text
    return text


def before_next_question(text: str, example: Example) -> str:
    """The text up to the first line that begins another question: one of the prompt's own cues, or a word such as `Question:`.

    The mark of an option (`B:`) begins none, nor does a single line of the prompt, repeated or with a remark behind it; at the end of the
    answer such a line is left out.
    """
    marks = {name.casefold() for name in example.choices if len(name) == 1}
    heads = tuple(head for head in cues(example.text)[1] if head[:-1] not in marks)
    lines = text.split("\n")
    plain = [plain_line(line) for line in lines]
    end = 0
    """Lines up to the last one that is no mere repetition."""
    for place, line in enumerate(lines):
        is_cue = NEXT_QUESTION.match(unified(line)) or (heads and plain[place].startswith(heads))
        if end and is_cue and not is_remark(plain[place:], example):
            break
        if plain[place] and not (end and plain[place] in own_lines(example.text)):
            end = place + 1
    return "\n".join(lines[:end])


def next_question_start(text: str, start: int, example: Example) -> int:
    """Where the prompt's own cues follow each other once more behind a place in the line, as in `sales Ticket: x Team: billing`; else the
    end of the text."""
    last, heads = cues(example.text)
    marks = {name.casefold() for name in example.choices if len(name) == 1}
    names = [head for head in heads if head.rstrip(":：") not in marks]
    if not last or not names:
        return len(text)
    cue = regex.escape(last.rstrip(":：").split()[-1])
    again = regex.compile(rf"(?<!\w)(?:{'|'.join(map(regex.escape, names))})(?=.*{cue}[*_]*[:：])", regex.IGNORECASE | regex.DOTALL)
    return match.start() if (match := again.search(text, start)) else len(text)


def is_remark(plain: list[str], example: Example) -> bool:
    """Whether the first of these lines repeats one of the prompt, maybe with a remark behind it, and the next of the prompt does not
    follow."""
    if plain[0] not in own_lines(example.text):
        return any(plain[0].startswith(row) and not plain[0][len(row)].isalnum() for row in own_lines(example.text))
    of_prompt = prompt_lines(example.text)
    expected = of_prompt[:-1][of_prompt.index(plain[0]) + 1 :][:1]
    rest = [line for line in plain[1:] if line]
    return not (expected and rest and (rest[0] == expected[0] or (len(rest) == 1 and expected[0].startswith(rest[0]))))


def after_correction(part: str) -> str:
    """The text in which blanks stand for all that it takes back, as in `No, wait: yes`."""
    end = max((match.end() for match in CORRECTED.finditer(part)), default=0)
    return str(regex.sub(r"\S", " ", part[:end])) + part[end:]


def without_cue(line: str, example: Example) -> str:
    """A line without the cue that ends the prompt, or `Answer:`, at its start."""
    last = cues(example.text)[0]
    names = [regex.escape(last.rstrip(":：").strip()), ANSWER_CUES] if last else [ANSWER_CUES]
    return str(regex.sub(rf"^[\s*_#>\"-]*(?:{'|'.join(names)})[*_\s]*[:：][*_]*\s*", "", line, count=1, flags=regex.IGNORECASE))


@lru_cache(maxsize=64)
def statement_of(last_cue: str) -> "regex.Pattern[str]":
    """Matches the start of a line that says what a prompt which ends in `City:` asks for: `Sure! The city is `."""
    names = "|".join(["(?:(?:final|correct|right) )?answer", *([regex.escape(last_cue)] if last_cue else [])])
    opening = r"(?:(?:sure|certainly|of course|okay|ok)[!,.]\s+)?(?:(?:so|thus|therefore),?\s+)?(?:(?:the|my)\s+)?"
    return regex.compile(rf"^{opening}(?:{names})\s*(?:\b(?:is|are)\b\s*:?|=|->|→)\s*(?=\S)", regex.IGNORECASE)


def without_statement(line: str, example: Example) -> str:
    """A line without the words that say what it is: `The city is Paris` after a prompt that ends in `City:`."""
    return str(statement_of(cues(example.text)[0].rstrip(":：").strip()).sub("", line, count=1))


def lines(text: str, example: Example) -> list[str]:
    """The lines of the answer that are not blank, without the cue."""
    part = answer_part(text, example)
    return [bare for line in part.splitlines() if (bare := without_cue(line, example).strip())]
