"""Finds missing, added and wrong values in an answer to a meaning representation."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline.data.task import Slot
from pipeline.measures.named_facts import NUMBER_WORDS, number_at
from pipeline.measures.tokens import MONTHS, clean, key, plain, tokens

LINKS = frozenset("a an the and".split())
"""Left out of values and answers."""
LONGEST = 12
"""Words of the longest value that is looked for where it should not be."""

Keys = tuple[str, ...]
Value = tuple[str, str]
"""Name of the slot, and the value as the representation has it."""


class Errors(NamedTuple):
    """The slot errors of one answer. A value that stands in for a missing one of its slot is wrong, and neither is counted again."""

    missing: list[Value]
    added: list[Value]
    wrong: list[Value]
    """The values that are said."""
    of: int
    """Values that were looked for."""
    unjudged: int
    """Values that are said in too many ways to be looked for."""


class Word(NamedTuple):
    key: str
    capital: bool
    """Whether it may be part of a name; so may any number."""


def words(text: str) -> list[Word]:
    """The words of a text, numbers as digits, without articles."""
    row = tokens(clean(text))
    found: list[Word] = []
    at = 0
    while at < len(row):
        parts, after = number_at(row, at) if row[at].kind != "word" or key(row[at].surface) in NUMBER_WORDS else ((), at + 1)
        if parts:
            found.append(Word(parts[0], True))
        elif row[at].kind == "iso":
            year, month, day = row[at].surface.split("-")
            name = MONTHS[int(month) - 1] if 0 < int(month) < 13 else month
            found += [Word(key(name), True), Word(plain(day), True), Word(year, True)]
        elif (word := key(row[at].surface)) not in LINKS:
            found.append(Word(word, not row[at].surface[0].islower()))
        at = after
    return found


@lru_cache(maxsize=1 << 16)
def keys(text: str) -> Keys:
    return tuple(word.key for word in words(text))


@lru_cache(maxsize=1 << 16)
def spellings(slot: Slot) -> tuple[Keys, ...]:
    """The ways to say a value, the value itself first: `T (for Teen)` also as T or for Teen, `driving/racing` as either, and its `ways`."""
    value, _, behind = slot.value.partition("(")
    parts = [value, behind] if behind else slot.value.split("/")
    return tuple(dict.fromkeys(found for each in (slot.value, *parts, *slot.ways) if (found := keys(each))))


class Vocabulary:
    """Every judged value of every slot over all examples, to find those that an answer adds."""

    def __init__(self, representations: Iterable[Sequence[Slot]]) -> None:
        self.values: dict[Keys, dict[str, tuple[str, bool]]] = {}
        """By the words of a value: by slot, the value and whether it is a name, which a text with capitals writes with capitals."""
        for slot in {slot for slots in representations for slot in slots if slot.judged}:
            plain_value = slot.value.partition("(")[0].strip() or slot.value
            said = words(plain_value)
            name = all(word.capital for word in said)
            for each in {keys(slot.value), tuple(word.key for word in said)}:
                if each and len(each) <= LONGEST and each != ("1",):
                    self.values.setdefault(each, {})[slot.name] = (slot.value, name)
        self.lengths: dict[str, list[int]] = {}
        for found in sorted(self.values, key=len, reverse=True):
            sizes = self.lengths.setdefault(found[0], [])
            if len(found) not in sizes:
                sizes.append(len(found))


def errors(slots: Sequence[Slot], answer: str, vocabulary: Vocabulary) -> Errors:
    """Hold an answer against its representation.

    A value is said where one of its spellings stands in the answer, or all of its words do in any order. A value is added where one of
    the vocabulary, of whatever slot, stands there word for word, and is neither of this representation nor a part of its values; a
    name (a value whose words all have capitals) counts only in capitals, unless the answer has none. What is a value of several slots is
    added to one that lacks a value, else to the first by name. Twice the same counts once.
    """
    row = words(answer)
    said = [word.key for word in row]
    judged = [slot for slot in dict.fromkeys(slots) if slot.judged and slot.value]
    covered, missing = cover(slots, judged, said)
    added = list(dict.fromkeys(extra(slots, row, covered, vocabulary, {name for name, _ in missing})))
    wrong: list[Value] = []
    for value in list(added):
        stood = next((each for each in missing if each[0] == value[0]), None)
        if stood:
            missing.remove(stood)
            added.remove(value)
            wrong.append(value)
    return Errors(missing, added, wrong, len(judged), len(slots) - len(judged))


def cover(slots: Sequence[Slot], judged: Sequence[Slot], said: Sequence[str]) -> tuple[list[bool], list[Value]]:
    """Which words of the answer say a value of the representation, and the judged values that none says."""
    bag, covered = set(said), [False] * len(said)
    firsts: dict[str, list[tuple[Keys, Slot]]] = {}
    loose: set[str] = set()
    heard: set[Slot] = set()
    for slot in slots:
        for each in spellings(slot):
            if bag.issuperset(each):
                firsts.setdefault(each[0], []).append((each, slot))
                if len(each) > 1:
                    loose.update(each)
                    heard.add(slot)
    for at, word in enumerate(said):
        covered[at] = covered[at] or word in loose
        for each, slot in firsts.get(word, ()):
            if tuple(said[at : at + len(each)]) == each:
                heard.add(slot)
                covered[at : at + len(each)] = [True] * len(each)
    return covered, [(slot.name, slot.value) for slot in judged if slot not in heard]


def extra(slots: Sequence[Slot], row: Sequence[Word], covered: list[bool], vocabulary: Vocabulary, lacking: set[str]) -> Iterator[Value]:
    """Values of the vocabulary that the answer says and the representation has not, the longest at each place."""
    own: dict[str, set[str]] = {}
    for slot in slots:
        own.setdefault(slot.name, set()).update(word for each in spellings(slot) for word in each)
    cased = any(word.capital for word in row)
    for at, word in enumerate(row):
        for size in vocabulary.lengths.get(word.key, ()):
            found = tuple(each.key for each in row[at : at + size])
            if len(found) < size or found not in vocabulary.values or all(covered[at : at + size]):
                continue
            named = all(each.capital for each in row[at : at + size]) or not cased
            fitting = {name: value for name, (value, is_name) in vocabulary.values[found].items() if named or not is_name}
            if fitting and not any(own.get(name, set()).issuperset(found) for name in fitting):
                covered[at : at + size] = [True] * size
                name = min(fitting, key=lambda name: (name not in lacking, name))
                yield name, fitting[name]
                break
