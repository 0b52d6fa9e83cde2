"""Adds what other training seeds would show to intervals, p-values and detectable effects of a mean over K training seeds.

Seeds and examples are crossed: score of seed k on group i = mean + seed_k + group_i + rest_ki. The squared standard error of the mean is
the sum of two parts: that of the seeds and the rest, estimated by the spread of the K scores with K - 1 degrees of freedom, and that of
the groups, estimated by resampling examples with the seeds fixed, less the rest, which the first part holds already.

K is small, so each part has its own quantile, t(K - 1) for the seeds and the normal one for the examples, and the distances are added in
quadrature; a difference of two such means has a part for the seeds of either side (Banerjee 1960, Approximate confidence interval for
linear functions of means of k populations when the population variances are not equal, Sankhya 22, 357-358). It errs no more often
than its level at any ratio of the parts and at any level, as the distribution function of a squared normal variate is concave. One t with
Satterthwaite's degrees of freedom errs up to 2.5 times as often as its level of 5 % with two seeds, 12 times at 0.5 %
(docs/decisions.md). The interval is never narrower than that over examples alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pipeline.store.score_types import SeedErrors

Array = NDArray[np.float64]
OWN_FLIPS = 0.5
"""Before a run: share of the answers that differ between base and tuned which is a seed's own, so that another seed does not repeat it."""
SMALLEST_P = 1e-15
HALVINGS = 60
QUANTILES = 500
"""Of the estimated variance over seeds, that power is averaged over."""


@dataclass(frozen=True)
class SeedVariance:
    """Standard errors of one score, or difference, that is a mean over training seeds."""

    seeds: int
    """At least 2."""
    examples: float
    """Over examples, with the seeds fixed; `rest` is a part of it."""
    between: float
    """Standard deviation of the seeds' scores, divided by the root of their number; `rest` is a part of it too."""
    rest: float
    """Of what neither the seed nor the example explains."""
    second: "SeedVariance | None" = None
    """Of the other side of a difference, where that is a mean over seeds of its own too; its `examples` are those of the difference."""

    @classmethod
    def of(cls, scores: Array, jackknife_scores: Array, examples: float) -> "SeedVariance":
        """From the score of each seed (seeds,) and those without each group (groups, seeds); an arm without seeds that is subtracted from
        all of them changes neither."""
        groups, seeds = jackknife_scores.shape
        centered = jackknife_scores - jackknife_scores.mean(axis=0)
        interaction = centered - centered.mean(axis=1, keepdims=True)
        rest = (groups - 1) / groups * float((interaction**2).sum()) / (seeds * (seeds - 1))
        return cls(seeds, examples, float(scores.std(ddof=1)) / sqrt(seeds), sqrt(rest))

    @classmethod
    def planned(cls, seeds: int) -> "SeedVariance":
        """Before a run, for one example whose answers differ: the standard errors of n examples with discordance d are these times
        sqrt(d / n). The true effects of the seeds are taken to be equal, which is the best case."""
        rest = OWN_FLIPS / seeds
        return cls(seeds, sqrt(1 - OWN_FLIPS + rest), sqrt(rest), sqrt(rest))

    @property
    def errors(self) -> SeedErrors:
        """Of a difference with seeds on one side, as all of a comparison are."""
        return {"seeds": self.seeds, "examples": self.examples, "between": self.between, "rest": self.rest}

    @property
    def common(self) -> float:
        """Standard error over examples that all seeds share."""
        rest = self.second.rest**2 if self.second else 0.0
        return sqrt(max(0.0, self.examples**2 - self.rest**2 - rest))

    def reach(self, distance: float, confidence: float) -> float:
        """The distance from the estimate to an end of its interval, from that over examples alone."""
        shared = distance * self.common / self.examples if self.examples > 0 else distance
        over_seeds = [part.between * t_quantile(1 - confidence, part.seeds) for part in (self, self.second) if part]
        return max(distance, float(np.hypot.reduce([shared, *over_seeds])))

    def p(self, gap: float) -> float:
        """Two-sided p of a true value that is `gap` >= 0 away from the estimate: the level at which the interval just reaches it."""
        return inverted(lambda level: self.reach(z_quantile(level) * self.examples, 1 - level), gap)

    def one_sided_p(self, gap: float) -> float:
        """One-sided p of a true value that is `gap` above the estimate or higher; below the estimate where `gap` is negative."""
        p = self.p(abs(gap)) / 2
        return p if gap > 0 else 1 - p

    def smallest_effect(self, confidence: float, power: float = 0.8) -> float:
        """The smallest true difference that the interval excludes zero for with this power, if the standard errors are the true ones; of
        seeds on one side."""
        from scipy.special import gammaincinv, ndtr

        assert self.second is None
        variance = max(self.between, self.rest) ** 2
        degrees = self.seeds - 1
        estimates = variance * gammaincinv(degrees / 2, (np.arange(QUANTILES) + 0.5) / QUANTILES) * 2 / degrees
        over_examples, t = z_quantile(1 - confidence) * self.examples, t_quantile(1 - confidence, self.seeds)
        ends = np.maximum(over_examples, np.sqrt((z_quantile(1 - confidence) * self.common) ** 2 + t**2 * estimates))
        error = sqrt(self.common**2 + variance)
        if error == 0:
            return 0.0
        low, high = 0.0, float(ends.max()) + 10 * error
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if ndtr((middle - ends) / error).mean() < power else (low, middle)
        return high


def inverted(reach: Callable[[float], float], gap: float) -> float:
    """The level in SMALLEST_P..1 at which a reach that falls with the level equals `gap`; by bisection of its logarithm."""
    low, high = np.log(SMALLEST_P), 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if reach(float(np.exp(middle))) > gap else (low, middle)
    return float(np.exp(high))


def z_quantile(level: float) -> float:
    """Two-sided normal quantile of a level: 1.96 of 0.05."""
    return -NormalDist().inv_cdf(level / 2)


def t_quantile(level: float, seeds: int) -> float:
    """Two-sided quantile of t with seeds - 1 degrees of freedom: of 0.05 12.7 for two seeds, 4.3 for three, 2.8 for five."""
    from scipy.special import stdtrit

    return -float(stdtrit(seeds - 1, level / 2))
