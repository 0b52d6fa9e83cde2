"""Finds the smallest sufficient size of a sweep (training rows or rank): each size against the largest on the same held-out examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import forgetting

Array = NDArray[np.float64]
Row = dict[str, Any]
AXES = ("finetune.rank", "prepare.train_examples")
Obstacle = Literal["different examples", "not a mean of examples"]
SAME = 1e-6
"""A mean of example scores further than this from the metric is not the metric (BLEU)."""


@dataclass(frozen=True)
class Point:
    """One task at one point of a sweep."""

    task: str
    where: dict[str, Any]
    """Every swept key with its value here."""
    exam: str
    """What names the set of held-out examples: points are compared only on the same one."""
    score: float
    """Of the tuned arm by the primary metric, mean over seeds."""
    low: float
    high: float
    """Two-sided interval of the score at the confidence, as the table of arms has it."""
    scores: Array
    """(n,) by held-out example, in 0..1, mean over seeds."""
    groups: NDArray[np.int64]
    """(n,) labels of source documents; examples of one group are one unit of the test."""


@dataclass(frozen=True)
class Settings:
    margin: float
    """A score that is lower by less than this is not worse."""
    confidence: float = 0.95


def section(points: Sequence[Point], settings: Settings) -> list[Row]:
    """One entry for each axis, task and place on the other axes: {task, axis, where, values, margin, smallest, points, reason}.

    points: [{value, tuned, low, high, against_largest: {difference, low, high, p}}] by rising value, with the two-sided interval of the
    score at the confidence. against_largest is this point minus the largest one, paired: p is the one-sided p of 'lower by the margin
    or more' by the test of kept claims (forgetting.Shift), low and high are the one-sided bounds at the confidence each that this test
    and its counterpart give. smallest: the smallest value from which it and all larger ones are shown not to be worse; None where none
    but the largest is, or where `reason` says why nothing could be compared.
    """
    lines: dict[tuple[str, str, str], list[Point]] = {}
    for axis in AXES:
        for point in points:
            if is_number(point.where.get(axis)):
                others = {key: value for key, value in point.where.items() if key != axis}
                lines.setdefault((point.task, axis, repr(others)), []).append(point)
    found = [(axis, sorted(line, key=lambda point: float(point.where[axis]))) for (_, axis, _), line in lines.items()]
    return [entry(axis, line, settings) for axis, line in found if len({point.where[axis] for point in line}) > 1]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def entry(axis: str, line: list[Point], settings: Settings) -> Row:
    told: Row = {
        "task": line[0].task,
        "axis": axis,
        "where": {key: value for key, value in line[0].where.items() if key != axis},
        "values": [point.where[axis] for point in line],
        "margin": settings.margin,
        "smallest": None,
        "points": [],
        "reason": obstacle(line),
    }
    if told["reason"]:
        return told
    rows = [{"tuned": point.score, "low": point.low, "high": point.high} for point in line]
    against = [against_largest(point, line[-1], settings) for point in line[:-1]]
    enough = [row["p"] <= 1 - settings.confidence for row in against]
    first = next((number for number in range(len(enough)) if all(enough[number:])), None)
    itself = {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 0.0}
    points = [
        {"value": value, **row, "against_largest": shown}
        for value, row, shown in zip(told["values"], rows, [*against, itself], strict=True)
    ]
    return told | {"points": points, "smallest": None if first is None else told["values"][first]}


def obstacle(line: list[Point]) -> Obstacle | None:
    """Why the points of a line cannot be compared; None if they can."""
    if len({point.exam for point in line}) > 1:
        return "different examples"
    if any(abs(float(point.scores.mean()) - point.score) > SAME for point in line):
        return "not a mean of examples"
    return None


def against_largest(point: Point, largest: Point, settings: Settings) -> dict[str, float]:
    """{difference, low, high, p} of a point minus the largest one."""
    shift = forgetting.of_scores(largest.scores - point.scores, largest.groups)
    low, high = shift.interval(1 - settings.confidence)
    return {"difference": 0.0 - shift.mean, "low": 0.0 - high, "high": 0.0 - low, "p": shift.kept(settings.margin)}
