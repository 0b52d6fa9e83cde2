"""Finds missing, added and wrong values in an answer to a structured input (a meaning representation, as in E2E and ViGGO)."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline.data.task import Slot
from pipeline.measures.named_facts import NUMBER_WORDS, number_at
from pipeline.measures.tokens import MONTHS, normal_form, normalized_text, plain_number, tokenize

IGNORED_WORDS = frozenset("a an the and".split())
"""Removed from values and answers."""
MAX_VALUE_WORDS = 12
"""Answers are not searched for added values that are longer."""

Keys = tuple[str, ...]
Value = tuple[str, str]
"""Name of the slot, and its value as in the representation."""


class SlotErrors(NamedTuple):
    """The slot errors of one answer. An added value in place of a missing one of the same slot is wrong; neither counts twice."""

    missing: list[Value]
    added: list[Value]
    wrong: list[Value]
    """The values in the answer, not those that they replace."""
    of: int
    """Number of values that the answer was searched for."""
    unjudged: int
    """Number of values with too many possible wordings to search for."""


class Word(NamedTuple):
    key: str
    capital: bool
    """Whether it may be part of a name: it has a capital or is a number."""


def slot_words(text: str) -> list[Word]:
    """The words of a text without articles, numbers as digits."""
    tokens = tokenize(normalized_text(text))
    words: list[Word] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        word = normal_form(token.surface)
        values: tuple[str, ...] = ()
        stop = index + 1
        if token.kind != "word" or word in NUMBER_WORDS:
            values, stop = number_at(tokens, index)
        if values:
            words.append(Word(values[0], True))
        elif token.kind == "iso":
            year, month, day = token.surface.split("-")
            name = MONTHS[int(month) - 1] if 0 < int(month) < 13 else month
            words += [Word(normal_form(name), True), Word(plain_number(day), True), Word(year, True)]
        elif word not in IGNORED_WORDS:
            words.append(Word(word, not token.surface[0].islower()))
        index = stop
    return words


@lru_cache(maxsize=1 << 16)
def word_keys(text: str) -> Keys:
    """The normal forms of a text's words."""
    return tuple(word.key for word in slot_words(text))


@lru_cache(maxsize=1 << 16)
def wordings_of(slot: Slot) -> tuple[Keys, ...]:
    """The ways to say a value, the value itself first: `T (for Teen)` also as T or for Teen, `driving/racing` as either, and `wordings`."""
    value, _, in_brackets = slot.value.partition("(")
    parts = [value, in_brackets] if in_brackets else slot.value.split("/")
    return tuple(dict.fromkeys(keys for text in (slot.value, *parts, *slot.wordings) if (keys := word_keys(text))))


class Vocabulary:
    """Every judged value of every slot over all examples, to find those that an answer adds."""

    def __init__(self, representations: Iterable[Sequence[Slot]]) -> None:
        self.values: dict[Keys, dict[str, tuple[str, bool]]] = {}
        """Words of a value -> slot name -> the value, and whether it is a name, which a text with capitals capitalises."""
        for slot in {slot for slots in representations for slot in slots if slot.judged}:
            plain_value = slot.value.partition("(")[0].strip() or slot.value
            words = slot_words(plain_value)
            is_name = all(word.capital for word in words)
            for keys in {word_keys(slot.value), tuple(word.key for word in words)}:
                if keys and len(keys) <= MAX_VALUE_WORDS and keys != ("1",):
                    self.values.setdefault(keys, {})[slot.name] = (slot.value, is_name)
        self.lengths: dict[str, list[int]] = {}
        """First word of a value -> the lengths of such values in words, longest first."""
        for keys in sorted(self.values, key=len, reverse=True):
            lengths = self.lengths.setdefault(keys[0], [])
            if len(keys) not in lengths:
                lengths.append(len(keys))


def slot_errors(slots: Sequence[Slot], answer: str, vocabulary: Vocabulary) -> SlotErrors:
    """Compare an answer with its meaning representation.

    A value is present if the answer has one of its spellings, or all of its words in any order. A value of the vocabulary, of any slot,
    is added if the answer has it word for word and it is neither in this representation nor part of one of its values. A name (a value
    whose words all have capitals) counts only with capitals, unless the answer has none. A value of several slots is added to one whose
    value is missing, else to the first by name. Repetitions count once.
    """
    words = slot_words(answer)
    judged = [slot for slot in dict.fromkeys(slots) if slot.judged and slot.value]
    covered, missing = match_slots(slots, judged, [word.key for word in words])
    added = list(dict.fromkeys(added_values(slots, words, covered, vocabulary, {name for name, _ in missing})))
    wrong: list[Value] = []
    for value in list(added):
        replaced = next((other for other in missing if other[0] == value[0]), None)
        if replaced:
            missing.remove(replaced)
            added.remove(value)
            wrong.append(value)
    return SlotErrors(missing, added, wrong, len(judged), len(slots) - len(judged))


def match_slots(slots: Sequence[Slot], judged: Sequence[Slot], words: Sequence[str]) -> tuple[list[bool], list[Value]]:
    """(words,) Whether a word of the answer belongs to a value of the representation; and the judged values that are missing."""
    bag = set(words)
    covered = [False] * len(words)
    by_first_word: dict[str, list[tuple[Keys, Slot]]] = {}
    in_any_order: set[str] = set()
    matched: set[Slot] = set()
    for slot in slots:
        for keys in wordings_of(slot):
            if bag.issuperset(keys):
                by_first_word.setdefault(keys[0], []).append((keys, slot))
                if len(keys) > 1:
                    in_any_order.update(keys)
                    matched.add(slot)
    for index, word in enumerate(words):
        covered[index] = covered[index] or word in in_any_order
        for keys, slot in by_first_word.get(word, ()):
            if tuple(words[index : index + len(keys)]) == keys:
                matched.add(slot)
                covered[index : index + len(keys)] = [True] * len(keys)
    return covered, [(slot.name, slot.value) for slot in judged if slot not in matched]


def added_values(
    slots: Sequence[Slot], words: Sequence[Word], covered: list[bool], vocabulary: Vocabulary, missing: set[str]
) -> Iterator[Value]:
    """Values that only the answer has, the longest of the vocabulary at every word. Marks their words as covered."""
    own: dict[str, set[str]] = {}
    for slot in slots:
        own.setdefault(slot.name, set()).update(word for keys in wordings_of(slot) for word in keys)
    has_capitals = any(word.capital for word in words)
    for index, word in enumerate(words):
        for length in vocabulary.lengths.get(word.key, ()):
            span = words[index : index + length]
            keys = tuple(word.key for word in span)
            if len(keys) < length or keys not in vocabulary.values or all(covered[index : index + length]):
                continue
            may_be_name = not has_capitals or all(word.capital for word in span)
            candidates = {name: value for name, (value, is_name) in vocabulary.values[keys].items() if may_be_name or not is_name}
            if candidates and not any(own.get(name, set()).issuperset(keys) for name in candidates):
                covered[index : index + length] = [True] * length
                name = min(candidates, key=lambda name: (name not in missing, name))
                yield name, candidates[name]
                break
