"""Computes paired statistics of the arms of a task: pure functions over sums of examples' statistics.

Every metric is a function of added-up statistics of examples (metrics/base.py). Examples of one source document
are summed to one row first, so the group is the unit that is resampled, swapped and left out. Several training
seeds are several tuned arms over the same groups; the score of tuned is their mean, and so is that of another
arm with several. Resampling and swapping keep the seeds fixed; `seed_variance` adds what other seeds would show.
Resampling weights and swaps are drawn once for all arms and metrics of a task, so every difference uses the same resamples.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring.detectable import planned_effect, smallest_effect
from pipeline.scoring.seed_variance import SeedVariance
from pipeline.store.records import Example

Array = NDArray[np.float64]
Aggregate = Callable[[Array], Array]
IntervalMethod = Literal["bca", "percentile"]

BASE, TUNED = 0, 1
"""Indices of the arms among scores; the other arms follow in their order."""
CHUNK_WEIGHTS = 2**16
"""Weights in a chunk of resamples (half a MiB), so that they fit into the processor's cache."""
MAX_PRODUCT = 2**18
"""Limit of one matrix product, in multiplications: OpenBLAS runs it on the calling thread. Larger ones start threads that wait for each
other; on two busy cores the statistics took thirty times as long."""
TIE = 1e-12
"""Lifts that differ by less are equal: the order of a sum changes its last bits."""


@dataclass(frozen=True)
class Arms:
    """Statistics of every arm of a task under one metric, one row per group."""

    sums: Array
    """(groups, rows, k): base first, then one row per seed of tuned, then the other arms, of one row unless `other_seeds` says more."""
    aggregate: Aggregate
    """Summed statistics (..., k) to scores (...)."""
    seeds: int = 1
    """Of tuned."""
    right_or_wrong: bool = False
    """Whether every group is one example and scores 0 or 1."""
    other_seeds: tuple[int, ...] = ()
    """Of each other arm; empty: one each."""

    @property
    def groups(self) -> int:
        return int(self.sums.shape[0])

    @cached_property
    def seeds_of_arms(self) -> tuple[int, ...]:
        """Rows of each arm."""
        return (1, self.seeds, *(self.other_seeds or (1,) * (int(self.sums.shape[1]) - 1 - self.seeds)))

    def rows(self, arm: int) -> slice:
        """Rows in `sums` of the arm with this index among scores, one per seed."""
        start = sum(self.seeds_of_arms[:arm])
        return slice(start, start + self.seeds_of_arms[arm])

    def has_seeds(self, *arms: int | None) -> bool:
        """Whether one of the arms is a mean over several seeds."""
        return any(arm is not None and self.seeds_of_arms[arm] > 1 for arm in arms)

    def scores(self, totals: Array) -> Array:
        """Scores (..., 2 + others) of base, tuned and the others from summed statistics (..., arms, k)."""
        return self.means(self.aggregate(totals))

    def means(self, scores: Array) -> Array:
        """Scores (..., 2 + others) from those of the rows (..., rows): the score of an arm is the mean over its seeds."""
        return np.stack([scores[..., self.rows(arm)].mean(axis=-1) for arm in range(len(self.seeds_of_arms))], axis=-1)


@dataclass(frozen=True)
class Difference:
    """One arm's score minus another's."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided; the null hypothesis is that the arms score the same."""


@dataclass(frozen=True)
class Resampled:
    """Bootstrap, jackknife and randomization scores of one metric; an arm is its index among scores: BASE, TUNED, 2, 3, ..."""

    arms: Arms
    observed: Array
    """Scores (2 + others,) over all examples."""
    bootstrap_scores: Array
    """Scores (resamples, 2 + others) of bootstrap resamples."""
    jackknife_scores: Array
    """Scores (groups, 2 + others) without each group."""
    row_scores: Array
    """Scores (1 + groups, rows) of every seed of every arm: over all examples, then without each group."""
    swap_sums: Array | None
    """Summed statistics (resamples, arms, k) of the groups that change places in the randomization test; None where every test is exact."""
    confidence: float
    method: IntervalMethod

    def difference(self, one: int, other: int) -> Difference:
        """Arm `one` minus arm `other`, with interval and p; where one is a mean over seeds both cover other seeds."""
        if one == other:
            return Difference(0.0, 0.0, 0.0, 1.0)
        value, ends = float(self.observed[one] - self.observed[other]), self.over_examples(one, other)
        return Difference(value, *self.over_seeds(one, other, *ends), self.p(one, other))

    def over_examples(self, one: int, other: int) -> tuple[float, float]:
        """The interval of arm `one` minus arm `other` that covers other examples, with the seeds fixed."""
        all_scores = (self.observed, self.bootstrap_scores, self.jackknife_scores)
        value, resampled, jackknifed = (scores[..., one] - scores[..., other] for scores in all_scores)
        return self.widened(float(value), *interval(float(value), resampled, jackknifed, self.confidence, self.method), lowest=-1.0)

    def at_confidence(self, confidence: float) -> "Resampled":
        """The same resamples with intervals at another confidence."""
        return replace(self, confidence=confidence)

    def widened(self, value: float, low: float, high: float, lowest: float) -> tuple[float, float]:
        """The interval of a score or difference, wider where all resamples agree: though every group shows one thing, up to
        1 - (1 - confidence)^(1/groups) of all groups may show another (at 95 % the rule of three: Hanley & Lippman-Hand 1983,
        doi:10.1001/jama.1983.03330370053031): at worst `lowest`, at best 1.
        """
        if high - low > TIE:
            return low, high
        share = 1 - (1 - self.confidence) ** (1 / self.arms.groups)
        return value - share * (value - lowest), value + share * (1 - value)

    def seed_variance(self, one: int, other: int | None = None) -> SeedVariance | None:
        """The standard errors of the score of `one`, or of its difference from `other`; None where neither is a mean over seeds."""
        rows = [self.arms.rows(arm) for arm in (one, other) if arm is not None and self.arms.has_seeds(arm)]
        if not rows:
            return None
        examples = self.standard_error(one, other)
        first, *second = (SeedVariance.of(self.row_scores[0, seeds], self.row_scores[1:, seeds], examples) for seeds in rows)
        return replace(first, second=second[0]) if second else first

    def over_seeds(self, one: int, other: int | None, low: float, high: float) -> tuple[float, float]:
        """The interval over examples, wider by what other seeds would show; within what scores allow."""
        variance = self.seed_variance(one, other)
        if variance is None:
            return low, high
        value = float(self.observed[one] - (0.0 if other is None else self.observed[other]))
        lowest = 0.0 if other is None else -1.0
        ends = (value - variance.reach(value - low, self.confidence), value + variance.reach(high - value, self.confidence))
        return max(lowest, ends[0]), min(1.0, ends[1])

    def p(self, one: int, other: int) -> float:
        """Exact McNemar test where `is_mcnemar`, else paired randomization; of a mean over seeds the larger of this and that over seeds."""
        if not self.is_mcnemar(one, other):
            over_examples = randomization(self.arms, one, other, self.swap_sums, len(self.bootstrap_scores))
            variance = self.seed_variance(one, other)
            return max(over_examples, variance.p(abs(float(self.observed[one] - self.observed[other])))) if variance else over_examples
        first, second = (self.arms.aggregate(self.arms.sums[:, self.arms.rows(arm)])[:, 0] for arm in (one, other))
        return exact_mcnemar(int((first > second).sum()), int((first < second).sum()))

    def is_mcnemar(self, one: int, other: int) -> bool:
        """McNemar's test needs single right or wrong answers: no means over seeds, no groups of several examples."""
        return self.arms.right_or_wrong and not self.arms.has_seeds(one, other)

    def score_interval(self, arm: int) -> tuple[float, float]:
        """Interval of one arm's score; Wilson's for a share of right answers, since it is valid at 0 and 1 too, else as `interval`."""
        observed = float(self.observed[arm])
        if self.is_mcnemar(arm, arm):
            return wilson(observed, self.arms.groups, self.confidence)
        low, high = interval(observed, self.bootstrap_scores[:, arm], self.jackknife_scores[:, arm], self.confidence, self.method)
        return self.over_seeds(arm, None, *self.widened(observed, low, high, lowest=0.0))

    def smallest_effect(self, one: int, other: int, is_zero_one: bool) -> float:
        """Minimum detectable difference (80 % power) of two arms, from the standard error of the bootstrap and the variance over seeds; of
        0/1 scores, and where that error is about zero, at least that of the best case of 0/1 scores."""
        standard_error = self.standard_error(one, other)
        variance = self.seed_variance(one, other)
        observed = variance.smallest_effect(self.confidence) if variance else smallest_effect(standard_error, self.confidence)
        floor = planned_effect(self.arms.groups, 0.0, self.confidence)
        return max(observed, floor) if is_zero_one or standard_error <= TIE else observed

    def standard_error(self, one: int, other: int | None = None) -> float:
        """Standard error over examples of a score or a difference: standard deviation over the bootstrap resamples."""
        return float((self.bootstrap_scores[:, one] - (0.0 if other is None else self.bootstrap_scores[:, other])).std())


def group_ids(examples: Iterable[Example]) -> NDArray[np.int64]:
    """The group of each example as a number (n,); an example without a group is its own."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(("", e.group) if e.group else (e.id, ""), len(numbers)) for e in examples])


def stack(statistics: Array, aggregate: Aggregate, group_ids: NDArray[np.int64] | None = None, seeds: int = 1) -> Arms:
    """The arms of statistics (1 + seeds + others, n, k); examples with equal `group_ids` (n,) are summed."""
    rows = np.asarray(statistics, dtype=np.float64).swapaxes(0, 1)
    if group_ids is None:
        return Arms(np.ascontiguousarray(rows), aggregate, seeds)
    groups, index = np.unique(group_ids, return_inverse=True)
    sums = np.zeros((len(groups), *rows.shape[1:]))
    np.add.at(sums, index, rows)
    return Arms(sums, aggregate, seeds)


def resample(
    metrics: Sequence[Arms], resamples: int, seed: int, confidence: float = 0.95, method: IntervalMethod = "bca"
) -> list[Resampled]:
    """Resample all metrics of one task at once; they have the same groups, the same seeds, and any arms."""
    resampled = bootstrap(metrics, resamples, seed)
    swapped = iter(swap([arms for arms in metrics if needs_swaps(arms)], resamples, seed))
    results = []
    for arms, scores in zip(metrics, resampled, strict=True):
        total = arms.sums.sum(axis=0)
        row_scores = arms.aggregate(np.concatenate([total[None], total - arms.sums]))
        results.append(
            Resampled(
                arms=arms,
                observed=arms.means(row_scores[0]),
                bootstrap_scores=scores,
                jackknife_scores=arms.means(row_scores[1:]),
                row_scores=row_scores,
                swap_sums=next(swapped) if needs_swaps(arms) else None,
                confidence=confidence,
                method=method,
            )
        )
    return results


def needs_swaps(arms: Arms) -> bool:
    return not arms.right_or_wrong or arms.has_seeds(*range(len(arms.seeds_of_arms)))


def bootstrap(metrics: Sequence[Arms], resamples: int, seed: int) -> list[Array]:
    """Scores (resamples, 2 + others) of every metric in bootstrap resamples: groups drawn with replacement, the same for all arms."""
    rng = np.random.default_rng(seed)
    groups = metrics[0].groups
    columns = stacked_columns(metrics)
    scores = [np.empty((resamples, len(arms.seeds_of_arms))) for arms in metrics]
    for chunk in chunks(resamples, groups):
        totals = product(draws(rng, chunk.stop - chunk.start, groups), columns)
        for arms, rows, sums in zip(metrics, scores, split_by_metric(totals, metrics), strict=True):
            rows[chunk] = arms.scores(sums)
    return scores


def stacked_columns(metrics: Sequence[Arms]) -> Array:
    """The statistics of all metrics as columns (groups, columns)."""
    return np.hstack([arms.sums.reshape(arms.groups, -1) for arms in metrics])


def split_by_metric(totals: Array, metrics: Sequence[Arms]) -> list[Array]:
    """Totals (resamples, columns) as those of each metric (resamples, arms, k)."""
    ends = np.cumsum([arms.sums[0].size for arms in metrics])[:-1]
    parts = np.split(totals, ends, axis=1)
    return [part.reshape(len(totals), *arms.sums.shape[1:]) for part, arms in zip(parts, metrics, strict=True)]


def product(weights: Array, columns: Array) -> Array:
    """The matrix product of weights (r, groups) and columns (groups, c), in pieces of at most MAX_PRODUCT multiplications."""
    total = np.zeros((len(weights), columns.shape[1]))
    step = max(1, MAX_PRODUCT // max(1, total.size))
    for start in range(0, len(columns), step):
        total += weights[:, start : start + step] @ columns[start : start + step]
    return total


def draws(rng: np.random.Generator, rows: int, size: int) -> Array:
    """How often (rows, size) each of `size` items occurs in `size` draws with replacement."""
    index = rng.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(index.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


def chunks(resamples: int, groups: int) -> Iterator[slice]:
    step = max(1, CHUNK_WEIGHTS // groups)
    for start in range(0, resamples, step):
        yield slice(start, min(start + step, resamples))


def interval(value: float, resampled: Array, jackknife_values: Array, confidence: float, method: IntervalMethod) -> tuple[float, float]:
    """Two-sided interval of a score or difference from its bootstrap distribution `resampled` (resamples,).

    `percentile` takes the quantiles as they are; `bca` shifts them for bias and skewness (Efron 1987,
    doi:10.1080/01621459.1987.10478410), with the acceleration from the jackknife values (groups,), each without one group.
    If all resamples agree the interval is that point.
    """
    if np.ptp(resampled) <= TIE:
        return value, value
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if method == "bca":
        below = (np.mean(resampled < value - TIE) + np.mean(resampled <= value + TIE)) / 2
        half = 0.5 / len(resampled)
        tails = bca_tails(tails, bias=float(np.clip(below, half, 1 - half)), acceleration=acceleration(jackknife_values))
    low, high = np.quantile(resampled, tails)
    return float(low), float(high)


def bca_tails(tails: Sequence[float], bias: float, acceleration: float) -> list[float]:
    """Which quantiles to take instead of `tails`; `bias` is the share of resamples below the observed value."""
    normal = NormalDist()
    shift = normal.inv_cdf(bias)
    moved = [shift + normal.inv_cdf(tail) for tail in tails]
    return [normal.cdf(shift + z / (1 - acceleration * z)) for z in moved]


def acceleration(jackknife_values: Array) -> float:
    """Skewness of the jackknife values (groups,), divided by 6 (Efron 1987, equation 6.6)."""
    influence = jackknife_values.mean() - jackknife_values
    square = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * square**1.5) if square > TIE**2 else 0.0


def swap(metrics: Sequence[Arms], resamples: int, seed: int) -> list[Array]:
    """Summed statistics (resamples, arms, k) of every metric over the groups that a fair coin chooses in each resample."""
    if not metrics:
        return []
    columns = stacked_columns(metrics)
    totals = np.empty((resamples, columns.shape[1]))
    for chunk, is_swapped in zip(chunks(resamples, metrics[0].groups), random_swaps(metrics[0].groups, resamples, seed), strict=True):
        totals[chunk] = product(is_swapped, columns)
    return split_by_metric(totals, metrics)


def randomization(arms: Arms, one: int, other: int, swap_sums: Array | None, resamples: int) -> float:
    """Two-sided p of the paired randomization test: within each group the two arms change places or do not.

    Exact over all 2^groups swaps where these are no more than `resamples`, otherwise (count + 1) / (resamples + 1)
    over the random ones of `swap` (Noreen 1989, Computer-Intensive Methods for Testing Hypotheses, 'approximate randomization').
    For a mean metric this is the sign-flip test. Several seeds are swapped together, so the variation between seeds is not tested here.
    """
    one_rows, other_rows = paired_rows(arms, one, other)
    gap = arms.sums[:, one_rows] - arms.sums[:, other_rows]
    gap = gap[np.any(gap != 0, axis=(1, 2))]  # groups with equal answers in both arms change nothing
    flat = gap.reshape(len(gap), int(np.prod(gap.shape[1:])))
    total = arms.sums.sum(axis=0)

    def count_as_extreme(moved: Array) -> int:
        lifts = (arms.aggregate(total[one_rows] - moved) - arms.aggregate(total[other_rows] + moved)).mean(axis=1)
        return int((np.abs(lifts) >= observed).sum())

    observed = abs(float(np.mean(arms.aggregate(total[one_rows]) - arms.aggregate(total[other_rows])))) - TIE
    if 2 ** min(len(gap), 62) <= resamples:
        return sum(count_as_extreme(product(chosen, flat).reshape(-1, *gap.shape[1:])) for chosen in all_swaps(len(gap))) / float(
            2 ** len(gap)
        )
    assert swap_sums is not None
    return (count_as_extreme(swap_sums[:, one_rows] - swap_sums[:, other_rows]) + 1) / (len(swap_sums) + 1)


def paired_rows(arms: Arms, one: int, other: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of two arms that are subtracted from each other: each of one with each of the other."""
    rows = np.arange(arms.sums.shape[1])
    first, second = np.meshgrid(rows[arms.rows(one)], rows[arms.rows(other)], indexing="ij")
    return first.ravel(), second.ravel()


def all_swaps(groups: int) -> Iterator[Array]:
    """Every row (groups,) of zeros and ones, once."""
    for chunk in chunks(2**groups, max(1, groups)):
        yield (np.arange(chunk.start, chunk.stop)[:, None] >> np.arange(groups) & 1).astype(np.float64)


def random_swaps(groups: int, resamples: int, seed: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    for chunk in chunks(resamples, groups):
        rows = chunk.stop - chunk.start
        bits = np.frombuffer(rng.bytes((rows * groups + 7) // 8), dtype=np.uint8)
        yield np.unpackbits(bits, count=rows * groups).reshape(rows, groups).astype(np.float64)


def exact_mcnemar(fixed: int, broken: int) -> float:
    """Two-sided exact p that discordant pairs go either way with equal probability (McNemar 1947); 1 if there are none."""
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def wilson(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a share of n independent examples (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return 0.0 if share == 0 else max(0.0, middle - half), 1.0 if share == 1 else min(1.0, middle + half)


def holm(p: Sequence[float], most_true: int | None = None) -> list[float]:
    """p adjusted for the family by Holm's step-down method (1979), in the given order.

    Args:
        most_true: how many of the hypotheses can be true at once, if not all: p is multiplied by no more than that (Shaffer 1986,
            doi:10.1080/01621459.1986.10478341).
    """
    order = np.argsort(p)  # by hand, as statsmodels' multipletests collects all garbage of the process at every call
    adjusted = np.empty(len(p))
    factors = np.minimum(np.arange(len(p), 0, -1), len(p) if most_true is None else most_true)
    adjusted[order] = np.minimum(np.maximum.accumulate(np.take(p, order) * factors), 1.0)
    return [float(x) for x in adjusted]
