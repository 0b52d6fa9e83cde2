"""Slices a test set by the length of the prompt, by the target, or by a column of its rows."""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from pipeline.data.files import shorten
from pipeline.data.task import Task
from pipeline.data.templates import is_missing, value_text
from pipeline.metrics import words
from pipeline.store.records import Example, is_number
from pipeline.store.slice_types import Slice, SliceKind, Slicing

BANDS = 4
"""Quantile bands of a number, at most."""
PER_BAND = 25
"""Test examples of a band, at least, where there are more than two: fewer than 20 have no verdict, and bands are not quite even."""
MAX_VALUES = 20
"""Different values of a column, or different targets, that are slices."""
MAX_NUMBERS = 6
"""Different numbers that are a slice each, such as ratings; more are put into bands."""
LABEL_METRICS = {"accuracy", "balanced_accuracy", "macro_f1"}
"""Metrics of tasks whose answers are one label."""
NO_VALUE = "no value"
SEVERAL = "several right answers"
NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""A number as text; 007 and 1,000 are none."""


def by_length(examples: Sequence[Example]) -> Slicing:
    """Bands of the number of words in the whole prompt, of a conversation in all of its turns."""
    lengths = {example.id: float(count_words(example.text)) for example in examples}
    return banded("length", "length", lengths, "word")


def count_words(text: str) -> int:
    """Words between blanks; where a script has no blanks, every letter counts as one."""
    return len(words.UNSPACED.sub(" x ", text).split())


def by_label(examples: Sequence[Example], task: Task) -> Slicing:
    """A slice for every target, as metrics compare them; examples with several right answers are a slice of their own."""
    if not (all(example.choices for example in examples) or LABEL_METRICS & {*task.metrics}):
        return refused("label", "label", "the targets are free text, not labels", "Leave `label` out.")
    single = [example for example in examples if len(example.right_answers) == 1]
    spelled: dict[str, str] = {}
    for example in single:
        spelled.setdefault(label_of(example.target), example.target.strip() or "(empty)")
    if len(spelled) > MAX_VALUES:
        why = f"the {len(examples):,} test examples have {len(spelled):,} different targets, and at most {MAX_VALUES} are slices"
        return refused("label", "label", why, "Leave `label` out.")
    names = {example.id: spelled[label_of(example.target)] if len(example.right_answers) == 1 else SEVERAL for example in examples}
    return named("label", "label", names, last=(SEVERAL,))


@cache
def label_of(text: str) -> str:
    """The label of a text, as accuracy and macro F1 compare it."""
    return words.normalise(words.strip_wrappers(text))


def by_column(name: str, values: Mapping[str, Any]) -> Slicing:
    """A slice for every value, or bands of numbers; rows without a value are a slice of their own.

    Args:
        values: by the id of an example.
    """
    present = {example: value for example, value in values.items() if not is_blank(value)}
    if shape := next((shape for kind, shape in SHAPES if any(isinstance(value, kind) for value in present.values())), ""):
        return refused(name, "column", f"the column {name} holds {shape}, not single values", "Name a column of texts or numbers.")
    numbers = {example: number for example, value in present.items() if (number := number_of(value)) is not None}
    if present and len(numbers) == len(present):
        if len(set(numbers.values())) > MAX_NUMBERS:
            return with_missing(banded(name, "column", numbers), values)
        texts = {example: number_text(number) for example, number in numbers.items()}
        return with_missing(named(name, "column", texts, order=float), values)
    texts = {example: writable(value_text(value, name)) for example, value in present.items()}
    if (count := len(set(texts.values()))) > MAX_VALUES:
        why = f"the column {name} has {count:,} different values in {len(values):,} test examples, and at most {MAX_VALUES} are slices"
        return refused(name, "column", why, "Name a column of fewer values; numbers are put into bands.")
    return with_missing(named(name, "column", texts), values)


SHAPES: tuple[tuple[type, str], ...] = ((dict, "objects"), (list, "lists"), (bytes, "binary data"))
"""Types of values that are not one thing, and what a column of them holds."""


def is_blank(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, str) and not value.strip())


def writable(text: str) -> str:
    """The text without blanks around it, as a file can hold it: half of a character pair becomes a question mark."""
    return text.strip().encode(errors="replace").decode()


def number_of(value: Any) -> float | None:
    """The finite number that a value is, or spells as files of text do; else None."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    if (is_number(value) or isinstance(value, Decimal)) and math.isfinite(value):
        return float(value)
    return None


def number_text(number: float) -> str:
    return f"{number:.12g}"


def banded(by: str, kind: SliceKind, numbers: Mapping[str, float], unit: str = "") -> Slicing:
    """Bands of about equal size, equal numbers in one band.

    Args:
        numbers: by the id of an example.
        unit: of a number, in the singular.
    """
    ordered = sorted(numbers.values())
    ends = band_ends(ordered)
    of_example = {example: bisect_left(ends, number) for example, number in numbers.items()}
    members = [[number for number in ordered if bisect_left(ends, number) == band] for band in range(len(ends))]
    slices: list[Slice] = [{"label": band_text(band[0], band[-1], unit), "lowest": band[0], "highest": band[-1]} for band in members]
    return sliced(by, kind, slices, of_example)


def band_ends(ordered: Sequence[float]) -> list[float]:
    """The largest number of each band; of the places where a band may end, those nearest to bands of equal size."""
    count = max(2, min(BANDS, len(ordered) // PER_BAND))
    below = {number: place for place, number in enumerate(ordered, 1)}  # how many numbers are no larger
    largest = ordered[-1]
    inner = [number for number in below if number != largest]
    wanted = [len(ordered) * band / count for band in range(1, count)] if inner else []
    return sorted({*(min(inner, key=lambda number: abs(below[number] - size)) for size in wanted), largest})


def band_text(low: float, high: float, unit: str) -> str:
    span = number_text(low) if low == high else f"{number_text(low)} to {number_text(high)}"
    return f"{span} {unit}{'' if low == high == 1 else 's'}" if unit else span


def named(
    by: str, kind: SliceKind, names: Mapping[str, str], last: Sequence[str] = (), order: Callable[[str], float] | None = None
) -> Slicing:
    """A slice for every name, the largest first or in this order.

    Args:
        names: by the id of an example.
        last: names that come after all others.
    """
    counts = Counter(names.values())
    listed = sorted(counts, key=lambda name: (name in last, order(name) if order else -counts[name], name))
    index = {name: number for number, name in enumerate(listed)}
    slices: list[Slice] = [{"label": shorten(name), "lowest": None, "highest": None} for name in listed]
    return sliced(by, kind, slices, {example: index[name] for example, name in names.items()})


def sliced(by: str, kind: SliceKind, slices: list[Slice], of_example: dict[str, int]) -> Slicing:
    return {"by": by, "kind": kind, "why": None, "remedy": "", "slices": slices, "of_example": of_example}


def with_missing(slicing: Slicing, values: Mapping[str, Any]) -> Slicing:
    """The same with one more slice, of the examples that have no value, if there are any."""
    missing = {example: len(slicing["slices"]) for example in values if example not in slicing["of_example"]}
    last: list[Slice] = [{"label": NO_VALUE, "lowest": None, "highest": None}] if missing else []
    return {**slicing, "slices": [*slicing["slices"], *last], "of_example": slicing["of_example"] | missing}


def refused(by: str, kind: SliceKind, why: str, remedy: str) -> Slicing:
    """No slices, and why."""
    return {"by": by, "kind": kind, "why": why, "remedy": remedy, "slices": [], "of_example": {}}


def checked(slicing: Slicing) -> Slicing:
    """The slicing; of a single slice, which is the whole test set, none, and why."""
    if len(slicing["slices"]) != 1:
        return slicing
    what = {"length": "every prompt has", "label": "every target is"}.get(slicing["kind"], f"every row has, in the column {slicing['by']},")
    return refused(slicing["by"], slicing["kind"], f"{what} {slicing['slices'][0]['label']}", "")
