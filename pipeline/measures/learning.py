"""How much data, or which rank, is enough: every size of a sweep against the largest, on the same held-out examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Row = dict[str, Any]
AXES = ("prepare.train_examples", "finetune.rank")
CELLS = 2**20
"""Draws of a chunk of resamples: bounds the memory."""
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
    scores: Array
    """(n,) by held-out example, mean over seeds."""
    groups: NDArray[np.int64]
    """(n,) labels; examples of one group are resampled together."""


@dataclass(frozen=True)
class Settings:
    margin: float
    """A score that is lower by less than this is not worse."""
    confidence: float = 0.95
    resamples: int = 10_000
    seed: int = 0


def section(points: Sequence[Point], settings: Settings) -> list[Row]:
    """One entry for each task, numeric axis and place on the other axes: {task, axis, where, values, margin, smallest, points, why}.

    points: [{value, tuned, low, high, against_largest: {difference, low, high, p}}] by rising value, with the two-sided interval of the
    score at the confidence. against_largest is this point minus the largest one, paired: low and high are one-sided bounds at the
    confidence each, p the one-sided p of 'lower by the margin or more' (non-inferiority; Wellek 2010, Testing Statistical
    Hypotheses of Equivalence and Noninferiority, 2.2). smallest: the smallest value from which it and all larger ones are shown not
    to be worse; None where none but the largest is, or where `why` says that nothing could be compared.
    """
    lines: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        for axis in AXES:
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
        "why": obstacle(line),
    }
    if told["why"]:
        return told
    rows = against_largest(line, settings)
    enough = [row["against_largest"]["low"] > -settings.margin for row in rows[:-1]]
    first = next((number for number in range(len(enough)) if all(enough[number:])), None)
    points = [{"value": value, **row} for value, row in zip(told["values"], rows, strict=True)]
    return told | {"points": points, "smallest": None if first is None else told["values"][first]}


def obstacle(line: list[Point]) -> str:
    """Why the points of a line cannot be compared; empty if they can."""
    if len({point.exam for point in line}) > 1:
        return "its points were not tried on the same held-out examples"
    if any(abs(float(point.scores.mean()) - point.score) > SAME for point in line):
        return "the metric is not a mean over examples, so single examples cannot be paired"
    return ""


def against_largest(line: list[Point], settings: Settings) -> list[Row]:
    """{tuned, low, high, against_largest} of every point; all share their resamples."""
    scores = np.array([point.scores for point in line])
    drawn = bootstrap(scores, line[0].groups, settings)
    tail = (1 - settings.confidence) / 2
    rows = []
    for number, point in enumerate(line):
        difference, shifts = float(scores[number].mean() - scores[-1].mean()), drawn[number] - drawn[-1]
        low, high = np.quantile(drawn[number], [tail, 1 - tail])
        lower, upper = np.quantile(shifts, [2 * tail, 1 - 2 * tail])
        p = (int((shifts <= -settings.margin).sum()) + 1) / (len(shifts) + 1)
        against = {"difference": difference, "low": float(lower), "high": float(upper), "p": p}
        rows.append({"tuned": point.score, "low": float(low), "high": float(high), "against_largest": against})
    return rows


def bootstrap(scores: Array, groups: NDArray[np.int64], settings: Settings) -> Array:
    """Means (points, resamples) of scores (points, n) over groups drawn with replacement, the same draws for every point."""
    _, place = np.unique(groups, return_inverse=True)
    sizes = np.bincount(place).astype(np.float64)
    sums = np.array([np.bincount(place, weights=row) for row in scores])
    rng, count = np.random.default_rng(settings.seed), len(sizes)
    step = max(1, CELLS // count)
    parts = []
    for start in range(0, settings.resamples, step):
        rows = min(step, settings.resamples - start)
        index = rng.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        weights = np.bincount(index.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append((sums @ weights.T) / (sizes @ weights.T))
    return np.concatenate(parts, axis=1)
