"""Builds the table of sufficient sizes of a sweep, from measures.sufficient_size."""

from collections.abc import Mapping

import numpy as np

from pipeline.measures import sufficient_size
from pipeline.measures.cell_types import ComparisonRow
from pipeline.page.cells import Cell, json_safe
from pipeline.scoring import stats
from pipeline.store.figure_types import Obstacle, SizeLine
from pipeline.store.records import JsonObject

WHY: Mapping[Obstacle | None, str] = {
    None: "",
    "different examples": "its points were not scored on the same test examples",
    "not a mean of examples": "the metric is not a mean over examples, so single examples cannot be paired",
}
"""Why the points of a sweep cannot be compared."""


def section(cells: list[Cell], comparisons: dict[str, list[ComparisonRow]], recipe: JsonObject) -> list[SizeLine]:
    """`learning` of report.json: one entry per task and numeric axis, none where nothing is swept."""
    if not recipe["sweep"]:
        return []
    settings = sufficient_size.Settings(recipe["compare"]["margin"], recipe["compare"]["confidence"])
    lines = json_safe(sufficient_size.section([point(cell, comparisons[cell.name][0]) for cell in cells], settings))
    return [{**line, "why": WHY[line["reason"]]} for line in lines]


def point(cell: Cell, primary: ComparisonRow) -> sufficient_size.Point:
    heldout = cell.heldout.examples()
    label = dict(zip((example.id for example in heldout), stats.group_ids(heldout), strict=True))
    scores, groups = [], []
    for row in cell.comparison.examples():
        scores.append([float(arm["scores"][primary["metric"]]) for arm in row["tuned"]])
        groups.append(label[row["id"]])
    runs = np.array(scores).T
    low, high = cell.comparison.other_arms()[primary["metric"]]["scores"]["tuned"]
    key = cell.inputs["heldout"].key
    mean = runs.mean(axis=0)
    return sufficient_size.Point(cell.task, cell.point, key, primary["tuned"], low, high, mean, np.array(groups), runs)
