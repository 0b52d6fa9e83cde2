"""Tests whether two arms score the same within a margin (TOST), for the verdict `same`.

Two one-sided tests (Schuirmann 1987, https://doi.org/10.1007/BF01068419): the null hypothesis is that the arms differ by the margin or
more, either way; each direction is tested at the level 1 - confidence, which is a valid level for both, as only one can be true. So too few
examples give 'inconclusive' and never 'same'.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from pipeline.measures.first_seed import beside_first_seed
from pipeline.measures.non_inferiority import NonInferiorityTest
from pipeline.scoring import stats
from pipeline.scoring.stats import Resampled
from pipeline.store.figure_types import DecompositionFigures, Equivalence, EquivalenceTests

MERGED = ("merged", "merged_original")
"""Arms that should answer as the fine-tuned model does."""


def measure(names: Sequence[str], resampled: Resampled, decomposition: DecompositionFigures, margin: float) -> EquivalenceTests:
    """The fine-tuned model against base, against the best baseline, and merged arms against the fine-tuned model.

    Args:
        names: of the arms at the indices of `resampled`, the primary metric's.
        decomposition: of the same metric.
    """
    index = {name: number for number, name in enumerate(names)}
    candidates = [index[name] for name in decomposition["candidates"]]
    return {
        "margin": margin,
        "lift": tost(resampled, stats.TUNED, stats.BASE, margin),
        "training": against_best(resampled, index[decomposition["best_cheap"]], candidates, margin),
        "merged": {arm: against_first_seed(resampled, index[arm], margin) for arm in MERGED if arm in index},
    }


def against_first_seed(resampled: Resampled, merged: int, margin: float) -> Equivalence:
    """A merged arm minus the fine-tuned model of the seed that it was merged from, the first: the mean over seeds would count their
    differences as a loss by merging."""
    if resampled.arms.seeds == 1:
        return tost(resampled, merged, stats.TUNED, margin)
    return tost(beside_first_seed(resampled, merged), stats.TUNED, stats.BASE, margin)


def tost(resampled: Resampled, one: int, other: int, margin: float) -> Equivalence:
    """Arm `one` minus arm `other`: p is the larger one of both directions, the interval has the level of both (90 % at 95 % confidence)."""
    difference = resampled.at_confidence(2 * resampled.confidence - 1).difference(one, other)
    p = max(below(resampled, one, other, margin), below(resampled, other, one, margin))
    return {"value": difference.value, "low": difference.low, "high": difference.high, "p": p}


def against_best(resampled: Resampled, best: int, candidates: Sequence[int], margin: float) -> Equivalence:
    """Tuned against the best of several arms, when the sample does not show for sure which one is the best.

    It is no worse than the best by the margin if that holds against each (intersection-union test: the least favourable p and low), and
    no better by the margin if that holds against one, chosen by its score, so this p is multiplied by their number (Bonferroni).
    """
    over_best = tost(resampled, stats.TUNED, best, margin)
    no_better = min(1.0, len(candidates) * below(resampled, stats.TUNED, best, margin))
    no_worse = max(below(resampled, index, stats.TUNED, margin) for index in candidates)
    low = min(tost(resampled, stats.TUNED, index, margin)["low"] for index in candidates)
    return {**over_best, "low": low, "p": max(no_better, no_worse)}


def below(resampled: Resampled, one: int, other: int, margin: float) -> float:
    """One-sided p that arm `one` exceeds arm `other` by the margin or more; small: it does not.

    Of single right or wrong answers the test of non-inferiority: Tango's score test (1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)
    17:8<891::AID-SIM780>3.0.CO;2-B) with the exact one beside it. Else a normal test with the bootstrap's standard error; where all
    resamples agree, the chance that no group of the sample is one of the share `margin` that differs. Of a mean over training seeds the
    larger of this and the p that covers other seeds.
    """
    if resampled.is_mcnemar(one, other):
        gains = [resampled.arms.aggregate(resampled.arms.sums[:, resampled.arms.rows(arm)])[:, 0] for arm in (one, other)]
        excess = gains[0] - gains[1]
        return NonInferiorityTest(excess, np.ones(len(excess)), is_score=True).not_worse(margin)
    value = float(resampled.observed[one] - resampled.observed[other])
    variance = resampled.seed_variance(one, other)
    return max(below_over_examples(resampled, one, other, margin), variance.one_sided_p(margin - value) if variance else 0.0)


def below_over_examples(resampled: Resampled, one: int, other: int, margin: float) -> float:
    """`below` of scores that are not right or wrong, by a normal test over examples."""
    value = float(resampled.observed[one] - resampled.observed[other])
    error = resampled.standard_error(one, other)
    if error <= stats.TIE:
        return (1 - margin) ** resampled.arms.groups if value < margin else 1.0
    return NormalDist().cdf((value - margin) / error)
