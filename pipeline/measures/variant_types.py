"""Declares the types of the variants of one model in report.json: their scores, and every two of them compared."""

from typing import Any, TypedDict

from pipeline.measures.cell_types import Churn
from pipeline.scoring.verdict import Correction, Verdict
from pipeline.store.figure_types import Equivalence
from pipeline.store.score_types import Interval


class VariantScore(Interval):
    """A variant's score by the primary metric; of several training seeds their mean."""

    name: str
    """As the recipe calls it."""
    cell: str
    seeds: int
    """Training seeds; with one, low and high cover test examples only."""
    score: float


class VariantPair(Interval):
    """Two variants on the same test examples; low and high are those of `lift`."""

    variant: str
    """The later one in the recipe."""
    against: str
    """The earlier one."""
    lift: float
    """Score of `variant` minus score of `against`. Interval and p cover other training seeds of each that has several."""
    p: float
    """Two-sided, of this pair alone."""
    test: str
    """`exact McNemar`, `paired randomization`, or where one of them has several seeds `paired randomization and t over seeds`."""
    p_adjusted: float
    """Over the pairs of this table, and their tests for being the same where the recipe has a margin."""
    verdict: Verdict
    """Of `variant` over `against`."""
    same: Equivalence | None
    """The test for being the same within the margin; null without one."""
    fixed: int
    """Examples that `variant` scores higher on, by the mean over its seeds."""
    broken: int
    """Examples that it scores lower on."""
    churn: Churn | None
    """Wrong answers that are other wrong ones, over all pairs of seeds; null for graded scores."""


class VariantTable(TypedDict):
    """The variants of one model on one task. Every figure here is exploratory."""

    task: str
    point: dict[str, Any]
    """Other swept keys with their values; empty where nothing else is swept."""
    label: str
    """Task and point in words."""
    metric: str
    n: int
    correction: Correction
    """Of the p-values of this table."""
    tests: int
    """How many are corrected together."""
    margin: float | None
    """Within which two variants are the same; null if the recipe has none."""
    scores: list[VariantScore]
    """In the order of the recipe."""
    range: float
    """Highest score minus lowest."""
    sd: float
    """Standard deviation of the scores over variants; it holds the noise of a sample of test examples too."""
    pairs: list[VariantPair]
    sentence: str
    """How far the variants differ, in a line."""
