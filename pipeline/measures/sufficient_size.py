"""Finds the smallest sufficient size of a sweep (training rows or rank): each size against the largest on the same held-out examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import non_inferiority
from pipeline.store.figure_types import LargestDifference, Obstacle, SizeLine, SizePoint
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


@dataclass(frozen=True)
class Settings:
    margin: float
    """A score that is lower by less than this is not worse (non-inferiority)."""
    confidence: float = 0.95


def section(points: Sequence[Point], settings: Settings) -> list[SizeLine]:
    """One line per axis, task and position on the other axes.

    A point is compared with the largest one, paired: p is the one-sided p of 'lower by the margin or more' (the non-inferiority test
    of forgetting); low and high are the one-sided bounds of this test and its counterpart, either at the confidence.
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
        "smallest": None,
        "points": [],
        "reason": obstacle(line),
    }
    if row["reason"]:
        return row
    differences = [against_largest(point, line[-1], settings) for point in line[:-1]]
    not_worse = [difference["p"] <= 1 - settings.confidence for difference in differences]
    first = next((index for index in range(len(not_worse)) if all(not_worse[index:])), None)
    none: LargestDifference = {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 0.0}
    points: list[SizePoint] = [
        {"value": point.coordinates[axis], "tuned": point.score, "low": point.low, "high": point.high, "against_largest": difference}
        for point, difference in zip(line, [*differences, none], strict=True)
    ]
    return {**row, "points": points, "smallest": None if first is None else row["values"][first]}


def obstacle(line: list[Point]) -> Obstacle | None:
    """The reason why the points of a line cannot be compared; None if they can."""
    if len({point.heldout_key for point in line}) > 1:
        return "different examples"
    if any(abs(float(point.scores.mean()) - point.score) > MEAN_TOLERANCE for point in line):
        return "not a mean of examples"
    return None


def against_largest(point: Point, largest: Point, settings: Settings) -> LargestDifference:
    """A point minus the largest one."""
    test = non_inferiority.score_difference_test(largest.scores - point.scores, largest.groups)
    low, high = test.interval(1 - settings.confidence)
    return {"difference": 0.0 - test.mean, "low": 0.0 - high, "high": 0.0 - low, "p": test.not_worse(settings.margin)}
