"""From figures to words: better, worse, cannot tell."""

from collections.abc import Sequence
from typing import Literal

from pipeline.scoring import stats

Correction = Literal["holm", "none"]


def adjusted(p: Sequence[float], correction: Correction) -> list[float]:
    """p over the whole family of tests, in the given order."""
    return stats.holm(p) if correction == "holm" else list(p)


def word(p_adjusted: float, low: float, high: float, confidence: float, bound: float = 0.0) -> str:
    """`better` above the bound, `worse` below it, else `cannot tell`.

    A verdict needs both: the adjusted p at most 1 - confidence and an interval that excludes the bound. The test bounds
    the false claims of the whole family; the interval alone takes the spread over training seeds into account.
    """
    shown = p_adjusted <= 1 - confidence
    return "better" if shown and low > bound else "worse" if shown and high < bound else "cannot tell"
