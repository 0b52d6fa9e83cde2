"""Extracts names, numbers and dates from a text and checks whether another text supports them."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from pipeline.measures.stop_words import ABBREVIATIONS, COMMON_WORDS, FUNCTION_WORDS
from pipeline.measures.tokens import (
    LARGE_NUMBERS,
    MONTH_NUMBER,
    MONTHS,
    ORDINALS,
    SMALL_NUMBERS,
    WEEKDAY,
    Token,
    multiply,
    normal_form,
    normalized_text,
    number_from_words,
    readings,
    tokenize,
)

SENTENCE_BREAKS = frozenset('.!?:;\n\r"“”„«»()[]{}*#>|•…‘')
"""Between two words: the second one may be capitalised only because a sentence starts there."""
NAME_JOINTS = frozenset(" \t-–&./")
"""Characters between two capitalised words of one name."""
AMBIGUOUS_MONTHS = frozenset({"may", "march", *(name for name in MONTH_NUMBER if name not in MONTHS)})
"""Names of months that are also other words or short forms."""
NUMBER_WORDS = {*SMALL_NUMBERS, *LARGE_NUMBERS, "hundred"}
NUMBER_OR_DATE_WORDS = {*NUMBER_WORDS, *MONTH_NUMBER, *WEEKDAY}
"""Words that may begin a number or a date."""
MAX_NUMBER_WORDS = 12
"""Words in a number at most."""
TITLE_SHARE = 0.75
"""A sentence with at least this share of capitalised words is a title."""
TITLE_WORDS = 4
"""A sentence of fewer words is never taken for a title."""


class Fact(NamedTuple):
    """A name, number or date in a text."""

    kind: str
    """`name`, `number` or `date`."""
    surface: str
    """As it is written in the text."""
    normal: str
    """Equal for two spellings of the same: `blue spice`, `1000`, `2018-06-29`, `06`, `monday`."""
    parts: tuple[str, ...]
    """A name's words, or a date's month, day and year: all must be supported. A number's readings: one must be."""


class AllowedFacts:
    """The words, numbers and dates of some texts, which an answer to them may use."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = [normalized_text(text) for text in dict.fromkeys(texts)]
        self.words: set[str] = set()
        self.numbers: set[str] = set()
        self.dates: set[str] = set()
        self.months: set[str] = set()
        """Numbers of months; the day of a date cannot be one of these."""
        for text in self.texts:
            self.add_text(text)

    def add_text(self, text: str) -> None:
        tokens = tokenize(text)
        for index, token in enumerate(tokens):
            if token.kind == "word":
                self.add_word(tokens, index)
            elif token.kind == "iso":
                self.add_date(*token.surface.split("-"))
            else:
                self.numbers.update(readings(token))
                if is_year(token.surface):
                    self.numbers.add(token.surface[-2:])
                self.numbers.update(number_at(tokens, index)[0])
        for day, month, year in re.findall(r"(?<!\d)(\d{1,2})[/.](\d{1,2})[/.](\d{2,4})(?!\d)", text):
            self.add_date(year, month, day)
            self.add_date(year, day, month)

    def add_word(self, tokens: Sequence[Token], index: int) -> None:
        surface = tokens[index].surface
        word = normal_form(surface)
        self.words.add(word)
        if word in MONTH_NUMBER:
            self.dates.add(f"month {MONTH_NUMBER[word]}")
            self.months.add(str(MONTH_NUMBER[word]))
        elif word in WEEKDAY:
            self.dates.add(WEEKDAY[word])
        elif word in NUMBER_WORDS:
            self.numbers.update(number_at(tokens, index)[0])
        elif word in ORDINALS:
            self.numbers.add(str(ORDINALS[word]))
        elif not surface.isalpha():
            self.numbers.update(digits.lstrip("0") or "0" for digits in re.findall(r"\d+", surface))

    def add_date(self, year: str, month: str, day: str) -> None:
        self.numbers.update(part.lstrip("0") or "0" for part in (year, day))
        self.months.add(month.lstrip("0"))
        self.dates.add(f"month {month.lstrip('0')}")

    @cached_property
    def joined(self) -> set[str]:
        """Neighbouring words written as one, and the parts of words like birthPlace."""
        words: set[str] = set()
        for text in self.texts:
            surfaces = [token.surface for token in tokenize(text)]
            words.update(normal_form(one + other) for one, other in pairwise(surfaces))
            words.update(normal_form(part) for surface in surfaces for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", surface))
        return words

    def is_unsupported(self, fact: Fact) -> bool:
        """Whether none of the texts has a fact."""
        if fact.kind == "number":
            return self.numbers.isdisjoint(fact.parts) and self.months.isdisjoint(fact.parts)
        if fact.kind == "date":
            return not all(part in self.dates or part in self.numbers for part in fact.parts)
        return bool(self.unsupported_words(fact.parts))

    def unsupported_words(self, words: Sequence[str]) -> list[str]:
        """The words that are in none of the texts: not as they are, not as two words, not as one word with their neighbour."""
        if all(word in self.words for word in words):
            return []
        together = {part for one, other in pairwise(words) if one + other in self.words for part in (one, other)}
        return [word for word in words if word not in self.words and word not in together and word not in self.joined]


def is_year(digits: str) -> bool:
    return len(digits) == 4 and digits.isdecimal() and digits[:2] in ("17", "18", "19", "20")


def extract_facts(text: str, common_words: frozenset[str] = COMMON_WORDS, every_word: bool = False) -> list[Fact]:
    """Extract the names, numbers and dates of a text, in order.

    A name is a run of capitalised words. At the start of a sentence, after a bracket or quotation mark, and in a title or a text in
    capitals, a capital says nothing: there a word belongs to a name unless it is common. The rules are those of English; a script
    without capitals has only numbers and dates. Single letters are not names; `one`, ordinals and words like `hundreds` are not numbers.

    Args:
        common_words: words (in tokens.normal_form) that are not names.
        every_word: take every word as part of a name, as in a JSON value.
    """
    text = normalized_text(text)
    tokens = tokenize(text)
    weak = [False] * len(tokens) if every_word else uninformative_capitals(text, tokens)
    facts: list[Fact] = []
    name: list[Token] = []
    if every_word:
        common_words = frozenset()
    index = 0
    while index < len(tokens):
        token = tokens[index]
        fact: Fact | None = None
        stop = index + 1
        if token.kind != "word" or normal_form(token.surface) in NUMBER_OR_DATE_WORDS:
            fact, stop = number_or_date_at(text, tokens, index, weak)
        in_name = stop == index + 1 and fact is None and (every_word or is_name_word(token, weak[index], common_words))
        if name and not (in_name and (every_word or are_joined(text, tokens[index - 1], token))):
            facts += name_fact(text, name, common_words)
            name = []
        if in_name:
            name.append(token)
        if fact:
            facts.append(fact)
        index = stop
    return facts + name_fact(text, name, common_words)


def number_or_date_at(text: str, tokens: Sequence[Token], index: int, weak: Sequence[bool]) -> tuple[Fact | None, int]:
    """The date or number that begins at a token (None if there is none), and the index after it."""
    return date_at(text, tokens, index, weak) or number_fact(text, tokens, index) or (None, index + 1)


def name_fact(text: str, tokens: Sequence[Token], common_words: frozenset[str]) -> list[Fact]:
    """At most one name, made of all words. A single common word is not a name (`it is Located there`), unless in capitals."""
    words = tuple(normal_form(token.surface) for token in tokens)
    if not words or (len(words) == 1 and words[0] in common_words and not tokens[0].surface.isupper()):
        return []
    return [Fact("name", text[tokens[0].start : tokens[-1].end], " ".join(words), words)]


def is_name_word(token: Token, weak: bool, common_words: frozenset[str]) -> bool:
    """Whether a word is part of a name, by its capital and its position; weak: a capital says nothing there."""
    word = token.surface
    if token.kind != "word" or not has_capital(word) or len(word) < 2:
        return False
    normal = normal_form(word)
    if len(normal) < 2 or (normal in FUNCTION_WORDS and (weak or not word.isupper())):
        return False
    return not weak or not (normal in common_words or normal in COMMON_WORDS or has_verb_ending(word))


def has_capital(word: str) -> bool:
    """Whether a word has a capital anywhere: iPhone, O'Neill."""
    return word != word.lower()


def has_verb_ending(word: str) -> bool:
    """Whether a word ends like a form of a verb or an adverb."""
    return len(word) > 5 and word.endswith(("ing", "ed", "ly"))


def are_joined(text: str, one: Token, other: Token) -> bool:
    """Whether two neighbouring words may belong to one name."""
    between = text[one.end : other.start]
    return len(between) <= 3 and NAME_JOINTS.issuperset(between) and ("." not in between or may_be_abbreviation(one))


def may_be_abbreviation(token: Token) -> bool:
    """Whether a dot after a word may belong to it."""
    return len(token.surface) == 1 or token.surface.lower() in ABBREVIATIONS


def uninformative_capitals(text: str, tokens: Sequence[Token]) -> list[bool]:
    """(tokens,) Whether a capital says nothing at that position."""
    starts = [starts_sentence(text, tokens, index) for index in range(len(tokens))]
    weak = list(starts)
    edges = [index for index, start in enumerate(starts) if start] + [len(tokens)]
    for start, end in pairwise(edges):
        words = [token.surface for token in tokens[start:end] if token.kind == "word" and normal_form(token.surface) not in FUNCTION_WORDS]
        capitals = sum(map(has_capital, words))
        shouted = sum(word.isupper() for word in words) > len(words) / 2
        if len(words) >= TITLE_WORDS and (shouted or capitals >= TITLE_SHARE * len(words)):
            weak[start:end] = [True] * (end - start)
    return weak


def starts_sentence(text: str, tokens: Sequence[Token], index: int) -> bool:
    """Whether a sentence, or a part of a text that begins with a capital, starts at a token."""
    if index == 0:
        return True
    between = text[tokens[index - 1].end : tokens[index].start]
    return not SENTENCE_BREAKS.isdisjoint(between) and not (between.strip() == "." and may_be_abbreviation(tokens[index - 1]))


def number_at(tokens: Sequence[Token], index: int) -> tuple[tuple[str, ...], int]:
    """Readings of the number, in digits or in words, that begins at a token (empty if none does), and the index after it."""
    token = tokens[index]
    stop = index + 1
    if token.kind == "number":
        word = normal_form(tokens[stop].surface) if is_adjacent(tokens, stop) else ""
        values = readings(token)
        return ((multiply(values[0], LARGE_NUMBERS[word]), *values), stop + 1) if word in LARGE_NUMBERS else (values, stop)
    words: list[str] = []
    while (
        index < len(tokens)
        and len(words) < MAX_NUMBER_WORDS
        and continues_number(words, word := normal_form(tokens[index].surface), tokens, index)
    ):
        words.append(word)
        index += 1
    if words[-1:] == ["and"]:
        words, index = words[:-1], index - 1
    return ((number_from_words(words),), index) if words and words[0] in SMALL_NUMBERS else ((), stop)


def continues_number(words: Sequence[str], word: str, tokens: Sequence[Token], index: int) -> bool:
    """Whether a word continues a number in words: one after twenty, five after `hundred and`, but not three after two."""
    if not words:
        return word in NUMBER_WORDS
    if not is_adjacent(tokens, index):
        return False
    last = words[-1]
    if word == "and":
        return last == "hundred" or last in LARGE_NUMBERS
    if word in SMALL_NUMBERS and last in SMALL_NUMBERS:
        return SMALL_NUMBERS[last] >= 20 and SMALL_NUMBERS[word] < 10
    return word in SMALL_NUMBERS or (word in NUMBER_WORDS and last != "and")


def is_adjacent(tokens: Sequence[Token], index: int) -> bool:
    """Whether a single character, a space or a hyphen, separates a token from the one before."""
    return index < len(tokens) and tokens[index].start - tokens[index - 1].end == 1


def number_fact(text: str, tokens: Sequence[Token], index: int) -> tuple[Fact, int] | None:
    """The number that begins at a token, and the index after it; None if there is none."""
    parts, stop = number_at(tokens, index)
    if not parts or (stop == index + 1 and normal_form(tokens[index].surface) in ("one", "zero")):
        return None
    return Fact("number", text[tokens[index].start : tokens[stop - 1].end], parts[0], parts), stop


def date_at(text: str, tokens: Sequence[Token], index: int, weak: Sequence[bool]) -> tuple[Fact, int] | None:
    """The date that begins at a token, and the index after it.

    A date is a day of the week, a month with or without day and year, or an ISO date. None if there is none.
    """
    token = tokens[index]
    if token.kind == "iso":
        year, month, day = token.surface.split("-")
        return date_fact(text, tokens[index : index + 1], int(month), day, year), index + 1
    word = normal_form(token.surface) if token.kind == "word" else ""
    if word in WEEKDAY and (word == WEEKDAY[word] or (has_capital(token.surface) and not (weak[index] and word in ("sun", "sat")))):
        return Fact("date", token.surface, WEEKDAY[word], (WEEKDAY[word],)), index + 1
    day, month_at = day_before_month(text, tokens, index)
    if month_at >= len(tokens) or tokens[month_at].kind != "word" or (name := normal_form(tokens[month_at].surface)) not in MONTH_NUMBER:
        return None
    stop = month_at + 1
    if not day and stop < len(tokens) and is_day(tokens[stop]) and text[tokens[month_at].end : tokens[stop].start].strip() in ("", "."):
        day, stop = tokens[stop].surface, stop + 1
    year = ""
    if stop < len(tokens) and is_year(tokens[stop].surface) and text[tokens[stop - 1].end : tokens[stop].start].strip(" ,.") == "":
        year, stop = tokens[stop].surface, stop + 1
    alone = not (day or year) and (weak[month_at] or name not in MONTHS)
    if name in AMBIGUOUS_MONTHS and (alone or not has_capital(tokens[month_at].surface)):
        return None
    return date_fact(text, tokens[index:stop], MONTH_NUMBER[name], day, year), stop


def day_before_month(text: str, tokens: Sequence[Token], index: int) -> tuple[str, int]:
    """The day in `29 June` or `29th of June` that begins at a token (else empty), and the index of the month's name."""
    stop = index + 1 + (index + 1 < len(tokens) and tokens[index + 1].surface == "of")
    if not is_day(tokens[index]) or stop >= len(tokens) or text[tokens[index].end : tokens[stop].start].strip() not in ("", "of"):
        return "", index
    return tokens[index].surface, stop


def is_day(token: Token) -> bool:
    return token.kind == "number" and token.unit in ("", "st", "nd", "rd", "th") and token.surface.isdecimal() and len(token.surface) < 3


def date_fact(text: str, tokens: Sequence[Token], month: int, day: str, year: str) -> Fact:
    parts = [f"month {month}", *(part.lstrip("0") or "0" for part in (day, year) if part)]
    normal = "-".join(part for part in (year, f"{month:02}", day.zfill(2) if day else "") if part)
    return Fact("date", text[tokens[0].start : tokens[-1].end], normal, tuple(parts))
