"""Tests whether a slice and the rest have one mean: the larger p of a permutation of who is in the slice, and of Welch's t.

The permutation is exact where the slice has nothing to do with the scores. Its statistic is the difference of means over its standard
error, estimated anew in every permutation, so that it keeps its level for many groups where both sides spread differently (Janssen
1997, doi:10.1016/S0167-7152(97)00043-6). Each test errs too often where the other does not: t where few answers change, permutation
where many change in a small slice and few on the rest (docs/decisions.md). A group on both sides has a part on each; a coin says which.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring.stats import TIE, Array, chunks, product

Index = NDArray[np.int64]
ROUNDING = 1e-9
"""Statistics that differ by less, relatively, are equal: permutations of few different scores often are."""
MIN_GROUPS = 20
"""Source documents, or examples where each is its own, of a slice that is tested, and of the rest that it is compared with."""


def rest_p(part: Array, rest: Array, inside: Index, outside: Index, resamples: int, seed: int) -> float:
    """Two-sided p.

    Args:
        part: what the groups of the slice contribute (g,), its mean being the slice's estimate.
        rest: the same of the rest (h,).
        inside: the groups on both sides, by their index in `part`.
        outside: the same by their index in `rest`.
    """
    units = Units.of(part, rest, inside, outside)
    statistic = abs(float(units.statistic(*units.as_they_are())[0]))
    return max(permutation_p(units, statistic, resamples, seed), welch_p(part, rest, statistic))


def permutation_p(units: "Units", statistic: float, resamples: int, seed: int) -> float:
    """(count + 1) / (resamples + 1) of random permutations whose statistic is as far from 0, or further."""
    observed = statistic * (1 - ROUNDING) - TIE
    extreme = sum(int((np.abs(units.statistic(*permuted)) >= observed).sum()) for permuted in units.draws(resamples, seed))
    return (extreme + 1) / (resamples + 1)


def welch_p(part: Array, rest: Array, statistic: float) -> float:
    """Of Student's t with Welch's degrees of freedom."""
    from scipy.special import stdtr

    variances = [float(side.var(ddof=1)) / len(side) for side in (part, rest)]
    if sum(variances) <= TIE**2:
        return float(statistic <= TIE)
    spread = sum(variance**2 / (len(side) - 1) for variance, side in zip(variances, (part, rest), strict=True))
    return 2 * float(stdtr(sum(variances) ** 2 / spread, -statistic))


@dataclass(frozen=True)
class Units:
    """The groups that may change sides."""

    whole: Array
    """Groups on one side only (u,), those of the slice first; the mean of all contributions is taken off."""
    chosen: int
    """How many of them are in the slice."""
    first: Array
    """Of the groups on both sides (s,), the part in the slice."""
    second: Array

    @classmethod
    def of(cls, part: Array, rest: Array, inside: Index, outside: Index) -> "Units":
        middle = np.concatenate([part, rest]).mean()
        alone = np.delete(part, inside) - middle
        return cls(np.concatenate([alone, np.delete(rest, outside) - middle]), len(alone), part[inside] - middle, rest[outside] - middle)

    def as_they_are(self) -> tuple[Array, Array]:
        """Which whole groups are in the slice (1, u), and of which other ones the first part is (1, s)."""
        return (np.arange(len(self.whole)) < self.chosen)[None].astype(float), np.ones((1, len(self.first)))

    def draws(self, resamples: int, seed: int) -> Iterator[tuple[Array, Array]]:
        """The same for random permutations, in chunks."""
        rng = np.random.default_rng(seed)
        sides, _ = self.as_they_are()
        for chunk in chunks(resamples, len(self.whole) + len(self.first)):
            rows = chunk.stop - chunk.start
            coins = rng.integers(2, size=(rows, len(self.first))).astype(float)
            yield rng.permuted(np.repeat(sides, rows, axis=0), axis=1), coins

    def statistic(self, sides: Array, coins: Array) -> Array:
        """The difference of means over its standard error (r,), for each row of sides (r, u) and coins (r, s)."""
        whole = np.stack([self.whole, self.whole**2], axis=1)
        first, second = (np.stack([side, side**2], axis=1) for side in (self.first, self.second))
        moved = product(coins, first - second)
        sums = product(sides, whole) + second.sum(axis=0) + moved  # of the slice: [sum, sum of squares]
        others = whole.sum(axis=0) + first.sum(axis=0) + second.sum(axis=0) - sums
        counts = self.chosen + len(self.first), len(self.whole) - self.chosen + len(self.first)
        means = [total[:, 0] / count for total, count in zip((sums, others), counts, strict=True)]
        squares = [
            np.maximum(total[:, 1] - count * mean**2, 0.0) / (count * (count - 1))
            for total, count, mean in zip((sums, others), counts, means, strict=True)
        ]
        both = moved[:, 0] + second[:, 0].sum()  # of the groups on both sides, the parts in the slice
        shared = (self.first * self.second).sum() - means[1] * both
        shared = shared - means[0] * (first[:, 0].sum() + second[:, 0].sum() - both) + len(self.first) * means[0] * means[1]
        variance = squares[0] + squares[1] - 2 * shared / float(np.sqrt(np.prod([count * (count - 1) for count in counts])))
        gap = means[0] - means[1]
        spread = np.sqrt(np.maximum(variance, 0.0))
        far = np.where(np.abs(gap) <= TIE, 0.0, np.copysign(np.inf, gap))  # nothing varies on either side
        statistic: Array = np.divide(gap, spread, out=far, where=spread > TIE)
        return statistic
