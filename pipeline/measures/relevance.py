"""Measures relevance: how much the prompt adds to an answer's log-probability, and how often the right prompt explains it best.

Both need nothing but a language model that scores answers. The gain is the mean over answers of log p(answer | prompt) - log p(answer)
per token: their pointwise mutual information (Church and Hanks 1990, https://aclanthology.org/J90-1003) by the base's own reckoning.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measures.rate import rate

Array = NDArray[np.float64]


def of(rows: Sequence[dict[str, Any]], groups: NDArray[np.int64], confidence: float, resamples: int, seed: int) -> dict[str, Any]:
    """{n, gain, low, high, auc, auc_low, auc_high} of an arm's answers.

    An empty answer says nothing about its prompt: its gain is 0, and behind any prompt it scores the same. Answers for which there was
    no other prompt count for the gain alone; where that is so of all, auc and its bounds are None.

    Args:
        rows: of relevance.jsonl, at least one: {tokens, own, other, alone}, sums in nats; other None where there is no other prompt.
        groups: (n,) label of each row's source document; what is resampled and taken as independent.
        resamples: of the bootstrap (BCa) that gives the gain's interval.
    """
    tokens = np.array([max(1, row["tokens"]) for row in rows], dtype=np.float64)
    own, alone = (np.array([row[name] for row in rows]) / tokens for name in ("own", "alone"))
    _, place = np.unique(groups, return_inverse=True)
    gains, counts = (np.bincount(place, each).astype(np.float64) for each in (own - alone, np.ones(len(rows))))
    gain, low, high = rate(gains, counts, confidence, resamples, seed)
    told = {"n": len(rows), "gain": gain, "low": low, "high": high}
    paired = np.array([row["other"] is not None for row in rows])
    if not paired.any():
        return told | {"auc": None, "auc_low": None, "auc_high": None}
    other = np.array([row["other"] for row in rows if row["other"] is not None]) / tokens[paired]
    auc, auc_low, auc_high = area(own[paired], other, groups[paired], confidence)
    return told | {"auc": auc, "auc_low": auc_low, "auc_high": auc_high}


def area(own: Array, other: Array, groups: NDArray[np.int64], confidence: float) -> tuple[float, float, float]:
    """The share of all pairs with own > other, ties half (Mann-Whitney), with an interval; own and other (n,) of the same answers.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988, https://doi.org/10.2307/2531595) summed within groups (Obuchowski
    1997, https://doi.org/10.2307/2533958), since one answer gives a score to both sides. The interval is symmetric in the logit. Where
    all pairs fall one way there is no variance to see; then the far bound is Clopper and Pearson's for as many successes as there are
    groups, which fits since so many of the pairs have nothing in common.
    """
    mine, theirs = placements(own, other), 1 - placements(other, own)
    found = float(mine.mean())
    labels, place = np.unique(groups, return_inverse=True)
    count, tail = len(labels), (1 - confidence) / 2
    if count == 1:
        return found, 0.0, 1.0
    if found in (0.0, 1.0):
        bound = tail ** (1 / count)
        return (found, bound, 1.0) if found else (found, 0.0, 1 - bound)
    apart = np.bincount(place, mine + theirs - 2 * found)
    error = float(np.sqrt(count / (count - 1) * (apart**2).sum())) / len(own)
    half = NormalDist().inv_cdf(1 - tail) * error / (found * (1 - found))
    low, high = (1 / (1 + np.exp(-(np.log(found / (1 - found)) + side * half))) for side in (-1, 1))
    return found, float(low), float(high)


def placements(these: Array, those: Array) -> Array:
    """For each of `these` the share of `those` that are lower, ties half; n log n."""
    ordered = np.sort(those)
    return (np.searchsorted(ordered, these, "left") + np.searchsorted(ordered, these, "right")) / (2 * len(ordered))
