"""Decides which of several numbers a text comes to; None where nothing singles one out.

What singles one out: the result of an equation, a word such as `total` or `so`, being the only number that neither prompt nor text held
before, the noun that the prompt asks for, or a first sentence that is nothing but a number. `96 loaves, 288 dollars` says neither.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_asides, number_sums
from pipeline.scoring.number_words import CHECK, POSTPOSED, SENTENCE_END, SO, TOTAL
from pipeline.store.records import Example

Value = str | None
"""A canonical spelling; None for a run that is not read."""
MAX_SENTENCES = 40
"""Sentences that are looked at, from the last one on: a model may repeat itself for ever."""
WORD_PROBLEM = 2
"""Numbers of a prompt that make it a word problem, to which the last number of a text is the answer by convention."""
UNIT_WORDS = 1
"""Words that may stand beside the number of a sentence that is nothing else."""
OPENING = regex.compile(
    r"^[\s*_`>•·-]*(?:(?:it|that|this|he|she|there)(?:'s|\s+is|\s+are|\s+was)\s+|about\s+|approximately\s+|around\s+|roughly\s+)?",
    regex.IGNORECASE,
)
GIVEN = regex.compile(r"\b(?:for|in|per|of|at|among|between|across)\s+(?:the\s+|all\s+|these\s+)?[$€£]?$", regex.IGNORECASE)
"""What may precede a number that the question gives: `12 dollars for 4 pens`."""
YEAR = re.compile(r"1[0-9]\d\d|20\d\d")
OR = regex.compile(r"\b(?:or|oder|ou|o|или|lub|eller)\b|或|または|또는|\bأو\b", regex.IGNORECASE)
NOUN = regex.compile(r"[\s*_]*(\p{L}{3,})")
QUESTION_NOUN = regex.compile(
    r"\b(?:how\s+many|number\s+of|wie\s*viele|anzahl\s+der|combien\s+d(?:e\s+|['’])|cuánt[oa]s|quant[ie]|quant[oa]s|hoeveel|сколько|ile|hur\s+många)\s*(\p{L}{3,})",
    regex.IGNORECASE,
)
STEM = 5
"""Letters by which a noun is known again: `pupils` and `pupil`."""
FUNCTION_WORDS = frozenset(
    (
        "are is was were have has had will would can left remain and but the for with from that which who take takes walk walks more less "
        "fewer in on"
    ).split()
)


class Sentence(NamedTuple):
    """A sentence and its numbers."""

    line: int
    whole: str
    text: str
    """Without what is beside its point."""
    runs: list[re.Match[str]]
    values: list[Value]


def read(part: str, example: Example, mark: numbers.Mark | None) -> Value:
    """The number that a text comes to.

    Args:
        part: a `numbers.plain` text.
    """
    of_prompt = {numbers.value_of(match, mark) for match in numbers.runs(numbers.plain(example.text))} - {None}
    sentences = numbered(part, example.text, of_prompt, mark)
    if not sentences:
        return None
    *earlier, final = sentences
    if number_asides.asks_year(example.text):
        return only({match[0] for sentence in sentences for match in sentence.runs if YEAR.fullmatch(match[0])} or {*final.values})
    results = [value for sentence in earlier if (value := number_sums.last_result(sentence.whole, mark)) is not None]
    before = {value for sentence in earlier for value in sentence.values}
    value = single(final, before, of_prompt, mark)
    if value is None and results and results[-1] in final.values:
        value = results[-1]
    if value is None:
        value = named(final, example.text)
    opening = opens(sentences, of_prompt)
    if value is None:
        return None if is_conclusion(final, mark) else opening
    others = before - of_prompt - {value}
    if not others or is_conclusion(final, mark):
        return value if not others or opening in (None, value) or is_equation(final, mark) else None
    if opening is not None:
        return opening
    by_line = bool(of_prompt) and final.line > earlier[-1].line
    if value in before | of_prompt:
        return value if value in results[-1:] or (by_line and not results) else None
    is_chain = bool(results) or by_line or len(of_prompt) >= WORD_PROBLEM
    return value if (by_line and len(earlier) > 1) or number_sums.is_computed(value, others, of_prompt, mark, is_chain) else None


def numbered(part: str, prompt: str, of_prompt: set[Value], mark: numbers.Mark | None) -> list[Sentence]:
    """The last sentences of a text that have numbers, in order, without checks of the result behind them."""
    whole = number_asides.without_marks(part)
    if (check := CHECK.search(whole)) and next(numbers.runs(whole[: check.start()]), None):
        whole = whole[: check.start()]
    places = [(place, text) for place, line in enumerate(whole.splitlines()) for text in SENTENCE_END.split(line)]
    sentences: list[Sentence] = []
    for place, text in places[-MAX_SENTENCES:]:
        bare = number_asides.without_asides(number_asides.without_denied(text), prompt, of_prompt, mark)
        if runs := list(numbers.runs(bare)):
            sentences.append(Sentence(place, text, bare, runs, [numbers.value_of(match, mark) for match in runs]))
    return sentences


def single(sentence: Sentence, before: set[Value], of_prompt: set[Value], mark: numbers.Mark | None) -> Value:
    """The one number that a sentence comes to."""
    so = behind_so(sentence, of_prompt)
    if (result := number_sums.last_result(sentence.text, mark)) is not None:
        return so if so is not None and sentence.text.rfind("=") < behind(sentence) else result
    values = set(sentence.values)
    if len(values) == 1:
        return sentence.values[0]
    if not regex.search(r"\p{L}|\|", sentence.text):
        return None  # a bare list
    pairs = zip(sentence.runs, sentence.values, strict=True)
    loose = {value for match, value in pairs if value not in of_prompt or not GIVEN.search(sentence.text[: match.start()])}
    picks = (total(sentence), only(values - before - of_prompt), so, only(values - of_prompt), only(loose))
    pick = next((pick for pick in picks if pick is not None), None)
    return pick if pick is not None and not is_alternative(sentence, pick) else None


def only(values: set[Value]) -> Value:
    return next(iter(values)) if len(values) == 1 else None


def total(sentence: Sentence) -> Value:
    """The number that a sentence calls the total: behind the word, or right before it."""
    totals: set[Value] = set()
    for word in TOTAL.finditer(sentence.text):
        behind = next((place for place, match in enumerate(sentence.runs) if match.start() >= word.end()), None)
        if behind is not None and not regex.search(r"[,:(]\s*\p{L}+|\band\b", sentence.text[word.end() : sentence.runs[behind].start()]):
            totals.add(sentence.values[behind])
    for place, match in enumerate(sentence.runs):
        if POSTPOSED.match(sentence.text, match.end()):
            totals.add(sentence.values[place])
    return only(totals)


def behind(sentence: Sentence) -> int:
    """Where the last word ends that draws a conclusion; -1 without one."""
    return max((word.end() for word in SO.finditer(sentence.text)), default=-1)


def behind_so(sentence: Sentence, of_prompt: set[Value]) -> Value:
    """The one number behind the last word that draws a conclusion; of several the one that is not given."""
    place = behind(sentence)
    values = {value for match, value in zip(sentence.runs, sentence.values, strict=True) if 0 <= place <= match.start()}
    return only(values) if len(values) == 1 else only(values - of_prompt)


def is_alternative(sentence: Sentence, value: Value) -> bool:
    """Whether a number is one of two of which the sentence does not say which it means, as in `3 or 5` and `from 3 to 5`."""
    for place, (one, other) in enumerate(zip(sentence.runs, sentence.runs[1:], strict=False)):
        first, second = sentence.values[place : place + 2]
        gap = sentence.text[one.end() : other.start()]
        joined = number_sums.is_joined(gap, (first, second), is_lone_pair=len(sentence.runs) == 2) or OR.search(gap)
        if value in (first, second) and first != second and joined:
            return True
    return False


def named(sentence: Sentence, prompt: str) -> Value:
    """The number of what the prompt asks for, where each number has a noun: `3 apples, 5 pears` where it asks how many pears."""
    wanted = {match[1].casefold()[:STEM] for match in QUESTION_NOUN.finditer(prompt)}
    nouns = [NOUN.match(sentence.text, match.end()) for match in sentence.runs]
    if not wanted or any(noun is None or noun[1].casefold() in FUNCTION_WORDS for noun in nouns):
        return None
    return only({value for noun, value in zip(nouns, sentence.values, strict=True) if noun and noun[1].casefold()[:STEM] in wanted})


def is_conclusion(sentence: Sentence, mark: numbers.Mark | None) -> bool:
    """Whether a sentence says that it comes to something: by an equation, or in words."""
    return is_equation(sentence, mark) or bool(SO.search(sentence.text)) or total(sentence) is not None


def is_equation(sentence: Sentence, mark: numbers.Mark | None) -> bool:
    return number_sums.last_result(sentence.whole, mark) is not None


def opens(sentences: list[Sentence], of_prompt: Iterable[Value]) -> Value:
    """The number of a first sentence that is nothing but a number and its unit, where the second is not of that kind as well."""
    bare = [is_bare(sentence.whole, UNIT_WORDS) for sentence in sentences[:2]]
    return sentences[0].values[0] if bare in ([True], [True, False]) and sentences[0].values[0] not in of_prompt else None


def is_bare(text: str, most: int) -> bool:
    """Whether a text is nothing but a number, what may announce it, and so many words behind it at most."""
    start, runs = OPENING.match(text), list(numbers.runs(text))
    if start is None or len(runs) != 1 or start.end() < runs[0].start():
        return False
    return len(regex.findall(r"\p{L}+", text[start.end() :])) <= most
