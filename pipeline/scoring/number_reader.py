"""Reads which number a text gives as its answer, as a careful reader does; None where the text does not say it for certain.

`7 out of 10` is 7, `18 = 9 * 2` is 18; of a range (`12-13`), of two numbers with `or` and of a sum without its result nothing is read.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_asides, number_conclusion, number_sums, replacements
from pipeline.scoring.answer_text import ANSWER_CUES, after_correction, answer_part, cues, without_cue, without_thoughts
from pipeline.store.records import Example

BOXED = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
BULLET = re.compile(r"^\s*(?:[-*•·▪◦–]|\d{1,2}[.)])\s+")
SHORT_UNIT = 2
"""Words that may follow the number of a first line that is the whole answer."""
GROUNDS = re.compile(r"[^\d\n()=]{0,30}(?:\([^()\n]*\)[\s.!*_]*\Z|[,;]?\s*\b(?:because|since)\b[^.!?\n]*[.!?]?\s*\Z)")
"""What may follow the number of a first line without changing it: how it came about, as in `12 apples (3 boxes of 4)`."""
LABELLED = regex.compile(r"^[\s*_•·-]*\p{L}[\p{L} '’/-]{0,40}[*_]*\s*[:：=][\s*_$€£]*[-+]?\d[\d.,]*[%*_]*(?:\s\p{L}+){0,2}[\s.*_]*$")
NAMED = regex.compile(r"^[\s*_•·-]*\p{L}[\p{L} '’/-]{0,40}[*_]*\s*[:：=]")
TOTAL = regex.compile(
    r"^[\s*_•·-]*(?:grand |the )?(?:total|sum|altogether|overall|in total|gesamt|summe|итого|всего|合计|合計)\b", regex.IGNORECASE
)
MAX_CUES = 20
"""Cues that are looked at, from the last one on: a model may repeat itself for ever."""
PROMPT_SCALE = regex.compile(r"(?<![\w.,/-])[01](?:\.0)?(?:\s*\([^()\n]*\))?\s*(?:-|–|to|and|bis|à)\s*(\d{1,3})(?:\.0)?(?![\w.,/-]*\d)")
"""A scale in a prompt that asks for a number on it, such as `from 0 (not at all) to 5`."""


def read(text: str, example: Example, mark: numbers.Mark | None) -> str | None:
    """The number after the last `####`, in the last box, after the last cue, or alone or with its grounds on the first line; else the last.

    `$1,018.50` is `1018.5`. None if that number can be read in two ways.
    """
    part = without_scale(numbers.plain(before_own_question(answer_part(without_thoughts(text), example), example)), example)
    part = corrected if next(numbers.runs(corrected := after_correction(part)), None) else part
    part = replacements.blanked(part, replacements.start_of_last(part, [match.span() for match in numbers.runs(part)]))
    _, hashes, rest = part.rpartition("####")
    if hashes:
        return stated(next(iter(rest.strip().splitlines()), ""), mark)[1]
    if boxes := BOXED.findall(part):
        return numbers.read(boxes[-1], mark)
    for sentence in after_cues(part, example):
        has_number, value = stated(sentence, mark)
        if has_number:
            return value
    first = next((line for line in part.splitlines() if line.strip()), "")
    first = BULLET.sub("", without_cue(first, example)) if "\n" in part.strip() or not numbers.read(first, mark) else first
    numbered = [line for line in part.splitlines() if next(numbers.runs(line), None)]
    if len(labelled := list(takewhile(LABELLED.match, numbered))) > 1:
        value = labelled_total(labelled, {number.value for number in numbers.find(example.text, mark)}, mark)
        return value if value is not None or labelled == numbered else number_conclusion.read(part, example, mark)
    alone = numbers.find(first, mark)
    if len(alone) == 1 and len(regex.findall(r"\p{L}+", first)) <= SHORT_UNIT and not continues(first, numbered):
        return alone[0].value
    opening = next(numbers.runs(first), None)
    if opening and not first[: opening.start()].strip(" *_`") and GROUNDS.match(first, opening.end()):
        return alone[0].value
    return number_conclusion.read(part, example, mark)


def before_own_question(part: str, example: Example) -> str:
    """The text up to a paragraph in which the model asks itself a question and answers it behind the cue of the prompt.

    All of it where no number stands before that paragraph.
    """
    cue = cues(example.text)[0]
    paragraphs = regex.split(r"(\n\s*\n)", part) if cue else []
    own_question = regex.compile(rf"[?？][\s*_]*\n[\s*_]*{regex.escape(cue)}", regex.IGNORECASE)
    for place in range(2, len(paragraphs), 2):
        before = "".join(paragraphs[:place])
        if own_question.search("".join(paragraphs[place : place + 3])) and next(numbers.runs(numbers.plain(before)), None):
            return before
    return part


def continues(first: str, numbered: list[str]) -> bool:
    """Whether a short first line with a number is one of a series: a sentence, or a name or a bare number with another behind it."""
    if len(numbered) < 2:
        return False
    is_bare, is_next_bare = (number_conclusion.is_bare(line, SHORT_UNIT) for line in (first, numbered[1]))
    return is_next_bare or not (is_bare or NAMED.match(first)) or (not is_bare and NAMED.match(numbered[1]) is not None)


def labelled_total(lines: list[str], of_prompt: set[str | None], mark: numbers.Mark | None) -> str | None:
    """The one number that several labelled ones say, or the one that is labelled as their total, where none but a number of the prompt
    follows; None where none is."""
    values = {numbers.read(line, mark) for line in lines}
    if len(values) == 1:
        return values.pop()
    totals = {numbers.read(line, mark) for line in lines if TOTAL.match(line)}
    is_last = TOTAL.match(lines[-1]) or numbers.read(lines[-1], mark) in of_prompt
    return totals.pop() if len(totals) == 1 and is_last else None


def without_scale(part: str, example: Example) -> str:
    """The text without what names the scale or the whole that a number is a part of: `/5` (if the prompt names it), `out of 5`."""
    for highest in dict.fromkeys(PROMPT_SCALE.findall(example.text)):
        part = regex.sub(rf"(?<=\d)\s?/\s?{highest}(?:\.0+)?(?![\d.,/%:]*\d)", "", part)
    return numbers.without_scale(part)


@lru_cache(maxsize=64)
def cue(last_cue: str) -> "regex.Pattern[str]":
    """Matches what comes before the answer where a text says which it is; last_cue: what the prompt ends with."""
    names = "|".join([ANSWER_CUES, "答案|答え|정답|ответ|الإجابة|उत्तर|คำตอบ", *([regex.escape(last_cue)] if last_cue else [])])
    return regex.compile(rf"(?:{names})(?!\w)[^.\n:：=]{{0,40}}?(?:\bis\b|\bare\b|\bwas\b|[:：=]|->|→|是|为|為|は)+", regex.IGNORECASE)


def after_cues(part: str, example: Example) -> Iterable[str]:
    """The rest of every sentence that says what the answer is, the last one first."""
    pattern = cue(cues(example.text)[0].rstrip(":：").strip())
    for match in reversed(list(pattern.finditer(part))[-MAX_CUES:]):
        yield regex.split(r"\n|[.。!?](?:\s|$)", part[match.end() :], maxsplit=1)[0]


def stated(sentence: str, mark: numbers.Mark | None) -> tuple[bool, str | None]:
    """(whether a sentence that says what the answer is has a number, that number or None): the first that is not denied, or what a sum
    comes to.
    """
    matches = [match for match in numbers.runs(sentence) if not number_asides.DENIED.search(sentence[: match.start()])]
    if not matches:
        return False, None
    if (result := number_sums.result_of(sentence, mark)) is not None:
        return True, result
    if len(matches) > 1 and number_sums.joins(sentence, matches, 0, mark):
        return True, None
    after_equals = [match for match in matches if match.start() > sentence.rfind("=")]
    return True, numbers.value_of((after_equals or matches)[0], mark)
