"""Measures relevance: how much the prompt adds to an answer's log-probability, and how often the right prompt explains it best.

Both need nothing but a language model that scores answers. The gain is the mean over answers of log p(answer | prompt) - log p(answer)
per token: their pointwise mutual information (Church and Hanks 1990, https://aclanthology.org/J90-1003) under the base.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pipeline.measures.rate import rate
from pipeline.store.figure_types import Relevance
from pipeline.store.folders import RelevanceRow

Array = NDArray[np.float64]


def summarize(rows: Sequence[RelevanceRow], groups: NDArray[np.int64], confidence: float, resamples: int, seed: int) -> Relevance:
    """Gain and area under the curve of an arm's answers.

    gain is in nats/token. An empty answer says nothing about its prompt: its gain is 0, and it scores the same after any prompt. Answers
    without another prompt count for the gain alone; if no answer has one, auc and its bounds are None.

    Args:
        rows: at least one.
        groups: (n,) label of every row's source document; groups are resampled and taken as independent.
        resamples: of the bootstrap (BCa) behind the gain's interval.
    """
    tokens = np.array([max(1, row["tokens"]) for row in rows], dtype=np.float64)
    own, alone = np.array([row["own"] for row in rows]) / tokens, np.array([row["alone"] for row in rows]) / tokens
    _, group_indices = np.unique(groups, return_inverse=True)
    gains = np.bincount(group_indices, own - alone).astype(np.float64)
    counts = np.bincount(group_indices).astype(np.float64)
    gain, low, high = rate(gains, counts, confidence, resamples, seed)
    figures: Relevance = {"n": len(rows), "gain": gain, "low": low, "high": high, "auc": None, "auc_low": None, "auc_high": None}
    paired = np.array([row["other"] is not None for row in rows])
    if not paired.any():
        return figures
    other = np.array([row["other"] for row in rows if row["other"] is not None]) / tokens[paired]
    auc, auc_low, auc_high = auc_interval(own[paired], other, groups[paired], confidence)
    return {**figures, "auc": auc, "auc_low": auc_low, "auc_high": auc_high}


def auc_interval(own: Array, other: Array, groups: NDArray[np.int64], confidence: float) -> tuple[float, float, float]:
    """(auc, low, high): the share of all pairs with own > other, ties half (Mann-Whitney), and its interval.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988, https://doi.org/10.2307/2531595) summed within groups (Obuchowski
    1997, https://doi.org/10.2307/2533958), since one answer gives a score to both sides. The interval is symmetric in the logit. If all
    pairs fall on one side, the variance cannot be estimated; then the far bound is Clopper and Pearson's for as many successes as there
    are groups, which fits since so many of the pairs have nothing in common.

    Args:
        own, other: (n,) scores of the same answers after their own prompt and after another one.
        groups: (n,) labels.
    """
    own_shares = share_below(own, other)
    other_shares = 1 - share_below(other, own)
    auc = float(own_shares.mean())
    labels, group_indices = np.unique(groups, return_inverse=True)
    count = len(labels)
    tail = (1 - confidence) / 2
    if count == 1:
        return auc, 0.0, 1.0
    if auc in (0.0, 1.0):
        bound = tail ** (1 / count)
        return (auc, bound, 1.0) if auc else (auc, 0.0, 1 - bound)
    deviations = np.bincount(group_indices, own_shares + other_shares - 2 * auc)
    error = float(np.sqrt(count / (count - 1) * (deviations**2).sum())) / len(own)
    half_width = NormalDist().inv_cdf(1 - tail) * error / (auc * (1 - auc))
    low, high = (1 / (1 + np.exp(-(np.log(auc / (1 - auc)) + side * half_width))) for side in (-1, 1))
    return auc, float(low), float(high)


def share_below(values: Array, others: Array) -> Array:
    """(len(these),) For every one of `these` the share of `those` that are lower, ties half; n log n."""
    sorted_others = np.sort(others)
    return (np.searchsorted(sorted_others, values, "left") + np.searchsorted(sorted_others, values, "right")) / (2 * len(sorted_others))
