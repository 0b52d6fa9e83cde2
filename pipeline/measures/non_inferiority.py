"""Tests whether the adapter made other tasks worse, and whether any loss stays within a margin (non-inferiority).

Non-inferiority is the upper half of Schuirmann's two one-sided tests (1987, https://doi.org/10.1007/BF01068419): the null hypothesis
is that tuned is worse by the margin or more, so too few examples give 'inconclusive' and never 'no regression'. The interval of a suite
holds the margins that neither test rejects, so it agrees with the tests at every margin.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pipeline.measures.rate import rate
from pipeline.scoring import stats
from pipeline.store.figure_types import FlippedExample, SuiteFigures, TestedDifference
from pipeline.store.folders import LossRow
from pipeline.store.score_types import PairedRow

Array = NDArray[np.float64]
MAX_EXAMPLES = 20
"""Broken examples that are listed."""
MAX_SCORE_DROP = 1.0
"""The largest possible drop of a score in 0..1."""
MAX_LOSS_RISE = 1000.0
"""Nats per token: the bound if there are too few paragraphs for a finite one. A uniform guess among 100,000 tokens costs 12."""
HALVINGS = 40
"""Bisections of a bound: to 1e-12 of scores, 1e-9 nats."""


@dataclass(frozen=True)
class NonInferiorityTest:
    """A mean difference (positive: tuned is worse) and its two one-sided tests, as functions of the margin."""

    sums: Array
    """(groups,) sums of differences."""
    counts: Array
    """(groups,) tokens or examples."""
    is_score: bool
    """Whether the differences are of scores in 0..1, not of losses."""

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.counts.sum())

    def not_worse(self, margin: float) -> float:
        """p-value of the hypothesis that the mean is the margin or more; small: shown not to be worse by that much.

        Of scores in groups of one size an exact test is valid whatever is gained: as no group can lose more than 1, a mean of the margin
        or more needs at least that share of groups that lose something, so P(Bin(groups, margin) <= groups that lost) is a p. It stands
        alone where nothing was gained and nothing lost in part; else `score_test_p`, which sees gains, may be smaller. Of 0/1 scores
        both together claim falsely no more often than their level (every outcome counted, docs/decisions.md).
        """
        if not self.is_score:
            return score_test_p(self.sums, self.counts, margin, worst=float((self.sums / self.counts).max()))
        p = score_test_p(self.sums, self.counts, margin, worst=MAX_SCORE_DROP)
        if np.ptp(self.counts) > 0:
            return p
        from scipy.special import bdtr

        exact = float(bdtr(int((self.sums > stats.TIE).sum()), len(self.sums), min(max(margin, 0.0), 1.0)))
        is_whole = bool(np.all((self.sums == 0) | (self.sums == self.counts)))
        return exact if is_whole else min(p, exact)

    def worse(self, margin: float) -> float:
        """p-value of the hypothesis that the mean is the margin or less; small: shown to be worse by more.

        Below zero, and for scores above a half, it is `score_test_p` mirrored: there the few that gain much, or lose nothing, are what a
        sample may miss.
        """
        if 0 <= margin <= (MAX_SCORE_DROP / 2 if self.is_score else MAX_LOSS_RISE):
            return 1 - score_test_p(self.sums, self.counts, margin)
        best = -MAX_SCORE_DROP if self.is_score else float((self.sums / self.counts).min())
        return score_test_p(-self.sums, self.counts, -margin, worst=-best)

    def interval(self, tail: float) -> tuple[float, float]:
        """The margins that neither test rejects at the level `tail`; for scores within -1..1, for losses within MOST_LOSS of zero."""
        limit = MAX_SCORE_DROP if self.is_score else MAX_LOSS_RISE
        high = bisect_bound(self.mean, limit, lambda margin: self.not_worse(margin) <= tail)
        is_worse = self.mean > 0 and self.worse(0.0) <= tail  # a different test applies on either side of zero
        ends = (self.mean, 0.0) if is_worse else (min(self.mean, 0.0), -limit)
        return bisect_bound(*ends, lambda margin: self.worse(margin) <= tail), high


def loss_suite(rows: Sequence[LossRow], margin: float, confidence: float, resamples: int, seed: int) -> SuiteFigures:
    """Loss on plain English; a paragraph is the unit that is resampled.

    base, tuned, difference, margin and KL are nats per token over all tokens. low and high invert the tests of p and p_worse, two-sided at
    the confidence; those of KL are resampled. `flips` counts the paragraphs whose own loss fell (fixed) or rose (broken) by the margin
    or more.

    Args:
        rows: at least one.
    """
    tokens = np.array([row["tokens"] for row in rows], dtype=np.float64)
    base, tuned, kl = np.array([(row["base"], row["tuned"], row["kl"]) for row in rows], dtype=np.float64).T
    rise = tuned - base
    mean, low, high = rate(kl, tokens, confidence, resamples, seed)
    return {
        **run_tests(NonInferiorityTest(rise, tokens, is_score=False), margin, confidence),
        "kind": "loss",
        "task_metric": None,
        "n": len(rows),
        "base": float(base.sum() / tokens.sum()),
        "tuned": float(tuned.sum() / tokens.sum()),
        "kl": {"mean": mean, "low": low, "high": high},
        "flips": {"fixed": int((rise <= -margin * tokens).sum()), "broken": int((rise >= margin * tokens).sum())},
        "broken": [],
        "fixed": [],
    }


def has_something_to_lose(loss: float, vocabulary: int, margin: float) -> bool:
    """Whether a base has anything to lose on a text: its loss (nats per token) is below that of a uniform guess by more than the margin.

    Args:
        vocabulary: number of tokens; a uniform guess costs its natural logarithm.
    """
    return loss < math.log(vocabulary) - margin


def task_suite(rows: Sequence[PairedRow], groups: NDArray[np.int64], margin: float, confidence: float) -> SuiteFigures:
    """Scores on another task; the metric's name is the caller's to set.

    base and tuned are mean scores of examples in 0..1; difference and margin are below zero where tuned is worse. low and high invert the
    tests of p and p_worse, two-sided at the confidence.

    Args:
        rows: at least one.
        groups: (n,) label of each row's source document, the unit of the tests.
    """
    base, tuned = np.array([row["scores"] for row in rows], dtype=np.float64).T
    lost = base - tuned
    return {
        **run_tests(score_difference_test(lost, groups), margin, confidence),
        "kind": "task",
        "task_metric": None,
        "n": len(rows),
        "base": float(base.mean()),
        "tuned": float(tuned.mean()),
        "kl": None,
        "flips": {"fixed": int((lost < -stats.TIE).sum()), "broken": int((lost > stats.TIE).sum())},
        "broken": flipped_examples(rows, lost > stats.TIE),
        "fixed": flipped_examples(rows, lost < -stats.TIE),
    }


def run_tests(test: NonInferiorityTest, margin: float, confidence: float) -> TestedDifference:
    """Tuned minus base with its interval and both tests at the margin, which lies where tuned is worse: below zero for scores."""
    low, high = test.interval((1 - confidence) / 2)
    sign = -1.0 if test.is_score else 1.0
    low, high = sorted((sign * low, sign * high))
    p, p_worse = test.not_worse(margin), test.worse(margin)
    return {"difference": sign * test.mean + 0.0, "low": low + 0.0, "high": high + 0.0, "p": p, "p_worse": p_worse, "margin": sign * margin}


def flipped_examples(rows: Sequence[PairedRow], flipped: NDArray[np.bool_]) -> list[FlippedExample]:
    """The first of the examples that flipped, with the answers of both."""
    examples: list[FlippedExample] = [
        {"id": row["id"], "prompt": row["prompt"], "target": row["target"], "base": row["base"], "tuned": row["tuned"]}
        for row, is_one in zip(rows, flipped, strict=True)
        if is_one
    ]
    return examples[:MAX_EXAMPLES]


def score_difference_test(lost: Array, groups: NDArray[np.int64]) -> NonInferiorityTest:
    """The tests of scores in 0..1; lost (n,) by example, groups (n,) labels of their source documents."""
    _, index = np.unique(groups, return_inverse=True)
    sums, counts = (np.bincount(index, values).astype(np.float64) for values in (lost, np.ones(len(lost))))
    return NonInferiorityTest(sums, counts, is_score=True)


def bisect_bound(inside: float, outside: float, is_rejected: Callable[[float], bool]) -> float:
    """The first rejected margin between `inside` and `outside`, by bisection; `outside` if that is not rejected either."""
    if not is_rejected(outside):
        return outside
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_rejected(middle) else (middle, outside)
    return outside


def score_test_p(sums: Array, counts: Array, margin: float, worst: float | None = None) -> float:
    """One-sided p that the mean difference is the margin or more; small: it is shown to be smaller. 1 - p is the test the other way.

    A normal test over groups (ratio estimator), with the spread about the margin instead of about the mean, so that groups which do
    not differ at all are no proof by themselves. Mostly few examples lose much, and a sample may miss them; so `worst`, the most that
    can be lost or was, is given as much weight as would bring the mean to the margin, if that widens the spread. Where nothing flips
    and worst is 1 this is Tango's score test (1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B).

    Args:
        sums: (groups,) sums of differences, positive: tuned is worse.
        counts: (groups,) tokens or examples.
    """
    excess = sums - margin * counts
    mean = float(sums.sum() / counts.sum())
    square = float((excess**2).sum())
    if worst is not None and mean < margin < worst:
        weight = (margin - mean) / (worst - mean)
        square = max(square, (1 - weight) * square + weight * float((((worst - margin) * counts) ** 2).sum()))
    return NormalDist().cdf(float(excess.sum()) / square**0.5) if square else 0.5
