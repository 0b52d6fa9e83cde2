"""Reads sums: which numbers of a sentence are joined by operators, a range or a choice, and what an equation comes to."""

import operator
import re
from collections.abc import Collection, Iterable
from fractions import Fraction
from itertools import pairwise, product

import regex

from pipeline.metrics import numbers
from pipeline.scoring.number_question import unit_behind

OPERATOR = regex.compile(
    r"(?:/\p{L}+)?(?:(?:\s+\p{L}+){1,4}\s*(?=[+*×·÷/]|-\s))?[\s)]*"
    r"(?:[-+*/×x·÷±]|\\times|\\cdot|times|plus|minus|divided\s+by|multiplied\s+by|to|or|oder|ou|o|или|或)"
    r"[\s(\\$€£]*",
    regex.IGNORECASE,
)
"""What joins two numbers to a sum, a range or a choice of which neither is the answer."""
ALTERNATIVE = regex.compile(
    r"\s?(?:\p{L}{1,12}\.?)?,?\s?(?:\bor\b|\boder\b|\bou\b|\bили\b|或者?|または|또는|\bأو\b)\s?\W{0,2}", regex.IGNORECASE
)
"""What stands between two numbers of which the text does not say which it means: `3 kg or`."""
RANGE = regex.compile(
    r"\s?(?:\p{L}{1,12}\s)?(?:-|–|—|\bto\b|\bbis\b|\band\b|\bund\b|\bet\b|\by\b|\bи\b|\bà\b|至|到|から)\s?", regex.IGNORECASE
)
"""The same between the only two numbers of a line."""
RESULT = regex.compile(
    r"=|→|->|≈|≃|\\approx|\bround(?:s|ed)\s+(?:up\s+|down\s+|off\s+)?to\b(?!\s+(?:the|one|two|three|\d+\s+(?:decimal|significant|digit|place)))|\b(?:which|that|this)\s+(?:is|equals|makes|gives)\b|\b(?:equals|makes|gives|comes\s+to)\b",
    regex.IGNORECASE,
)
"""What stands between a sum and what it comes to."""
ROUNDED = regex.compile(r"≈|≃|\\approx")
"""Behind a sum its result; behind a fraction alone its rounding, which is not what the answer says: `1/6 ≈ 0.167`."""
MIXED = {
    ("h", "min"),
    ("min", "s"),
    ("ft", "in"),
    ("lb", "oz"),
    ("y", "mo"),
    ("w", "d"),
    ("d", "h"),
    ("km", "m"),
    ("m", "cm"),
    ("kg", "g"),
    ("l", "ml"),
}
"""Units of one amount, the larger one first: `2 hours and 30 minutes`."""
BETWEEN_UNITS = regex.compile(r"[\s*_]?°?\p{L}+\s*(?:,\s*)?(?:(?:and|und|et|y|e|и)\s+)?", regex.IGNORECASE)
IN_OTHER_UNITS = regex.compile(r"[\s*_]?°?\p{L}+(?:/\p{L}+)?\s*[=≈]\s*")
BETWEEN_EQUATIONS = regex.compile(r"[,;，；]\s*(?!\d{3}\b)|\band\s")
MAX_OPERANDS = 40
"""Numbers that are tried as operands."""
EQUAL_AT_END = regex.compile(r"(?:=|→)[\s$€£\\*_({]*$")
OR_BEFORE = regex.compile(
    r"\b(?:or|oder|ou|или|and)\s+\p{L}?\s*=[^=]*$|(?<!\p{L})(\p{L})\s*=[^=]*,\s+(?!\1)\p{L}\s*=[^=]*$", regex.IGNORECASE
)
"""Names two values, as in `x = 5 or x = -5`."""


def joins(line: str, matches: "list[re.Match[str]]", first: int, mark: numbers.Mark | None) -> bool:
    """Whether the number at this index is joined to the next one; see is_joined."""
    one, other = matches[first], matches[first + 1]
    values = numbers.value_of(one, mark), numbers.value_of(other, mark)
    if first in mixed(line, matches):
        return True
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


def mixed(line: str, matches: "list[re.Match[str]]") -> set[int]:
    """Which of the numbers are parts of an amount in two units, such as `2 hours and 30 minutes`."""
    units = [unit_behind(line, match.end()) for match in matches]
    parts: set[int] = set()
    for place, (one, other) in enumerate(pairwise(matches)):
        if (units[place], units[place + 1]) in MIXED and BETWEEN_UNITS.fullmatch(line[one.end() : other.start()]):
            parts |= {place, place + 1}
    return parts


def is_conversion(line: str, matches: "list[re.Match[str]]") -> bool:
    """Whether the two numbers of a line are one amount in two units, such as `2 km = 1.24 miles`."""
    sides = RESULT.split(line)
    if len(matches) != 2 or any(is_sum(side, list(numbers.runs(side))) for side in sides):
        return False
    units = [unit_behind(line, match.end()) for match in matches]
    is_equal = IN_OTHER_UNITS.fullmatch(line[matches[0].end() : matches[1].start()])
    return is_equal is not None and None not in units and units[0] != units[1]


def result_of(sentence: str, mark: numbers.Mark | None) -> str | None:
    """What the sum of a sentence comes to, on whichever side of its `=` it stands; None without a sum."""
    sides = RESULT.split(sentence)
    if len(sides) < 2:
        return None
    matches = [list(numbers.runs(side)) for side in sides]
    counts = has_operator if ROUNDED.search(sentence) else is_sum
    if not any(counts(side, numbered) for side, numbered in zip(sides, matches, strict=True)):
        return None
    for side, numbered in zip(reversed(sides), reversed(matches), strict=True):
        is_value = not is_sum(side, numbered) or (side is sides[-1] and len(numbered) == 1)  # `P(6) = 1/6` comes to 1/6
        if numbered and is_value:
            return numbers.value_of(numbered[-1] if side is not sides[-1] else numbered[0], mark)
    return None


def last_result(sentence: str, mark: numbers.Mark | None) -> str | None:
    """What the equations of a sentence come to: the last sum, or a name such as `x = 5` at its end."""
    if (result := result_of(sentence, mark)) is not None:
        return result
    matches = list(numbers.runs(sentence))
    if not matches:
        return None
    before, behind = sentence[: matches[-1].start()], sentence[matches[-1].end() :]
    is_named = EQUAL_AT_END.search(before) and not OR_BEFORE.search(before) and not regex.search(r"[=?]", behind)
    return numbers.value_of(matches[-1], mark) if is_named else None


def is_sum(side: str, matches: "list[re.Match[str]]") -> bool:
    """Whether a side of an equation is a sum: operators between its numbers, or a fraction."""
    return any("/" in match[0] for match in matches) or has_operator(side, matches)


def has_operator(side: str, matches: "list[re.Match[str]]") -> bool:
    """Whether an operator stands between two numbers of a side."""
    return len(matches) > 1 and any(OPERATOR.fullmatch(side[one.end() : other.start()]) for one, other in pairwise(matches))


def is_computed(value: str, others: "Collection[str | None]", of_prompt: "Collection[str | None]", is_chain: bool) -> bool:
    """Whether the last of several numbers is computed from those before it; of a chain, whether none of them is computed from it.

    Args:
        others: the numbers before it that are not in the prompt.
        of_prompt: the numbers of the prompt.
        is_chain: whether the text goes step by step, so that the last number counts by convention.
    """
    last, steps, first = fractions([value]), fractions(others), fractions(of_prompt) | {Fraction(2)}
    if not last:
        return False
    direct = derived(first, first)
    forward = not last & direct and bool(last & derived(steps, steps | first))
    backward = bool(last & direct) and bool((steps - direct) & derived(last, last | first))
    return forward or (is_chain and not backward)


def is_independent(sentence: str, mark: numbers.Mark | None) -> bool:
    """Whether a sentence has several equations of which the last uses no result of those before it: `6*4=24, 2*(6+4)=20`."""
    equations = [clause for clause in BETWEEN_EQUATIONS.split(sentence) if last_result(clause, mark) is not None]
    results = {last_result(clause, mark) for clause in equations[:-1]}
    last = [numbers.value_of(match, mark) for match in numbers.runs(equations[-1])] if equations else []
    return bool(results) and results.isdisjoint(last)


def adds_up(value: str, parts: "Iterable[str | None]") -> bool:
    """Whether a number is the sum of others."""
    return fractions([value]) == {sum(fractions(parts), Fraction(0))}


def is_largest(value: str, values: "Iterable[str | None]") -> bool:
    """Whether no number of several is larger than this one of them."""
    return max(fractions(values)) in fractions([value])


def fractions(values: "Iterable[str | None]") -> set[Fraction]:
    """The values of canonical spellings, of either decimal mark."""
    return {Fraction(value.replace(",", ".")) for value in sorted(filter(None, values))[:MAX_OPERANDS]}


def derived(ones: set[Fraction], others: set[Fraction]) -> set[Fraction]:
    """What one operation on a number of each set gives."""
    pairs = [pair for one, other in product(ones, others) for pair in ((one, other), (other, one))]
    results = {operation(one, other) for one, other in pairs for operation in (operator.add, operator.sub, operator.mul)}
    return results | {one * other / 100 for one, other in pairs} | {one / other for one, other in pairs if other}
