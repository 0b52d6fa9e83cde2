"""Computes a rate over groups, sum over count, with its bootstrap interval."""

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring import stats

Array = NDArray[np.float64]


def rate(sums: Array, counts: Array, confidence: float, resamples: int, seed: int) -> tuple[float, float, float]:
    """The sum of `sums` over that of `counts`, both (groups,), and the bounds of its BCa interval (Efron 1987, stats.interval).

    Groups are drawn with replacement, numerator and denominator together. With a single group both bounds are the value.
    """
    rows = np.stack([sums, counts], axis=1).astype(np.float64)
    groups = len(sums)
    value = float(rows[:, 0].sum() / rows[:, 1].sum())
    if groups == 1:
        return value, value, value
    rng = np.random.default_rng(seed)
    estimates = np.empty(resamples)
    jackknife = rows.sum(axis=0) - rows
    for chunk in stats.chunks(resamples, groups):
        totals = stats.draws(rng, chunk.stop - chunk.start, groups) @ rows
        estimates[chunk] = totals[:, 0] / totals[:, 1]
    low, high = stats.interval(value, estimates, jackknife[:, 0] / jackknife[:, 1], confidence, "bca")
    return value, low, high
