"""From many comparisons to words: better, worse, cannot tell."""

from dataclasses import replace
from typing import Literal

from pipeline import stats
from pipeline.records import Comparison


def judge(comparisons: list[Comparison], confidence: float, correction: Literal["holm", "none"]) -> list[Comparison]:
    """The same rows in the same order; the primary ones, which are the family of tests, with p_adjusted and verdict.

    A verdict needs both: the adjusted p at most 1 - confidence and an interval that excludes zero. The test bounds
    the false claims of the whole family; the interval alone takes the spread over training seeds into account.
    """
    family = [row for row in comparisons if row.primary]
    p = [row.p for row in family]
    adjusted = iter(stats.holm(p) if correction == "holm" else p)
    return [verdict(row, next(adjusted), confidence) if row.primary else row for row in comparisons]


def verdict(row: Comparison, p_adjusted: float, confidence: float) -> Comparison:
    shown = p_adjusted <= 1 - confidence and not row.low <= 0 <= row.high
    word = ("better" if row.low > 0 else "worse") if shown else "cannot tell"
    return replace(row, p_adjusted=p_adjusted, verdict=word)
