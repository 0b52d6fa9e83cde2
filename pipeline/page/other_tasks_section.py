"""Builds the table of what the adapter cost on other tasks and general suites."""

from typing import Any

from pipeline.measures import names
from pipeline.page import fmt
from pipeline.page.anchors import row_id
from pipeline.page.arms_section import facts_of
from pipeline.page.cells import Cell, finite

Row = dict[str, Any]


def suites(cell: Cell) -> list[Row]:
    """The suites as `compare` left them, each with an anchor and a name for people."""
    found = cell.comparison.forgetting() or {"suites": []}
    return [{**finite(row), **named(cell, row)} for row in found["suites"]]


def named(cell: Cell, row: Row) -> Row:
    """A suite and its metric for people, and its anchor."""
    metric = fmt.metric(row["task_metric"]) if row["task_metric"] else None
    return {"label": names.suite(row["suite"]), "metric_name": metric, "anchor": row_id("suites", cell.name, row["suite"])}


def grounding(cell: Cell) -> str | None:
    """How hallucination was looked for: in `slots`, in `text`, or not at all."""
    found = cell.comparison.grounding()
    kind: str | None = found["kind"] if found else None
    return kind


def decomposition(cell: Cell, metric: str) -> Row | None:
    """How the lift comes about, by the primary metric; a part says `why` its arm was not tried where its prompts are the base's own."""
    found: Row | None = finite((cell.comparison.decomposition() or {}).get(metric))
    if not found:
        return None
    untold = facts_of(cell, "base_fewshot").get("most_shots") == 0
    for part in found["parts"]:
        part["why"] = None
        if untold and part["name"] == "prompt":
            part |= {"arm": None, "tried": None, "why": "no worked example fitted"}
    return found
