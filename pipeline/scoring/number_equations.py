"""What the equations of a text come to."""

import re
from itertools import pairwise

import regex

from pipeline.metrics import numbers
from pipeline.scoring.number_sentences import FLAGS, Sentence, Value, only

EQUALS = regex.compile(r"=|→|->|\b(?:equals|is\s+equal\s+to|which\s+(?:is|equals|makes|gives))\b")
ROUNDED = regex.compile(r"≈|≃|\\approx|\bround(?:ed|s|ing|\s+(?:up|down|off|to|it|this|that))\b", FLAGS)
OPERATOR = regex.compile(r"[-+*/×x·÷%]|\\times|\\cdot|\\div|\b(?:times|plus|minus|divided|multiplied|of)\b", FLAGS)
BETWEEN = regex.compile(r"(?:(?<!\d),|,(?!\d)|[;，；])\s*|\band\s|\bso\s|\bthen\s", FLAGS)
DETAIL = regex.compile(r"[\s*_]*(?!(?:or|and|oder|und|ou|et)\b)\p{L}[^=<>;,\d]*")
"""Between a result and a number of the question that goes with it: `40 hours to sew 6 skirts`."""
NAMED = regex.compile(r"(?:^|[\s($])\p{L}(?:\([^()]*\))?\s*=[^=]*$")
OR = regex.compile(r"\b(?:or|oder|ou|или)\b", FLAGS)
BECAUSE = regex.compile(r"\b(?:because|since|weil|parce\s+que|porque|потому\s+что)\b", FLAGS)


def last(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None) -> Value:
    """The result of the last equation, where it uses one of those before it and nothing behind it brings another number.

    Args:
        of_prompt: the numbers of the prompt.
    """
    final = sentences[-1]
    *earlier, clause = [clause for sentence in sentences for clause in BETWEEN.split(sentence.text)]
    named = {result(part, of_prompt, mark, may_be_named=True) for part in [*earlier, clause] if NAMED.search(part)} - {None}
    may_be_named = len(named) == 1 and not OR.search(clause)
    value = result(final.text, of_prompt, mark, may_be_named)
    if value is None and "=" not in final.text and len(sentences) > 1:
        value = result(sentences[-2].text, of_prompt, mark, may_be_named)
        return value if {*final.values} == {value} else None
    before = BECAUSE.split(final.text, maxsplit=1)
    if len(before) > 1 and {numbers.value_of(run, mark) for run in numbers.runs(before[0])} - {value}:
        return None
    own = clause if final.text.count("=") > 1 else final.text
    results = {result(part, of_prompt, mark) for part in earlier} - {None}
    return value if not results or value in named or results & numbers_in(own, mark) else None


def chain_result(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None) -> Value:
    """What the equation at the end of a chain of thought comes to, where it computes with what the chain worked out before.

    Numbers behind the result must be known from the prompt or from the equation: `= 6 for 2 tubs and 4 packets`.
    """
    *earlier, final = sentences
    *sides, behind = EQUALS.split(final.text)
    before = " ".join(sides)
    runs = [*numbers.runs(behind)]
    if not earlier or not runs or ROUNDED.search(final.text) or "?" in behind or not numbers_in(before, mark):
        return None
    value, *others = [numbers.value_of(run, mark) for run in runs]
    reason = BECAUSE.split(before, maxsplit=1)
    if len(reason) > 1 and numbers_in(reason[0], mark) - {value}:
        return None
    worked_out = {number for sentence in earlier for number in sentence.values} - of_prompt
    worked_out |= {result(clause, of_prompt, mark) for sentence in earlier for clause in BETWEEN.split(sentence.text)}
    used = numbers_in(before, mark)
    return value if (used & worked_out) - {None} and {*others} <= of_prompt | used | {value, None} and not OR.search(behind) else None


def numbers_in(text: str, mark: numbers.Mark | None) -> set[Value]:
    """The numbers of a text, with both of a fraction."""
    return {numbers.value_of(run, mark) for run in numbers.runs(text.replace("/", " / "))}


def result(text: str, of_prompt: set[Value], mark: numbers.Mark | None, may_be_named: bool = False) -> Value:
    """What the equation at the end of a sentence comes to, as in `3 * 4 = 12 pens`, `12 pens for 4 girls` where the prompt has that 4.

    Args:
        may_be_named: whether `x = 12` counts, too.
    """
    *sides, behind = EQUALS.split(text)
    runs = [*numbers.runs(behind)]
    if not sides or not runs or ROUNDED.search(text) or "?" in behind:
        return None
    if len(sides) == 1 and has_operator(behind, runs):  # 18 = 9 * 2
        return only({numbers.value_of(run, mark) for run in numbers.runs(sides[0])})
    value, *others = [numbers.value_of(run, mark) for run in runs]
    others = [other for other in others if other != value]
    if others and not ({*others} <= of_prompt and DETAIL.fullmatch(behind, runs[0].end(), runs[1].start())):
        return None
    operands = [*numbers.runs(sides[-1])]
    if has_operator(sides[-1], operands):
        return value
    if operands and "/" in operands[-1][0]:
        return value if numbers.value_of(operands[-1], mark) in (None, value) else None
    return value if may_be_named and NAMED.search(f"{sides[-1]}={behind}") else None


def has_operator(text: str, runs: list[re.Match[str]]) -> bool:
    """Whether an operator stands between two numbers of a text that follow each other."""
    return any(OPERATOR.search(text[one.end() : other.start()] + (other["sign"] or "")) for one, other in pairwise(runs))
