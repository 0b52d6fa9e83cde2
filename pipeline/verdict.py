"""From figures to words: better, worse, cannot tell."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pipeline import stats
from pipeline.records import Comparison

Correction = Literal["holm", "none"]


def adjusted(p: Sequence[float], correction: Correction) -> list[float]:
    """p over the whole family of tests, in the given order."""
    return stats.holm(p) if correction == "holm" else list(p)


def word(p_adjusted: float, low: float, high: float, confidence: float, bound: float = 0.0) -> str:
    """`better` above the bound, `worse` below it, else `cannot tell`.

    A verdict needs both: the adjusted p at most 1 - confidence and an interval that excludes the bound. The test bounds
    the false claims of the whole family; the interval alone takes the spread over training seeds into account.
    """
    shown = p_adjusted <= 1 - confidence and not low <= bound <= high
    return ("better" if low > bound else "worse") if shown else "cannot tell"


def judge(comparisons: list[Comparison], confidence: float, correction: Correction) -> list[Comparison]:
    """The same rows in the same order; the primary ones with p_adjusted and verdict, as if they were the whole family of tests.

    A report claims more than lifts; its family is that of measures.claims.
    """
    family = iter(adjusted([row.p for row in comparisons if row.primary], correction))
    return [verdict(row, next(family), confidence) if row.primary else row for row in comparisons]


def verdict(row: Comparison, p_adjusted: float, confidence: float) -> Comparison:
    return replace(row, p_adjusted=p_adjusted, verdict=word(p_adjusted, row.low, row.high, confidence))
