"""Builds the table of what the adapter cost on other tasks and general suites."""

from pipeline.measures import names
from pipeline.page import fmt
from pipeline.page.anchors import row_id
from pipeline.page.arms_section import facts_of
from pipeline.page.cells import Cell, finite
from pipeline.store.records import JsonObject


def suites(cell: Cell) -> list[JsonObject]:
    """The suites of forgetting.json with their labels and anchors."""
    result = cell.comparison.forgetting() or {"suites": []}
    return [{**finite(row), **suite_labels(cell, row)} for row in result["suites"]]


def suite_labels(cell: Cell, row: JsonObject) -> JsonObject:
    """The display names of a suite and its metric, and the anchor of its row."""
    metric = fmt.metric(row["task_metric"]) if row["task_metric"] else None
    return {"label": names.suite(row["suite"]), "metric_name": metric, "anchor": row_id("suites", cell.name, row["suite"])}


def grounding_kind(cell: Cell) -> str | None:
    """How hallucination was measured: `slots`, `text`, or None if it was not."""
    result = cell.comparison.grounding()
    kind: str | None = result["kind"] if result else None
    return kind


def decomposition(cell: Cell, metric: str) -> JsonObject | None:
    """The parts of the lift by a metric. `why` says that few-shot was not tried, as its prompts held no example."""
    parts_of_lift: JsonObject | None = finite((cell.comparison.decomposition() or {}).get(metric))
    if not parts_of_lift:
        return None
    without_examples = facts_of(cell, "base_fewshot").get("most_shots") == 0
    for part in parts_of_lift["parts"]:
        part["why"] = None
        if without_examples and part["name"] == "prompt":
            part |= {"arm": None, "tried": None, "why": "no worked example fitted"}
    return parts_of_lift
