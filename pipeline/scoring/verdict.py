"""Decides a verdict from figures: better, worse or cannot tell. No other file spells the three words."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

from pipeline.scoring import stats

Correction = Literal["holm", "none"]
Verdict = Literal["better", "worse", "cannot tell"]
BETTER: Final = "better"
WORSE: Final = "worse"
CANNOT_TELL: Final = "cannot tell"
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def adjust(p: Sequence[float], correction: Correction) -> list[float]:
    """p over the whole family of tests, in the given order."""
    return stats.holm(p) if correction == "holm" else list(p)


def decide(p_adjusted: float, low: float, high: float, confidence: float, bound: float = 0.0) -> Verdict:
    """`better` above the bound, `worse` below it, else `cannot tell`.

    A verdict needs both an adjusted p of at most 1 - confidence and an interval that excludes the bound. The test limits
    false claims over the whole family; only the interval accounts for the spread over training seeds.
    """
    if p_adjusted <= 1 - confidence:
        return by_interval(low - bound, high - bound)
    return CANNOT_TELL


def by_interval(low: float, high: float) -> Verdict:
    """The verdict of an interval alone, for figures that are exploratory."""
    return BETTER if low > 0 else WORSE if high < 0 else CANNOT_TELL
