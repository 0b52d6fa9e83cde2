"""Declares the types of slices of a test set and of the scores in them, as files and report.json hold them."""

from typing import Literal, TypedDict

from pipeline.store.figure_types import PartialInterval
from pipeline.store.score_types import Interval

SliceKind = Literal["length", "label", "column"]


class Slice(TypedDict):
    """Test examples that have something in common."""

    label: str
    """What they have in common, in words: `12 to 42 words`, `no value`."""
    lowest: float | None
    """Of a band the smallest value in it; null for a slice that is no band."""
    highest: float | None


class SliceEntry(TypedDict):
    """What the recipe slices a test set by."""

    by: str
    """`length`, `label`, or the name of a column."""
    kind: SliceKind
    """Words of the prompt, target, or a column of the test rows."""


class SlicedBy(SliceEntry):
    """An entry of the recipe, and whether a test set can be sliced so."""

    why: str | None
    """Why this test set cannot be sliced so; null where it is."""


class Slicing(SlicedBy):
    """One entry of slicing.json: the slice of every test example."""

    remedy: str
    """What to write instead; empty where the recipe is no mistake."""
    slices: list[Slice]
    of_example: dict[str, int]
    """By the id of an example, the index of its slice."""


class RestDifference(Interval):
    """The lift in a slice minus the lift on all other test examples."""

    value: float
    p: float
    """Two-sided, by itself."""


class SliceFigures(Slice, PartialInterval):
    """Base and fine-tuned on one slice; low, high and p are those of the lift, and null where the slice is too small for a test."""

    n: int
    """Test examples."""
    groups: int
    """Source documents, or examples where each is its own."""
    base: float
    tuned: float
    """Over several training seeds their mean."""
    lift: float
    p: float | None
    """Two-sided, by itself."""


class SliceScores(SliceFigures):
    """The figures of one slice, and how its lift differs from that on the rest."""

    rest: RestDifference | None
    """Null where the slice, or the rest, is too small for a test."""


class SlicingScores(SlicedBy):
    """One entry of slices.json of a comparison."""

    metric: str
    """The primary one, or that of single examples where it counts over classes."""
    slices: list[SliceScores]
    shared_groups: int
    """Source documents whose examples are in several slices."""
