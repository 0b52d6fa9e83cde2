"""Compares the variants of one model with each other on a task: every pair of them, corrected together and exploratory."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import equivalence
from pipeline.scoring import stats, verdict
from pipeline.scoring.scoring import test_name
from pipeline.scoring.stats import Resampled
from pipeline.scoring.verdict import Correction, Verdict
from pipeline.store.figure_types import Equivalence

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairResult:
    """One variant against an earlier one, both as indices of arms."""

    variant: int
    against: int
    difference: stats.Difference
    test: str
    p_adjusted: float
    verdict: Verdict
    same: Equivalence | None


def arms_of(
    statistics: Array, aggregate: stats.Aggregate, group_ids: NDArray[np.int64], seeds: Sequence[int], zero_one: bool
) -> stats.Arms:
    """The arms of a task's variants: the base is arm 0, the variants are arms 1, 2, ...

    Args:
        statistics: (1 + all seeds, n, k) of base and then of every seed of every variant.
        group_ids: (n,); examples of one group are resampled together.
        seeds: of each variant.
        zero_one: whether each example scores 0 or 1.
    """
    first, *others = seeds
    rows = stats.stack(statistics, aggregate, group_ids, first)
    is_paired = zero_one and rows.groups == statistics.shape[1]
    return stats.Arms(rows.sums, aggregate, first, is_paired, tuple(others))


def compare(resampled: Resampled, margin: float | None, correction: Correction) -> list[PairResult]:
    """Every two variants, the later minus the earlier.

    Args:
        resampled: of `arms_of`.
        margin: within which two of them are the same; None: that is not tested.
    """
    pairs = list(combinations(range(1, len(resampled.observed)), 2))
    differences = [resampled.difference(later, earlier) for earlier, later in pairs]
    same = [None if margin is None else equivalence.tost(resampled, later, earlier, margin) for earlier, later in pairs]
    p = [row.p for row in differences]
    # two variants cannot both be equal and differ by the margin, so only one test of a pair can reject a true hypothesis
    adjusted = verdict.adjust([*p, *(row["p"] for row in same if row)], correction, most_true=len(pairs))
    p_same = adjusted[len(pairs) :] or [1.0] * len(pairs)
    return [
        PairResult(
            variant=later,
            against=earlier,
            difference=difference,
            test=test_name(resampled, later, earlier),
            p_adjusted=p_adjusted,
            verdict=word(difference, p_adjusted, resampled.confidence, margin, equal and {**equal, "p": p_equal}),
            same=equal,
        )
        for (earlier, later), difference, equal, p_adjusted, p_equal in zip(
            pairs, differences, same, adjusted[: len(pairs)], p_same, strict=True
        )
    ]


def word(difference: stats.Difference, p: float, confidence: float, margin: float | None, same: Equivalence | None) -> Verdict:
    """The verdict of a pair: `same` goes before improved and worse.

    Args:
        p: adjusted, as is that of `same`.
    """
    if same and margin is not None and same["p"] <= 1 - confidence and -margin < same["low"] and same["high"] < margin:
        return verdict.SAME
    return verdict.decide(p, difference.low, difference.high, confidence)
