"""Finds the smallest sufficient size of a sweep (training rows or rank): each size against all others on the same held-out examples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import non_inferiority
from pipeline.scoring import stats
from pipeline.scoring.seed_variance import SeedVariance, z_quantile
from pipeline.store.figure_types import Obstacle, SizeDifference, SizeLine, SizePoint
from pipeline.store.records import is_number

Array = NDArray[np.float64]
AXES = ("finetune.rank", "prepare.train_examples")
MEAN_TOLERANCE = 1e-6
"""If the mean of the example scores differs from the metric by more, the metric is not a mean (BLEU)."""


@dataclass(frozen=True)
class Point:
    """One task at one point of a sweep."""

    task: str
    coordinates: dict[str, Any]
    """Every swept key with its value at this point."""
    heldout_key: str
    """Key of the held-out examples: points are compared only on the same ones."""
    score: float
    """Of the tuned arm by the primary metric, mean over seeds."""
    low: float
    high: float
    """Two-sided interval of the score at the confidence, as in the table of arms."""
    scores: Array
    """(n,) of the held-out examples, in 0..1, mean over seeds."""
    groups: NDArray[np.int64]
    """(n,) labels of source documents; a group is one unit of the test."""
    runs: Array | None = None
    """(seeds, n) the same of every training seed; None of one seed."""


@dataclass(frozen=True)
class Settings:
    margin: float
    """A score that is lower by less than this is not worse (non-inferiority)."""
    confidence: float = 0.95


def section(points: Sequence[Point], settings: Settings) -> list[SizeLine]:
    """One line per axis, task and position on the other axes.

    A value is enough if it is shown not to be worse, by the margin or more, than any other value (an intersection-union test, so that the
    best one need not be picked by its score first), and so are all values between it and the best. Holm corrects over the values.
    """
    lines: dict[tuple[str, str, str], list[Point]] = {}
    for axis in AXES:
        for point in points:
            if is_number(point.coordinates.get(axis)):
                others = {key: value for key, value in point.coordinates.items() if key != axis}
                lines.setdefault((point.task, axis, repr(others)), []).append(point)
    sorted_lines = [(axis, sorted(line, key=lambda point: float(point.coordinates[axis]))) for (_, axis, _), line in lines.items()]
    return [axis_entry(axis, line, settings) for axis, line in sorted_lines if len({point.coordinates[axis] for point in line}) > 1]


def axis_entry(axis: str, line: list[Point], settings: Settings) -> SizeLine:
    """The entry of one line of points, sorted by their value on the axis."""
    row: SizeLine = {
        "task": line[0].task,
        "axis": axis,
        "point": {key: value for key, value in line[0].coordinates.items() if key != axis},
        "values": [point.coordinates[axis] for point in line],
        "margin": settings.margin,
        "best": line[-1].coordinates[axis],
        "smallest": None,
        "points": [],
        "reason": obstacle(line),
    }
    if row["reason"]:
        return row
    tests = {(one, other): PairTest(line[one], line[other]) for one in range(len(line)) for other in range(len(line)) if one != other}
    p = [max(test.not_worse(settings.margin) for (first, _), test in tests.items() if first == place) for place in range(len(line))]
    adjusted = stats.holm(p)
    best = max(range(len(line)), key=lambda place: (line[place].score, place))
    none: SizeDifference = {"difference": 0.0, "low": 0.0, "high": 0.0}
    points: list[SizePoint] = [
        {
            "value": point.coordinates[axis],
            "tuned": point.score,
            "low": point.low,
            "high": point.high,
            "against_best": none if place == best else tests[place, best].difference(settings.confidence),
            "p": p[place],
            "p_adjusted": adjusted[place],
        }
        for place, point in enumerate(line)
    ]
    enough = [one <= 1 - settings.confidence for one in adjusted[: max(1, best)]]  # those below the best, or the best where it is the least
    first = next((place for place in range(len(enough)) if all(enough[place:])), None)
    return {**row, "points": points, "best": row["values"][best], "smallest": None if first is None else row["values"][first]}


def obstacle(line: list[Point]) -> Obstacle | None:
    """The reason why the points of a line cannot be compared; None if they can."""
    if len({point.heldout_key for point in line}) > 1:
        return "different examples"
    if any(abs(float(point.scores.mean()) - point.score) > MEAN_TOLERANCE for point in line):
        return "not a mean of examples"
    return None


class PairTest:
    """How much lower a point scores than another on the same examples, and its one-sided tests: over examples, and over seeds too."""

    def __init__(self, point: Point, other: Point) -> None:
        self.examples = non_inferiority.score_difference_test(other.scores - point.scores, point.groups)
        self.seeds = seed_variance(point, other)

    def not_worse(self, margin: float) -> float:
        """p of 'lower by the margin or more'."""
        over_examples = self.examples.not_worse(margin)
        return max(over_examples, self.seeds.one_sided_p(margin - self.examples.mean)) if self.seeds else over_examples

    def difference(self, confidence: float) -> SizeDifference:
        """The point minus the other, with the bounds that the tests give at a confidence."""
        low, high = self.examples.interval(1 - confidence)
        mean = self.examples.mean
        if self.seeds:
            level = 2 * (1 - confidence)
            reach = self.seeds.reach(z_quantile(level) * self.seeds.examples, 1 - level)
            low, high = min(low, max(-1.0, mean - reach)), max(high, min(1.0, mean + reach))
        return {"difference": 0.0 - mean, "low": 0.0 - high, "high": 0.0 - low}


def seed_variance(point: Point, other: Point) -> SeedVariance | None:
    """The standard errors of the difference of two points, as far as they are means over training seeds."""
    runs = [side.runs for side in (other, point) if side.runs is not None and len(side.runs) > 1]
    if not runs:
        return None
    groups = np.unique(point.groups, return_inverse=True)[1]
    sizes = np.bincount(groups)
    sums = np.bincount(groups, weights=other.scores - point.scores)
    deviations = sums - sizes * sums.sum() / sizes.sum()
    examples = sqrt(float((deviations**2).sum()) * len(sizes) / max(1, len(sizes) - 1)) / sizes.sum()
    first, *second = (SeedVariance.of(scores.mean(axis=1), without_each(scores, groups, sizes), examples) for scores in runs)
    return replace(first, second=second[0]) if second else first


def without_each(scores: Array, groups: NDArray[np.int64], sizes: NDArray[np.int64]) -> Array:
    """The scores (groups, seeds) of every seed without each group; scores (seeds, n) of examples."""
    sums = np.stack([np.bincount(groups, weights=row) for row in scores], axis=1)
    rest: Array = (sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None]
    return rest
