"""Takes thoughts away from an answer in whatever marks a model writes them, and the marks around the answer that follows them."""

import regex

from pipeline.scoring.answer_text import THOUGHT_START
from pipeline.scoring.turn_marks import own_turn
from pipeline.store.records import Example

BREAKS = r"(?:[^\S\n]*\n)*"
FLAGS = regex.IGNORECASE | regex.DOTALL
SIGNS = ("<", "[", "◁", "analysis", "Here")
"""One of these is in every mark."""
NAMES = r"think|thinking|seed:think|longcat_think"
WORDS = r"thoughts?|reasoning|reflection|scratchpad|inner_monologue"
"""Tags that other texts may have too: they hold thoughts where a text begins with them."""
OPEN = regex.compile(
    rf"\s*(?:<(?:{NAMES})>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING|inner_prefix)\|>|<unused94>(?:thought\b)?|<\|channel>thought\b)",
    FLAGS,
)
CLOSE = regex.compile(
    rf"(?:</(?:{NAMES})>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING|inner_suffix)\|>|<unused95>|<channel\|>){BREAKS}", FLAGS
)
"""Marks of DeepSeek and Qwen, Mistral, Kimi, OpenThinker, Cohere, Apertus, MedGemma and Gemma."""
OPEN_WORD = regex.compile(rf"\s*<({WORDS})>", FLAGS)
CLOSE_WORD = regex.compile(rf"</({WORDS})>{BREAKS}", FLAGS)
OWN_WORDS = regex.compile(r"\s*Here(?:'s|’s| is) my thought process:")
ANSWER_BEHIND = regex.compile(rf"\n\s*Here(?:'s|’s| is) my response:{BREAKS}")
"""Granite writes sentences in place of marks."""
ANALYSIS = regex.compile(
    rf"(?:<\|start\|>assistant\s*)?<\|channel\|>analysis<\|message\|>.*?(?:<\|end\|>{BREAKS}|(?=<\|start\|>|<\|channel\|>)|\Z)",
    regex.DOTALL,
)
"""A thought of gpt-oss."""
FINAL = regex.compile(r"(?:<\|start\|>assistant\s*)?<\|channel\|>final[^\n<]*(?:<\|constrain\|>[^\n<]*)?<\|message\|>")
MESSAGE_END = regex.compile(r"<\|(?:end|return|start|channel)\|>")
GLUED = regex.compile(r"\s*analysis(?=\S)")
GLUED_FINAL = regex.compile(r"assistantfinal|assistant(?=(?:commentary)?\s?to=)")
"""The same where control tokens are left out, as generation does: `analysisWe add.assistantfinal5`."""
GLUED_WORDS = regex.compile(
    r"\s*analysis(?:(?:The|This|We|Users?|I|It|Let|Need|Just|So|They|You|Hmm|Okay)\b|[A-Z][a-z]*[,’']?\s+[a-z]|(?!\p{ASCII})\p{L})"
)
"""What a thought begins with, unlike the rest of a name such as `analysisResult`."""
ANSWER = r"(?:<(?:answer|final_answer)>|<\|begin_of_solution\|>|<\|START_(?:RESPONSE|TEXT)\|>)"
ANSWER_END = r"(?:</(?:answer|final_answer)>|<\|end_of_solution\|>|<\|END_(?:RESPONSE|TEXT)\|>)"
TAGGED = regex.compile(rf"[^<]*?{ANSWER}(?P<answer>(?:(?!{ANSWER}).)*?){ANSWER_END}\s*\Z", FLAGS)
"""An answer in tags of its own, behind words at most."""
TAGGED_TO_END = regex.compile(rf"\s*{ANSWER}(?P<answer>[^<]*)\Z", FLAGS)
"""The same without its end, which may have been a stop string."""
TAG = regex.compile(r"</?(?:answer|final_answer)>", FLAGS)


def bare_answer(text: str, example: Example) -> str | None:
    """The answer in the model's own turn, without the thoughts before it and the tags around it.

    Nothing where thoughts are not ended, None where it is not certain which turn is the answer. Where a right answer consists of thoughts
    alone, or has tags inside, these belong to the answers.
    """
    turn = own_turn(text, example)
    if turn is None or not any(sign in turn for sign in SIGNS):
        return turn
    right = [(answer, without_thoughts(answer)) for answer in example.right_answers]
    bare = (
        turn if any(answer.strip() and not rest.strip() and not is_broken_off(answer) for answer, rest in right) else without_thoughts(turn)
    )
    is_content = any(TAG.search(rest) and not TAG.match(rest.lstrip()) for _, rest in right)
    return bare if is_content else untagged(bare)


def is_broken_off(text: str) -> bool:
    """Whether a text opens a thought by the commonest mark and never ends it, as no right answer does."""
    return bool(THOUGHT_START.match(text)) and not CLOSE.search(text)


def without_thoughts(text: str) -> str:
    """What follows the thoughts of a text; nothing where they are not ended."""
    for after in (after_analysis, after_glued, after_marks, after_words, after_sentence):
        text = after(text)
    return text


def untagged(text: str) -> str:
    """The answer between tags that say that it is one, else the text."""
    while match := TAGGED.match(text) or TAGGED_TO_END.match(text):
        text = str(match["answer"])
    return text


def after_analysis(text: str) -> str:
    """The final message of gpt-oss; where it has none yet, its calls of tools and other messages but thoughts."""
    final = FINAL.search(text)
    if final and "to=" not in text[: final.start()]:
        rest = text[final.end() :]
        return rest[: end.start()] if (end := MESSAGE_END.search(rest)) else rest
    return str(ANALYSIS.sub("", text))


def after_glued(text: str) -> str:
    """The same where control tokens are left out."""
    if not GLUED.match(text):
        return text
    if final := GLUED_FINAL.search(text):
        return text[final.end() :]
    return "" if GLUED_WORDS.match(text) else text


def after_marks(text: str) -> str:
    """What follows the last mark that ends thoughts; the one that opens them may stand in the prompt."""
    if ends := [*CLOSE.finditer(text)]:
        return text[ends[-1].end() :]
    return "" if OPEN.match(text) else text


def after_words(text: str) -> str:
    """The text without thoughts in tags that other texts may have too: it begins with them, or with what they end."""
    if opened := OPEN_WORD.match(text):
        return str(regex.sub(rf"<{opened[1]}>.*?(?:</{opened[1]}>{BREAKS}|\Z)", "", text, flags=FLAGS))
    closed = CLOSE_WORD.search(text)
    return text[closed.end() :] if closed and f"<{closed[1]}>".lower() not in text.lower() else text


def after_sentence(text: str) -> str:
    """What follows the sentence by which Granite ends its thoughts."""
    if not OWN_WORDS.match(text):
        return text
    return text[answer.end() :] if (answer := ANSWER_BEHIND.search(text)) else ""
