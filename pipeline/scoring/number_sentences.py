"""Splits a text into sentences with their numbers, without marks of steps, dates, and what it denies or says in another unit, too."""

import re
from typing import NamedTuple

import regex

from pipeline.metrics import numbers
from pipeline.metrics.struck import in_blanks
from pipeline.scoring import number_question

Value = str | None
"""A canonical spelling; None for a run that is not read."""
FLAGS = regex.IGNORECASE | regex.VERSION1
MAX_SENTENCES = 200
"""Sentences that are looked at, from the last one on: a model may repeat itself for ever."""
STEP = regex.compile(
    r"^([\s*_#>-]*(?:step|schritt|étape|etape|paso|passo|шаг|stap)\s*)\d{1,2}(?=\s*[*_]*\s*[.:：)–—-])", regex.IGNORECASE | regex.MULTILINE
)
LIST_NUMBER = regex.compile(r"^([\s>*_]*)(\d{1,2})(?=[.)][ \t]+\S)", regex.MULTILINE)
DENIED = regex.compile(
    r"(?:\bnot|n't|\brather\s+than|\binstead\s+of|\bnicht|\bstatt|\bpas|\bне|\bniet)\s+(?:[$€£]|\\\$)?$",
    regex.IGNORECASE,
)
"""Stands right before a number that is none of what is meant."""
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|"
    r"januar|februar|märz|mai|juni|juli|oktober|dezember)"
)
DATE = regex.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s+)?{MONTH}\b\.?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?(?:1[5-9]|20)\d\d\b", regex.IGNORECASE
)
CHECK = regex.compile(
    r"(?:^|(?<=[.!?\n(]\s*))[*_\s]*(?:to\s+check|let(?:'s|\s+us|\s+me)\s+(?:check|verify)|check(?:ing)?\b|verif(?:y|ication)|we\s+can\s+(?:check|verify)|"
    r"probe:|vérification|comprobación|проверка|verifica)\b",
    FLAGS,
)
"""Begins a check of the result."""
ABBREVIATION = r"\b(?:approx|ca|no|nr|vs|etc|st|mr|mrs|ms|dr|i\.?e|e\.?g|d\.?\s?h|z\.?\s?b|fig|eq|sq|pp?|incl|max|min|av|avg|ч|т\.?е|р|г)"
IN_YEAR = regex.compile(r"\b(?:in|im\s+jahr|en|em|nel|в)\s+(?:1[5-9]|20)\d\d(?=\s*(?:[.,;:!)]|$))", FLAGS)
"""A year that says when something was so."""
AMOUNT = regex.compile(r"(?<![\w.,/$€£-])\d+\s\p{L}{3,}+")
OF_THEM = regex.compile(r"\d\S*\s+(?:\p{L}+\s+)?of\s+(?:them|these|those|which|whom)\b", FLAGS)
SENTENCE_END = regex.compile(rf"(?<!{ABBREVIATION}\.)(?<=[.!?][*_]{{0,2}})\s+(?![hB]\.)|[;。！？；।]\s*", FLAGS)
UNIT_BEHIND = r"\s?(°?\p{L}+(?:/\p{L}+)?)"
SAME_AMOUNT = regex.compile(
    rf"(?P<first>-?\d[\d.,]*\d|-?\d){UNIT_BEHIND}(?P<gap>(?:\s\p{{L}}+)?\s*[=≈(]\s*(?:about\s|ca\.\s|≈\s?|~)?)(?P<second>-?\d[\d.,]*\d|-?\d){UNIT_BEHIND}(?!\p{{L}}|\s*[-+*/])",
    FLAGS,
)
"""One amount in two units: `2,737 metres (1.7 miles)`, `2 h = 120 min`."""


class Sentence(NamedTuple):
    """A sentence and its numbers."""

    text: str
    runs: list[re.Match[str]]
    values: list[Value]


def without_asides(part: str, prompt: str) -> str:
    """A `numbers.plain` text in which blanks stand for the numbers that are certainly beside its point."""
    return without_question(without_dates(without_other_units(without_marks(part), prompt), prompt), prompt)


def split(part: str, mark: numbers.Mark | None) -> list[Sentence]:
    """The sentences of a text that have numbers, in order."""
    texts = [text for line in part.splitlines() for text in SENTENCE_END.split(line)]
    sentences = [Sentence(text, runs := spoken(text), [numbers.value_of(run, mark) for run in runs]) for text in texts[-MAX_SENTENCES:]]
    return [sentence for sentence in sentences if sentence.runs]


def spoken(text: str) -> list[re.Match[str]]:
    """The numbers of a text that it does not deny."""
    return [run for run in numbers.runs(text) if not DENIED.search(text[max(0, run.start() - 30) : run.start()])]


def without_marks(part: str) -> str:
    """The text in which blanks stand for the numbers of steps and of a list that counts from 1."""
    bare = STEP.sub(lambda match: match[1] + " " * (len(match[0]) - len(match[1])), part)
    counts = [int(match[2]) for match in LIST_NUMBER.finditer(bare)]
    if counts and counts == [*range(1, len(counts) + 1)]:
        bare = LIST_NUMBER.sub(lambda match: match[1] + " " * len(match[2]), bare)
    return bare if next(numbers.runs(bare), None) else part


def without_question(text: str, prompt: str) -> str:
    """The text in which blanks stand for numbers beside another one that the question has with the same word, as in `4 pens cost 12`.

    An equation keeps its numbers.
    """
    question = numbers.plain(number_question.question(prompt)).casefold()
    amounts = {match[0] for match in AMOUNT.finditer(question)}
    lines = [
        line if "=" in line else AMOUNT.sub(lambda match: in_blanks(match) if match[0].casefold() in amounts else match[0], line)
        for line in text.split("\n")
    ]
    bare = "\n".join(lines)
    return bare if next(numbers.runs(bare), None) and not OF_THEM.search(text) else text


def without_dates(text: str, prompt: str) -> str:
    """The text in which blanks stand for dates beside another number; a year stays where the prompt asks for one."""
    bare = str(DATE.sub(lambda date: " " * (len(date[0]) - 4) + date[0][-4:], text))
    if number_question.asks_year(prompt):
        return bare
    without = str(IN_YEAR.sub(in_blanks, DATE.sub(in_blanks, text)))
    return without if next(numbers.runs(without), None) else bare


def without_other_units(text: str, prompt: str) -> str:
    """The text in which blanks stand for an amount that it gives in the unit that the prompt asks for as well."""
    unit = number_question.unit(prompt)
    for match in reversed([*SAME_AMOUNT.finditer(text)]):
        units = [number_question.UNITS.get(match[name].casefold()) for name in (2, 5)]
        if None not in units and units.count(unit) == 1:
            start, end = match.span("second" if units[0] == unit else "first")
            text = text[:start] + " " * (end - start) + text[end:]
    return text


def before_check(part: str) -> tuple[str, str]:
    """(the text before the check of its result, that check)."""
    check = CHECK.search(part)
    if check is None or not next(numbers.runs(part[: check.start()]), None):
        return part, ""
    return part[: check.start()], part[check.start() :]


def only(values: set[Value]) -> Value:
    """The one value of a set that has no other."""
    return next(iter(values)) if len(values) == 1 else None
