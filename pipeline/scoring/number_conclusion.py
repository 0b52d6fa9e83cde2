"""Decides which of several numbers a text comes to; None where nothing singles one out.

What singles one out: the result of an equation, a word such as `total` or `so`, being the only number that neither prompt nor text held
before, the noun, unit or year that the question names, or a first sentence that is nothing but a number. `5 C, i.e. 41 F` says neither.
"""

import re
from typing import NamedTuple

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_asides, number_question, number_sums
from pipeline.scoring.number_words import CHECK, HYPOTHESIS, LABELLED, MOOD, POSTPOSED, SENTENCE_END, SO, TOTAL
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
    r"^[\s*_`>•·-]*(?:(?:it|that|this|he|she|there)(?:'s|\s+is|\s+are)\s+|about\s+|approximately\s+|around\s+|roughly\s+)?",
    regex.IGNORECASE,
)
GIVEN = regex.compile(r"\b(?:for|in|per|of|at|among|between|across)\s+(?:the\s+|all\s+|these\s+)?[$€£]?$", regex.IGNORECASE)
"""What may precede a number that the question gives: `12 dollars for 4 pens`."""
OR = regex.compile(r"\b(?:or|oder|ou|o|или|lub|eller)\b|或|または|또는|\bأو\b", regex.IGNORECASE)
FUNCTION_WORDS = frozenset(
    (
        "are is was were have has had will would can left remain and but the for with from that which who take takes walk walks more less "
        "fewer in on of out"
    ).split()
)


CLAUSE = regex.compile(r";|\b(?:and|but|while|whereas|compared|und|während|et|y|e|и|а)\b", regex.IGNORECASE)


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
    prompt = example.text
    if number_question.asks_year(prompt):
        years: set[Value] = {match[0] for sentence in sentences for match in sentence.runs if number_question.YEARS.fullmatch(match[0])}
        return only(years or {*sentences[-1].values}) or number_sums.last_result(sentences[-1].whole, mark)
    if (year := number_question.year(prompt)) and (of_year := in_year(sentences, year, mark)) is not None:
        return of_year
    value = decided(sentences, prompt, of_prompt, mark)
    labels = labelled(sentences, mark)
    own = only(labels.pop(number_question.subject(prompt) or "", set()))
    if own is not None and own not in of_prompt and (value is None or value in set().union(*labels.values())):
        return own
    *earlier, final = sentences
    if value is None or not earlier or not MOOD.search(final.whole) or is_conclusion(final, of_prompt, mark):
        return value
    before = decided(earlier, prompt, of_prompt, mark)
    others = {other for sentence in earlier for other in sentence.values} - of_prompt
    is_step = not HYPOTHESIS.search(final.whole) and number_sums.is_computed(value, others, of_prompt, is_chain=False)
    if before in (None, value) or is_step:
        return value
    return before if is_equation(earlier[-1], mark) else None


def in_year(sentences: list[Sentence], year: str, mark: numbers.Mark | None) -> Value:
    """The one number that the text gives for the year that the question is about."""
    clauses = [clause for sentence in sentences for clause in CLAUSE.split(sentence.whole)]
    own = [clause for clause in clauses if set(number_question.YEARS.findall(clause)) == {year}]
    values = [{numbers.value_of(match, mark) for match in numbers.runs(clause) if match[0] != year} for clause in own]
    return only(set().union(*values)) if all(len(numbers_of_clause) <= 1 for numbers_of_clause in values) else None


def labelled(sentences: list[Sentence], mark: numbers.Mark | None) -> dict[str, set[Value]]:
    """The numbers that the text gives to a noun, as in `the perimeter is 20`, by the noun."""
    labels: dict[str, set[Value]] = {}
    for sentence in sentences:
        values = {match.start(): value for match, value in zip(sentence.runs, sentence.values, strict=True)}
        labels_by_end = {label.end(): label[1].split()[-1].casefold() for label in LABELLED.finditer(sentence.text)}
        named = [next((labels_by_end[place] for place in (start, start + 1) if place in labels_by_end), None) for start in values]
        for place, (name, value) in enumerate(zip(named, values.values(), strict=True)):
            if name and None not in named[place + 1 : place + 2]:
                labels.setdefault(name, set()).add(value)
    return labels


def decided(sentences: list[Sentence], prompt: str, of_prompt: set[Value], mark: numbers.Mark | None) -> Value:
    """The number that these sentences come to."""
    *earlier, final = sentences
    results = [value for sentence in earlier if (value := number_sums.last_result(sentence.whole, mark)) is not None]
    before = {value for sentence in earlier for value in sentence.values}
    value = single(final, prompt, before, of_prompt, mark)
    if value is None and results and results[-1] in final.values:
        value = results[-1]
    if value is None:
        value = named(final, prompt)
    opening = opens(sentences)
    if value is None:
        return None if is_conclusion(final, of_prompt, mark) else opening
    others = before - of_prompt - {value}
    is_restated = value in of_prompt and bool(before - {value}) and not is_conclusion(final, of_prompt, mark)
    if (not others and not is_restated) or is_conclusion(final, of_prompt, mark):
        return value if not others or opening in (None, value) or is_equation(final, mark) else None
    if opening is not None:
        return opening
    by_line = bool(of_prompt) and final.line > earlier[-1].line
    if value in before | of_prompt:
        return value if value in results[-1:] or (by_line and not results and (value in before or others)) else None
    is_chain = bool(results) or by_line or len(of_prompt) >= WORD_PROBLEM
    return value if (by_line and len(earlier) > 1) or number_sums.is_computed(value, others, of_prompt, is_chain) else None


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
            mixed = number_sums.mixed(bare, runs)
            whole_ones = [match for index, match in enumerate(runs) if index not in mixed]
            values = [numbers.value_of(match, mark) for match in whole_ones] or [None]
            sentences.append(Sentence(place, text, bare, whole_ones or runs[:1], values))
    return [sentence for sentence in sentences if not number_asides.is_date_alone(sentence.whole, prompt)] or sentences


def single(sentence: Sentence, prompt: str, before: set[Value], of_prompt: set[Value], mark: numbers.Mark | None) -> Value:
    """The one number that a sentence comes to."""
    if (amount := in_unit(sentence, prompt)) is not None and number_sums.result_of(sentence.text, mark) is None:
        return amount
    if number_sums.is_conversion(sentence.text, sentence.runs):
        return sentence.values[-1] if sentence.values[-2] in before else None
    so = behind_so(sentence, of_prompt)
    if number_sums.is_independent(sentence.text, mark):
        return so
    if (result := number_sums.last_result(sentence.text, mark)) is not None:
        return so if so is not None and sentence.text.rfind("=") < behind(sentence) else result
    values = set(sentence.values)
    if len(values) == 1:
        return sentence.values[0]
    if not regex.search(r"\p{L}|\|", sentence.text):
        return None  # a bare list
    pairs = zip(sentence.runs, sentence.values, strict=True)
    loose = {value for match, value in pairs if value not in of_prompt or not GIVEN.search(sentence.text[: match.start()])}
    in_all = total(sentence, of_prompt)
    is_later = in_all is not None and behind(sentence) > sentence.runs[sentence.values.index(in_all)].start()
    picks = (so if is_later else None, in_all, only(values - before - of_prompt), so, only(values - of_prompt), only(loose))
    pick = next((pick for pick in picks if pick is not None), None)
    return pick if pick is not None and not is_alternative(sentence, pick) else None


def only(values: set[Value]) -> Value:
    return next(iter(values)) if len(values) == 1 else None


def total(sentence: Sentence, of_prompt: set[Value]) -> Value:
    """The number that a sentence calls the total: behind the word, or right before it."""
    totals: set[Value] = set()
    for word in TOTAL.finditer(sentence.text):
        behind = next((place for place, match in enumerate(sentence.runs) if match.start() >= word.end()), None)
        if behind is not None and not regex.search(r"[,:(]\s*\p{L}+|\band\b", sentence.text[word.end() : sentence.runs[behind].start()]):
            totals.add(sentence.values[behind])
    for place, match in enumerate(sentence.runs):
        if POSTPOSED.match(sentence.text, match.end()):
            totals.add(sentence.values[place])
    value = only(totals)
    return value if value is not None and is_last_or_sum(sentence, value, of_prompt) else None


def is_last_or_sum(sentence: Sentence, value: str, of_prompt: set[Value]) -> bool:
    """Whether what is called a total is the last number of its sentence and the largest new one, or the sum of what follows it."""
    first = sentence.values.index(value)
    after = {number for number in sentence.values[first + 1 :] if number not in (None, value)}
    return number_sums.adds_up(value, after) if after else number_sums.is_largest(value, {*sentence.values} - of_prompt | {value})


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


def in_unit(sentence: Sentence, prompt: str) -> Value:
    """The only number in the unit that the prompt asks for, where every other has another one."""
    unit = number_question.unit(prompt)
    units = [number_question.unit_of(sentence.text, match) for match in sentence.runs]
    is_one = unit and units.count(unit) == 1 < len(units) and FUNCTION_WORDS.isdisjoint(units) and "" not in units
    return sentence.values[units.index(unit)] if is_one and unit else None


def named(sentence: Sentence, prompt: str) -> Value:
    """The number of what the prompt asks for, where each number has a noun: `3 apples, 5 pears` where it asks how many pears."""
    question_nouns = number_question.nouns(prompt)
    nouns = [number_question.NOUN.match(sentence.text, match.end()) for match in sentence.runs]
    if not question_nouns or any(noun is None or noun[1].casefold() in FUNCTION_WORDS for noun in nouns):
        return None
    return only(
        {
            value
            for noun, value in zip(nouns, sentence.values, strict=True)
            if noun and noun[1].casefold()[: number_question.STEM] in question_nouns
        }
    )


def is_conclusion(sentence: Sentence, of_prompt: set[Value], mark: numbers.Mark | None) -> bool:
    """Whether a sentence says that it comes to something: by an equation, or in words."""
    return is_equation(sentence, mark) or bool(SO.search(sentence.text)) or total(sentence, of_prompt) is not None


def is_equation(sentence: Sentence, mark: numbers.Mark | None) -> bool:
    return number_sums.last_result(sentence.whole, mark) is not None


def opens(sentences: list[Sentence]) -> Value:
    """The number of a first sentence that is nothing but a number and its unit, where the second is not of that kind as well."""
    bare = [is_bare(sentence.whole, UNIT_WORDS) for sentence in sentences[:2]]
    return sentences[0].values[0] if bare in ([True], [True, False]) else None


def is_bare(text: str, most: int) -> bool:
    """Whether a text is nothing but a number, what may announce it, and so many words behind it at most."""
    start, runs = OPENING.match(text), list(numbers.runs(text))
    if start is None or len(runs) != 1 or start.end() < runs[0].start():
        return False
    return len(regex.findall(r"\p{L}+", text[start.end() :])) <= most
