"""Reads which number a text gives as its answer, as a careful reader does; None where the text does not say it for certain.

`7 out of 10` is 7, `18 = 9 * 2` is 18; of a range (`12-13`), of two numbers with `or` and of a sum without its result nothing is read.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise, takewhile

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_asides, replacements
from pipeline.scoring.answer_text import ANSWER_CUES, after_correction, answer_part, cues, without_cue, without_thoughts
from pipeline.store.records import Example

BOXED = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
BULLET = re.compile(r"^\s*(?:[-*•·▪◦–]|\d{1,2}[.)])\s+")
SHORT_UNIT = 2
"""Words that may follow the number of a first line that is the whole answer."""
GROUNDS = re.compile(r"[^\d\n()=]{0,30}(?:\([^()\n]*\)[\s.!*_]*\Z|[,;]?\s*\b(?:because|since)\b[^.!?\n]*[.!?]?\s*\Z)")
"""What may follow the number of a first line without changing it: how it came about, as in `12 apples (3 boxes of 4)`."""
LABELLED = regex.compile(r"^[\s*_•·-]*\p{L}[\p{L} '’/-]{0,40}[*_]*\s*[:：=][\s*_$€£]*[-+]?\d[\d.,]*[%*_]*(?:\s\p{L}+){0,2}[\s.*_]*$")
TOTAL = regex.compile(
    r"^[\s*_•·-]*(?:grand |the )?(?:total|sum|altogether|overall|in total|gesamt|summe|итого|всего|合计|合計)\b", regex.IGNORECASE
)
GIVEN = regex.compile(r"\b(?:for|in|per|of|at|among|between|across)\s+(?:the\s+|all\s+|these\s+)?[$€£]?$", regex.IGNORECASE)
"""What may precede a number that the question gives: `12 dollars for 4 pens`."""
MAX_CUES = 20
"""Cues that are looked at, from the last one on: a model may repeat itself for ever."""
PROMPT_SCALE = regex.compile(r"(?<![\w.,/-])[01](?:\.0)?(?:\s*\([^()\n]*\))?\s*(?:-|–|to|and|bis|à)\s*(\d{1,3})(?:\.0)?(?![\w.,/-]*\d)")
"""A scale in a prompt that asks for a number on it, such as `from 0 (not at all) to 5`."""
OPERATOR = regex.compile(
    r"(?:(?:\s+\p{L}+){1,2}\s*(?=[+*×·÷]))?[\s)]*"
    r"(?:[-+*/×x·÷±]|\\times|\\cdot|times|plus|minus|divided\s+by|multiplied\s+by|to|or|oder|ou|o|или|或)"
    r"[\s(\\$€£]*",
    regex.IGNORECASE,
)
"""What joins two numbers to a sum, a range or a choice of which neither is the answer."""
ALTERNATIVE = regex.compile(
    r"\s?(?:\p{L}{1,12}\.?)?,?\s?(?:\bor\b|\boder\b|\bou\b|\bили\b|或者?|または|또는|\bأو\b)\s?\W{0,2}", regex.IGNORECASE
)
"""What stands between two numbers of which the text does not say which it means: `3 kg or`."""
RANGE = regex.compile(r"\s?(?:\p{L}{1,12}\s)?(?:-|–|—|\bto\b|\bbis\b|\band\b|\bà\b|至|到|から)\s?", regex.IGNORECASE)
"""The same between the only two numbers of a line."""
RESULT = regex.compile(
    r"=|→|->|\b(?:which|that|this)\s+(?:is|equals|makes|gives)\b|\b(?:equals|makes|gives|comes\s+to)\b",
    regex.IGNORECASE,
)
"""What stands between a sum and what it comes to."""


def read(text: str, example: Example, mark: numbers.Mark | None) -> str | None:
    """The number after the last `####`, in the last box, after the last cue, or alone or with its grounds on the first line; else the last.

    `$1,018.50` is `1018.5`. None if that number can be read in two ways.
    """
    part = without_scale(numbers.plain(answer_part(without_thoughts(text), example)), example)
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
        value = labelled_total(labelled, mark)
        return value if value is not None or labelled == numbered else last(part, mark, example)
    alone = numbers.find(first, mark)
    if len(alone) == 1 and len(regex.findall(r"\p{L}+", first)) <= SHORT_UNIT:
        return alone[0].value
    opening = next(numbers.runs(first), None)
    if opening and not first[: opening.start()].strip(" *_`") and GROUNDS.match(first, opening.end()):
        return alone[0].value
    return last(part, mark, example)


def labelled_total(lines: list[str], mark: numbers.Mark | None) -> str | None:
    """The one number that several labelled ones say, or the one that is labelled as their total; None where none is."""
    values = {numbers.read(line, mark) for line in lines}
    if len(values) == 1:
        return values.pop()
    totals = {numbers.read(line, mark) for line in lines if TOTAL.match(line)}
    return totals.pop() if len(totals) == 1 else None


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
    if (result := result_of(sentence, mark)) is not None:
        return True, result
    if len(matches) > 1 and joins(sentence, matches, 0, mark):
        return True, None
    after_equals = [match for match in matches if match.start() > sentence.rfind("=")]
    return True, numbers.value_of((after_equals or matches)[0], mark)


def last(part: str, mark: numbers.Mark | None, example: Example) -> str | None:
    """The last number of a text, or what a sum at its end comes to; None where it is one of a range or of a bare list.

    `12 dollars for 4 pens` is 12 where the prompt speaks of 4 and not of 12.
    """
    numbered = (number_asides.without_denied(line) for line in reversed(number_asides.without_marks(part).splitlines()))
    line = next((line for line in numbered if next(numbers.runs(line), None)), "")
    of_prompt = {numbers.value_of(match, mark) for match in numbers.runs(numbers.plain(example.text))} - {None}
    line = number_asides.without_asides(line, example.text, of_prompt, mark)
    matches = list(numbers.runs(line))
    if not matches:
        return None
    if (result := result_of(line, mark, is_last=True)) is not None:
        return result
    values = {numbers.value_of(match, mark) for match in matches}
    is_list = len(values) > 1 and "=" not in line and not regex.search(r"\p{L}", line)
    if is_list or (len(matches) > 1 and joins(line, matches, -2, mark)):
        return None
    value = numbers.value_of(matches[-1], mark)
    if len(values) > 1 and GIVEN.search(line[: matches[-1].start()]):
        others = values - of_prompt - {None}
        return others.pop() if value in of_prompt and len(others) == 1 else value
    return value


def joins(line: str, matches: "list[re.Match[str]]", first: int, mark: numbers.Mark | None) -> bool:
    """Whether the number at this index is joined to the next one; see is_joined."""
    one, other = matches[first], matches[first + 1]
    values = numbers.value_of(one, mark), numbers.value_of(other, mark)
    return is_joined(line[one.end() : other.start()], values, is_lone_pair=len(matches) == 2)


def is_joined(gap: str, values: tuple[str | None, str | None], is_lone_pair: bool) -> bool:
    """Whether two numbers that differ are a sum, a range or a choice of which neither is the answer.

    Args:
        gap: what stands between them.
        is_lone_pair: whether their line holds no other.
    """
    if values[0] == values[1]:
        return False
    return bool(OPERATOR.fullmatch(gap) or ALTERNATIVE.fullmatch(gap) or (is_lone_pair and RANGE.fullmatch(gap)))


def result_of(sentence: str, mark: numbers.Mark | None, is_last: bool = False) -> str | None:
    """What the sum of a sentence comes to, on whichever side of its `=` it stands; None without a sum.

    Args:
        is_last: whether the sum must stand at the end.
    """
    sides = RESULT.split(sentence)
    if len(sides) < 2:
        return None
    matches = [list(numbers.runs(side)) for side in sides]
    if is_last and not (len(matches[-1]) > 1 and is_sum(sides[-1], matches[-1])):
        return None
    if not any(is_sum(side, numbered) for side, numbered in zip(sides, matches, strict=True)):
        return None
    for side, numbered in zip(reversed(sides), reversed(matches), strict=True):
        if numbered and not is_sum(side, numbered):
            return numbers.value_of(numbered[-1] if side is not sides[-1] else numbered[0], mark)
    return None


def is_sum(side: str, matches: "list[re.Match[str]]") -> bool:
    """Whether a side of an equation is a sum: operators between its numbers."""
    return len(matches) > 1 and any(OPERATOR.fullmatch(side[one.end() : other.start()]) for one, other in pairwise(matches))
