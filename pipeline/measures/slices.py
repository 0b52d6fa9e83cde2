"""Compares base and fine-tuned on slices of a test set, exploratory: the lift in each, and how it differs from the lift on the rest.

The lift in a slice is tested as the lift on the whole test set is. Its difference from the rest has the interval of two estimates that
have intervals of their own (MOVER: Zou 2007, doi:10.1037/1082-989X.12.4.399), and the test of `rest_test.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.measures.rest_test import MIN_GROUPS, rest_p
from pipeline.scoring import stats
from pipeline.scoring.scoring import ComparisonResult, Settings
from pipeline.scoring.seed_variance import SeedVariance
from pipeline.scoring.stats import BASE, TUNED, Array
from pipeline.store.slice_types import RestDifference, Slice, SliceScores, Slicing, SlicingScores

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Base and fine-tuned on some of the test examples."""

    resampled: stats.Resampled
    groups: NDArray[np.int64]
    """The groups that have examples in it, in the order of their sums."""

    @cached_property
    def lifts(self) -> Array:
        """Lifts (1 + groups, seeds): over all groups, then without each."""
        rows, arms = self.resampled.row_scores, self.resampled.arms
        lifts: Array = rows[:, arms.rows(TUNED)] - rows[:, arms.rows(BASE)]
        return lifts

    @property
    def lift(self) -> float:
        return float(self.lifts[0].mean())

    @property
    def shares(self) -> Array:
        """What each group contributes (groups,): jackknife pseudo-values, whose mean is the lift; of a mean over single examples their own
        lifts."""
        count = len(self.groups)
        shares: Array = count * self.lift - (count - 1) * self.lifts[1:].mean(axis=1)
        return shares


@dataclass(frozen=True)
class Sample:
    """The scores of base and fine-tuned on single examples, and how they are resampled."""

    statistics: Array
    """(1 + seeds, n, k)."""
    aggregate: stats.Aggregate
    group_ids: NDArray[np.int64]
    """(n,)."""
    zero_one: bool
    settings: Settings

    def arms(self, chosen: Mask) -> stats.Arms:
        """Base and fine-tuned on these examples (n,)."""
        seeds = len(self.statistics) - 1
        arms = stats.stack(self.statistics[:, chosen], self.aggregate, self.group_ids[chosen], seeds)
        return replace(arms, right_or_wrong=self.zero_one and arms.groups == int(chosen.sum()))

    def part(self, chosen: Mask) -> Part:
        settings = self.settings
        (resampled,) = stats.resample([self.arms(chosen)], settings.resamples, settings.seed, settings.confidence, settings.interval)
        return Part(resampled, np.unique(self.group_ids[chosen]))


def measure(slicings: Sequence[Slicing], result: ComparisonResult, settings: Settings) -> list[SlicingScores]:
    """The scores of all slices of a comparison."""
    sample, metric = sample_of(result, settings)
    ids = [row["id"] for row in result.rows]
    return [
        slicing_scores(slicing, np.array([slicing["of_example"].get(name, -1) for name in ids]), sample, metric) for slicing in slicings
    ]


def sample_of(result: ComparisonResult, settings: Settings) -> tuple[Sample, str]:
    """The single examples by the primary metric, and its name; where that weighs classes, which a slice may lack, by the mean score of
    single examples."""
    scores, seeds = result.primary, len(result.rows[0]["tuned"])
    metric = scores.metric
    if not metric.of_examples:
        statistics = scores.statistics[: 1 + seeds]
        return Sample(statistics, metric.aggregate, result.group_ids, metric.zero_one, settings), metric.name
    values = scores.values[: 1 + seeds]
    means = np.stack([values, np.ones_like(values)], axis=-1)
    is_zero_one = bool(np.isin(values, (0.0, 1.0)).all())
    return Sample(means, lambda sums: sums[..., 0] / sums[..., 1], result.group_ids, is_zero_one, settings), metric.of_examples


def slicing_scores(slicing: Slicing, index: NDArray[np.int64], sample: Sample, metric: str) -> SlicingScores:
    """The scores of the slices of one entry of the recipe.

    Args:
        index: the slice of each example (n,).
    """
    rows: list[SliceScores] = []
    for number, name in enumerate(slicing["slices"]):
        is_mirrored = len(slicing["slices"]) == 2 and number == 1  # the rest of one is the other
        row = slice_scores(name, index == number, sample, is_mirrored)
        rows.append({**row, "rest": mirrored(rows[0]["rest"])} if is_mirrored else row)
    pairs = np.unique(np.stack([sample.group_ids, index]), axis=1)
    return {
        "by": slicing["by"],
        "kind": slicing["kind"],
        "why": slicing["why"],
        "metric": metric,
        "slices": rows,
        "shared_groups": int((np.bincount(pairs[0]) > 1).sum()) if rows else 0,
    }


def slice_scores(name: Slice, chosen: Mask, sample: Sample, is_mirrored: bool) -> SliceScores:
    """The scores of one slice, tested where it is large enough; is_mirrored: the difference from the rest is another slice's already."""
    arms = sample.arms(chosen)
    base, tuned = (float(score) for score in arms.scores(arms.sums.sum(axis=0)))
    row: SliceScores = {
        **name,
        "n": int(chosen.sum()),
        "groups": arms.groups,
        "base": base,
        "tuned": tuned,
        "lift": tuned - base,
        "low": None,
        "high": None,
        "p": None,
        "rest": None,
    }
    if arms.groups < MIN_GROUPS:
        return row
    part = sample.part(chosen)
    lift = part.resampled.difference(TUNED, BASE)
    has_rest = not is_mirrored and len(np.unique(sample.group_ids[~chosen])) >= MIN_GROUPS
    rest = from_rest(part, sample.part(~chosen), sample.settings) if has_rest else None
    return {**row, "low": lift.low, "high": lift.high, "p": lift.p, "rest": rest}


def mirrored(rest: RestDifference | None) -> RestDifference | None:
    """The same difference seen from the rest."""
    return rest and {"value": -rest["value"], "low": -rest["high"], "high": -rest["low"], "p": rest["p"]}


def from_rest(part: Part, rest: Part, settings: Settings) -> RestDifference:
    """The lift in a slice minus that on the rest; of means over training seeds both interval and p cover other seeds."""
    value = part.lift - rest.lift
    shared, inside, outside = np.intersect1d(part.groups, rest.groups, assume_unique=True, return_indices=True)
    covariance = float((centred(part)[inside] * centred(rest)[outside]).sum())
    errors = [float(np.sqrt((centred(side) ** 2).sum())) for side in (part, rest)]
    low, high = combined(part, rest, covariance / (errors[0] * errors[1]) if len(shared) and min(errors) > stats.TIE else 0.0)
    p = rest_p(part.shares, rest.shares, inside, outside, settings.resamples, settings.seed)
    if part.resampled.arms.seeds == 1:
        return {"value": value, "low": low, "high": high, "p": p}
    error = float(np.sqrt(max(0.0, errors[0] ** 2 + errors[1] ** 2 - 2 * covariance)))
    variance = SeedVariance.of(part.lifts[0] - rest.lifts[0], without_each(part, rest, inside, outside), error)
    below, above = (variance.reach(distance, settings.confidence) for distance in (value - low, high - value))
    return {"value": value, "low": max(-2.0, value - below), "high": min(2.0, value + above), "p": max(p, variance.p(abs(value)))}


def centred(part: Part) -> Array:
    """By how much each group moves the lift (groups,); the squares sum to its variance over examples."""
    count = len(part.groups)
    shares: Array = part.shares - part.shares.mean()
    return shares / float(np.sqrt(count * (count - 1)))


def combined(part: Part, rest: Part, correlation: float) -> tuple[float, float]:
    """The interval over examples of the difference of two lifts, from the intervals of both; correlation: of the two."""
    (low, high), (rest_low, rest_high) = (side.resampled.over_examples(TUNED, BASE) for side in (part, rest))
    value = part.lift - rest.lift

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other)))

    return value - reach(part.lift - low, rest_high - rest.lift), value + reach(high - part.lift, rest.lift - rest_low)


def without_each(part: Part, rest: Part, inside: NDArray[np.int64], outside: NDArray[np.int64]) -> Array:
    """The differences (groups, seeds) without each group of the test set; inside, outside: those on both sides, by their index there."""
    left = part.lifts[1:] - rest.lifts[0]
    left[inside] += rest.lifts[0] - rest.lifts[1:][outside]
    right = part.lifts[0] - np.delete(rest.lifts[1:], outside, axis=0)
    return np.concatenate([left, right])
