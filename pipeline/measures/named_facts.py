"""Extracts names, numbers and dates from a text and checks whether another text supports them."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from pipeline.measures.stop_words import ABBREVIATIONS, FUNCTION, ORDINARY
from pipeline.measures.tokens import DAY, LARGE, MONTH, MONTHS, ORDINALS, SMALL, Token, clean, in_words, key, readings, times, tokens

BREAKS = frozenset('.!?:;\n\r"“”„«»()[]{}*#>|•…‘')
"""Between two words: the second may have its capital from its place."""
JOINS = frozenset(" \t-–&./")
"""Between two capitalised words that make one name."""
VAGUE = frozenset({"may", "march", *(name for name in MONTH if name not in MONTHS)})
"""Months that are words of other meaning, or short forms."""
NUMBER_WORDS = {*SMALL, *LARGE, "hundred"}
TOLD = {*NUMBER_WORDS, *MONTH, *DAY}
"""Words with which a number or a date begins."""
CHAIN = 12
"""Words of the longest number in words."""
TITLE, SHORTEST = 0.75, 4
"""Share of capitalised words from which a sentence is written as a title, and the fewest words to tell it by."""


class Fact(NamedTuple):
    """One thing that a text names."""

    kind: str
    """`name`, `number` or `date`."""
    surface: str
    normal: str
    """Equal for two spellings of the same: `blue spice`, `1000`, `2018-06-29`, `06`, `monday`."""
    parts: tuple[str, ...]
    """Of a name its words, of a date month, day and year, which must all be known; of a number its readings, one of which must."""


class Known:
    """The words, numbers and dates of some texts: what an answer to them may name."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = [clean(text) for text in dict.fromkeys(texts)]
        self.words: set[str] = set()
        self.numbers: set[str] = set()
        self.dates: set[str] = set()
        self.months: set[str] = set()
        """As numbers, which no day may be taken for."""
        for text in self.texts:
            self.read(text)

    def read(self, text: str) -> None:
        row = tokens(text)
        for at, token in enumerate(row):
            if token.kind == "word":
                self.read_word(row, at)
            elif token.kind == "iso":
                self.read_date(*token.surface.split("-"))
            else:
                self.numbers.update(readings(token))
                self.numbers.update(year[-2:] for year in (token.surface,) if is_year(year))
                self.numbers.update(number_at(row, at)[0])
        for day, month, year in re.findall(r"(?<!\d)(\d{1,2})[/.](\d{1,2})[/.](\d{2,4})(?!\d)", text):
            self.read_date(year, month, day)
            self.read_date(year, day, month)

    def read_word(self, row: Sequence[Token], at: int) -> None:
        surface, word = row[at].surface, key(row[at].surface)
        self.words.add(word)
        if word in MONTH:
            self.dates.add(f"month {MONTH[word]}")
            self.months.add(str(MONTH[word]))
        elif word in DAY:
            self.dates.add(DAY[word])
        elif word in NUMBER_WORDS:
            self.numbers.update(number_at(row, at)[0])
        elif word in ORDINALS:
            self.numbers.add(str(ORDINALS[word]))
        elif not surface.isalpha():
            self.numbers.update(digits.lstrip("0") or "0" for digits in re.findall(r"\d+", surface))

    def read_date(self, year: str, month: str, day: str) -> None:
        self.numbers.update(part.lstrip("0") or "0" for part in (year, day))
        self.months.add(month.lstrip("0"))
        self.dates.add(f"month {month.lstrip('0')}")

    @cached_property
    def joined(self) -> set[str]:
        """Two words written as one, and the parts of words like birthPlace."""
        found: set[str] = set()
        for text in self.texts:
            row = [token.surface for token in tokens(text)]
            found.update(key(one + other) for one, other in pairwise(row))
            found.update(key(part) for word in row for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", word))
        return found

    def lacks(self, fact: Fact) -> bool:
        """Whether a fact is in none of the texts."""
        if fact.kind == "number":
            return self.numbers.isdisjoint(fact.parts) and self.months.isdisjoint(fact.parts)
        if fact.kind == "date":
            return not all(part in self.dates or part in self.numbers for part in fact.parts)
        return bool(self.unknown(fact.parts))

    def unknown(self, words: Sequence[str]) -> list[str]:
        """The words that are in none of the texts, neither as they are nor written in two or together with a neighbour."""
        if all(word in self.words for word in words):
            return []
        together = {part for one, other in pairwise(words) if one + other in self.words for part in (one, other)}
        return [word for word in words if word not in self.words and word not in together and word not in self.joined]


def is_year(digits: str) -> bool:
    return len(digits) == 4 and digits.isdecimal() and digits[:2] in ("17", "18", "19", "20")


def found(text: str, ordinary: frozenset[str] = ORDINARY, every_word: bool = False) -> list[Fact]:
    """The names, numbers and dates of a text, in order.

    A name is a run of words with capitals. At the start of a sentence, behind a bracket or quotation mark, and in a title or a text in
    capitals a capital tells nothing: there a word counts unless it is ordinary. The rules are those of English; a script without
    capitals has numbers and dates alone. Single letters are no names; `one`, ordinals and the like of `hundreds` no numbers.

    Args:
        ordinary: words (see tokens.key) that are no names.
        every_word: take each word as part of a name, as in a value of a record.
    """
    text = clean(text)
    row = tokens(text)
    weak = [False] * len(row) if every_word else placed(text, row)
    facts: list[Fact] = []
    name: list[Token] = []
    at = 0
    while at < len(row):
        fact, after = counted(text, row, at, weak) if row[at].kind != "word" or key(row[at].surface) in TOLD else (None, at + 1)
        told = after == at + 1 and fact is None and (every_word or named(row[at], weak[at], ordinary))
        if name and not (told and (every_word or joins(text, row[at - 1], row[at]))):
            facts += name_fact(text, name, frozenset() if every_word else ordinary)
            name = []
        name += [row[at]] if told else []
        facts += [fact] if fact else []
        at = after
    return facts + name_fact(text, name, frozenset() if every_word else ordinary)


def counted(text: str, row: Sequence[Token], at: int, weak: Sequence[bool]) -> tuple[Fact | None, int]:
    """The date or number that begins at a token, and the place behind it."""
    return date_at(text, row, at, weak) or number_fact(text, row, at) or (None, at + 1)


def name_fact(text: str, row: Sequence[Token], ordinary: frozenset[str]) -> list[Fact]:
    """The name that words make, if it is one: an ordinary word that stands alone is none (`it is Located there`), unless in capitals."""
    words = tuple(key(token.surface) for token in row)
    if not words or (len(words) == 1 and words[0] in ordinary and not row[0].surface.isupper()):
        return []
    return [Fact("name", text[row[0].start : row[-1].end], " ".join(words), words)]


def named(token: Token, weak: bool, ordinary: frozenset[str]) -> bool:
    """Whether a word is part of a name, by its capital and its place."""
    word = token.surface
    if token.kind != "word" or not raised(word) or len(word) < 2:
        return False
    told = key(word)
    if len(told) < 2 or (told in FUNCTION and (weak or not word.isupper())):
        return False
    return not weak or not (told in ordinary or told in ORDINARY or is_form(word))


def raised(word: str) -> bool:
    """Whether a word has a capital, anywhere: iPhone, O'Neill."""
    return word != word.lower()


def is_form(word: str) -> bool:
    """Whether a word is a verb's form or an adverb by its ending."""
    return len(word) > 5 and word.endswith(("ing", "ed", "ly"))


def joins(text: str, one: Token, other: Token) -> bool:
    between = text[one.end : other.start]
    return len(between) <= 3 and JOINS.issuperset(between) and ("." not in between or abbreviated(one))


def abbreviated(token: Token) -> bool:
    """Whether the dot behind a word may be its own."""
    return len(token.surface) == 1 or token.surface.lower() in ABBREVIATIONS


def placed(text: str, row: Sequence[Token]) -> list[bool]:
    """Of every token, whether a capital there tells nothing."""
    starts = [begins(text, row, at) for at in range(len(row))]
    weak = list(starts)
    edges = [at for at, start in enumerate(starts) if start] + [len(row)]
    for start, end in pairwise(edges):
        words = [token.surface for token in row[start:end] if token.kind == "word" and key(token.surface) not in FUNCTION]
        capitals = sum(map(raised, words))
        shouted = sum(word.isupper() for word in words) > len(words) / 2
        if len(words) >= SHORTEST and (shouted or capitals >= TITLE * len(words)):
            weak[start:end] = [True] * (end - start)
    return weak


def begins(text: str, row: Sequence[Token], at: int) -> bool:
    if at == 0:
        return True
    between = text[row[at - 1].end : row[at].start]
    return not BREAKS.isdisjoint(between) and not (between.strip() == "." and abbreviated(row[at - 1]))


def number_at(row: Sequence[Token], at: int) -> tuple[tuple[str, ...], int]:
    """Readings of the number that begins at a token, in digits or in words, none where none does; and the place behind it."""
    token = row[at]
    after = at + 1
    if token.kind == "number":
        word = key(row[after].surface) if near(row, after) else ""
        found = readings(token)
        return ((times(found[0], LARGE[word]), *found), after + 1) if word in LARGE else (found, after)
    words: list[str] = []
    while at < len(row) and len(words) < CHAIN and follows(words, word := key(row[at].surface), row, at):
        words.append(word)
        at += 1
    if words[-1:] == ["and"]:
        words, at = words[:-1], at - 1
    return ((in_words(words),), at) if words and words[0] in SMALL else ((), after)


def follows(words: Sequence[str], word: str, row: Sequence[Token], at: int) -> bool:
    """Whether a word goes on with a number in words: one behind twenty, five behind hundred and, but not three behind two."""
    if not words:
        return word in NUMBER_WORDS
    if not near(row, at):
        return False
    last = words[-1]
    if word == "and":
        return last == "hundred" or last in LARGE
    if word in SMALL and last in SMALL:
        return SMALL[last] >= 20 and SMALL[word] < 10
    return word in SMALL or (word in NUMBER_WORDS and last != "and")


def near(row: Sequence[Token], at: int) -> bool:
    """Whether one character, a blank or a hyphen, stands before a token."""
    return at < len(row) and row[at].start - row[at - 1].end == 1


def number_fact(text: str, row: Sequence[Token], at: int) -> tuple[Fact, int] | None:
    parts, after = number_at(row, at)
    if not parts or (after == at + 1 and key(row[at].surface) in ("one", "zero")):
        return None
    return Fact("number", text[row[at].start : row[after - 1].end], parts[0], parts), after


def date_at(text: str, row: Sequence[Token], at: int, weak: Sequence[bool]) -> tuple[Fact, int] | None:
    """The date that begins at a token: a day of the week, a month, with or without day and year, or an ISO date."""
    token = row[at]
    if token.kind == "iso":
        year, month, day = token.surface.split("-")
        return date_fact(text, row[at : at + 1], int(month), day, year), at + 1
    word = key(token.surface) if token.kind == "word" else ""
    if word in DAY and (word == DAY[word] or (raised(token.surface) and not (weak[at] and word in ("sun", "sat")))):
        return Fact("date", token.surface, DAY[word], (DAY[word],)), at + 1
    day, month_at = day_before(text, row, at)
    if month_at >= len(row) or row[month_at].kind != "word" or (name := key(row[month_at].surface)) not in MONTH:
        return None
    after = month_at + 1
    if not day and after < len(row) and is_day(row[after]) and text[row[month_at].end : row[after].start].strip() in ("", "."):
        day, after = row[after].surface, after + 1
    year = ""
    if after < len(row) and is_year(row[after].surface) and text[row[after - 1].end : row[after].start].strip(" ,.") == "":
        year, after = row[after].surface, after + 1
    alone = not (day or year) and (weak[month_at] or name not in MONTHS)
    if name in VAGUE and (alone or not raised(row[month_at].surface)):
        return None
    return date_fact(text, row[at:after], MONTH[name], day, year), after


def day_before(text: str, row: Sequence[Token], at: int) -> tuple[str, int]:
    """The day of a month that stands at a place, before the month's name or before `of` and it, and the place of the name."""
    after = at + 1 + (at + 1 < len(row) and row[at + 1].surface == "of")
    if not is_day(row[at]) or after >= len(row) or text[row[at].end : row[after].start].strip() not in ("", "of"):
        return "", at
    return row[at].surface, after


def is_day(token: Token) -> bool:
    return token.kind == "number" and token.unit in ("", "st", "nd", "rd", "th") and token.surface.isdecimal() and len(token.surface) < 3


def date_fact(text: str, row: Sequence[Token], month: int, day: str, year: str) -> Fact:
    parts = [f"month {month}", *(part.lstrip("0") or "0" for part in (day, year) if part)]
    normal = "-".join(part for part in (year, f"{month:02}", day.zfill(2) if day else "") if part)
    return Fact("date", text[row[0].start : row[-1].end], normal, tuple(parts))
