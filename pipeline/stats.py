"""Paired statistics of base against tuned: pure functions over sums of examples' statistics.

Every metric is a function of added-up statistics of examples (metrics/base.py). Examples of one source document
are summed to one row first, so the group is the unit that is resampled, swapped and left out. Several training
seeds are several tuned arms over the same groups; the lift is the mean over seeds of tuned minus base.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Aggregate = Callable[[Array], Array]
Method = Literal["bca", "percentile"]

CELLS = 2**16
"""Resamples are drawn in chunks of about so many weights (half a MiB): they stay in the processor's cache."""
TIE = 1e-12
"""Lifts closer than this are equal: sums of the same scores in another order differ in the last bits."""


@dataclass(frozen=True)
class Paired:
    """Statistics of both arms, one row a group."""

    sums: Array
    """(groups, 1 + seeds, k): base first, then one tuned arm a seed."""
    aggregate: Aggregate
    """Summed statistics (..., k) to scores (...)."""

    @property
    def groups(self) -> int:
        return int(self.sums.shape[0])

    @property
    def seeds(self) -> int:
        return int(self.sums.shape[1]) - 1

    def scores(self) -> Array:
        """Scores (1 + seeds,) of the arms over all examples."""
        return self.aggregate(self.sums.sum(axis=0))

    def lift(self) -> float:
        return float(mean_lift(self.scores()))

    def weighted(self, weights: Array) -> Array:
        """Scores (r, 1 + seeds) where row i counts group j weights[i, j] times; weights (r, groups)."""
        return self.aggregate(np.tensordot(weights, self.sums, axes=1))


def pair(base: Array, tuned: Array, aggregate: Aggregate, groups: NDArray[np.int64] | None = None) -> Paired:
    """Pair the statistics of base (n, k) and tuned (seeds, n, k); examples with one label in `groups` (n,) are summed."""
    rows = np.concatenate([base[None], tuned]).swapaxes(0, 1)
    if groups is None:
        return Paired(np.ascontiguousarray(rows), aggregate)
    labels, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(labels), *rows.shape[1:]))
    np.add.at(sums, place, rows)
    return Paired(sums, aggregate)


def mean_lift(scores: Array) -> Array:
    """Lift (...) of scores (..., 1 + seeds): mean of the tuned arms minus base."""
    return np.asarray(scores[..., 1:].mean(axis=-1) - scores[..., 0])


def bootstrap(paired: Paired, resamples: int, seed: int) -> Array:
    """Lifts (resamples,) of paired bootstrap resamples: groups drawn with replacement, the same for every arm.

    With several seeds these are drawn with replacement too, independently of the groups (the pigeonhole bootstrap
    of crossed factors, Owen 2007, doi:10.1214/07-AOAS122).
    """
    rng = np.random.default_rng(seed)
    lifts = np.empty(resamples)
    for part in chunks(resamples, paired.groups):
        scores = paired.weighted(draws(rng, part.stop - part.start, paired.groups))
        chosen = draws(rng, len(scores), paired.seeds) / paired.seeds
        lifts[part] = (scores[:, 1:] * chosen).sum(axis=1) - scores[:, 0]
    return lifts


def draws(rng: np.random.Generator, rows: int, size: int) -> Array:
    """How often (rows, size) each of `size` items comes up in `size` draws with replacement."""
    index = rng.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(index.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


def chunks(resamples: int, groups: int) -> Iterator[slice]:
    step = max(1, CELLS // groups)
    for start in range(0, resamples, step):
        yield slice(start, min(start + step, resamples))


def interval(paired: Paired, lifts: Array, confidence: float, method: Method) -> tuple[float, float]:
    """Two-sided interval of the lift from its bootstrap distribution `lifts` (resamples,).

    `percentile` takes the quantiles as they are; `bca` shifts them for bias and skewness (Efron 1987,
    doi:10.1080/01621459.1987.10478410), with the acceleration from leaving out one group at a time.
    Where all resamples agree the interval is that point.
    """
    lift = paired.lift()
    if np.ptp(lifts) <= TIE:
        return lift, lift
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if method == "bca":
        below = (np.mean(lifts < lift - TIE) + np.mean(lifts <= lift + TIE)) / 2
        half = 0.5 / len(lifts)
        tails = bca_tails(tails, bias=float(np.clip(below, half, 1 - half)), acceleration=acceleration(paired))
    low, high = np.quantile(lifts, tails)
    return float(low), float(high)


def bca_tails(tails: Sequence[float], bias: float, acceleration: float) -> list[float]:
    """Which quantiles to take instead of `tails`; `bias` is the share of resamples below the observed lift."""
    normal = NormalDist()
    shift = normal.inv_cdf(bias)
    moved = [shift + normal.inv_cdf(tail) for tail in tails]
    return [normal.cdf(shift + z / (1 - acceleration * z)) for z in moved]


def acceleration(paired: Paired) -> float:
    """Skewness of the jackknife values over groups, divided by 6 (Efron 1987, equation 6.6)."""
    left_out = mean_lift(paired.aggregate(paired.sums.sum(axis=0) - paired.sums))
    influence = left_out.mean() - left_out
    square = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * square**1.5) if square > TIE**2 else 0.0


def randomization(paired: Paired, resamples: int, seed: int) -> float:
    """Two-sided p of the paired randomization test: within each group the arms change places or do not.

    Exact over all 2^groups swaps where these are no more than `resamples`, otherwise (count + 1) / (resamples + 1)
    over random ones (Noreen 1989, Computer-Intensive Methods for Testing Hypotheses, 'approximate randomization').
    For a mean metric this is the sign-flip test. Several seeds are swapped together, so their spread is not tested.
    """
    swap = np.ascontiguousarray(paired.sums[:, 1:] - paired.sums[:, :1])
    swap = swap[np.any(swap != 0, axis=(1, 2))]  # groups that answer alike in all arms change nothing
    exact = 2 ** min(len(swap), 62) <= resamples
    observed, count = abs(paired.lift()) - TIE, 0
    swaps = all_swaps(len(swap)) if exact else random_swaps(len(swap), resamples, seed)
    total = paired.sums.sum(axis=0)
    for chosen in swaps:
        moved = np.tensordot(chosen, swap, axes=1)
        lifts = paired.aggregate(total[1:] - moved) - paired.aggregate(total[:1] + moved)
        count += int((np.abs(lifts.mean(axis=1)) >= observed).sum())
    return count / 2 ** len(swap) if exact else (count + 1) / (resamples + 1)


def all_swaps(groups: int) -> Iterator[Array]:
    """Every row (groups,) of zeros and ones, once."""
    for part in chunks(2**groups, max(1, groups)):
        yield (np.arange(part.start, part.stop)[:, None] >> np.arange(groups) & 1).astype(np.float64)


def random_swaps(groups: int, resamples: int, seed: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    for part in chunks(resamples, groups):
        rows = part.stop - part.start
        bits = np.frombuffer(rng.bytes((rows * groups + 7) // 8), dtype=np.uint8)
        yield np.unpackbits(bits, count=rows * groups).reshape(rows, groups).astype(np.float64)


def exact_mcnemar(fixed: int, broken: int) -> float:
    """Two-sided exact p that the discordant pairs fall either way alike (McNemar 1947); 1 where there are none."""
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """p adjusted for the family by Holm's step-down method (1979), in the given order."""
    from statsmodels.stats.multitest import multipletests

    return [float(x) for x in multipletests(p, method="holm")[1]] if p else []


def smallest_effect(standard_error: float, confidence: float = 0.95, power: float = 0.8) -> float:
    """Smallest true lift that a two-sided test at this confidence shows with this power: (z_{1-a/2} + z_power) * SE."""
    normal = NormalDist()
    return (normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)) * standard_error


def planned_effect(n: int, discordance: float, confidence: float = 0.95, power: float = 0.8) -> float:
    """The same before a run, for answers that are right or wrong: 2.80 * sqrt(d / n) with the defaults.

    `discordance` d is the share of the n examples that one arm gets right and the other wrong. The lift is at most d,
    so that a small d cannot promise more than 2.80^2 / n, the lift that is visible when it equals d.
    """
    factor = smallest_effect(1.0, confidence, power)
    return max(factor * float(np.sqrt(discordance / n)), factor**2 / n)
