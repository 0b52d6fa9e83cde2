"""Builds the table of what the adapter cost on other tasks and on plain English."""

from typing import Literal

from pipeline import arms
from pipeline.measures import names
from pipeline.page import fmt
from pipeline.page.anchors import row_id
from pipeline.page.arms_section import absent_arms
from pipeline.page.cells import Cell, json_safe
from pipeline.store.figure_types import DecompositionRow, Part, PartRow, SuiteRow


def suites(cell: Cell) -> list[SuiteRow]:
    """The suites as `compare` left them, each with an anchor and a name for people."""
    suites_of = cell.comparison.other_tasks()
    return [
        {
            **json_safe(row),
            "label": names.suite(row["suite"]),
            "metric_name": fmt.metric(row["task_metric"]) if row["task_metric"] else None,
            "anchor": row_id("suites", cell.name, row["suite"]),
        }
        for row in (suites_of["suites"] if suites_of else [])
    ]


def hallucination_kind(cell: Cell) -> Literal["text", "slots"] | None:
    """How hallucination was looked for: in `slots`, in `text`, or not at all."""
    by_arm = cell.comparison.hallucination()
    return by_arm["kind"] if by_arm else None


def decomposition(cell: Cell, metric: str) -> DecompositionRow | None:
    """Where the lift comes from, by the primary metric; a part says `why` its arm was not tested."""
    by_metric = cell.comparison.decomposition() or {}
    if metric not in by_metric:
        return None
    figures = json_safe(by_metric[metric])
    absent = {row["arm"]: row["why"] for row in absent_arms(cell)}
    return {**figures, "parts": [part_row(part, absent) for part in figures["parts"]]}


def part_row(part: Part, absent: dict[str, str]) -> PartRow:
    """A part of the lift.

    Args:
        absent: by arm that was not tested, why.
    """
    step = None if part["name"] == "training" or part["arm"] else part["name"]
    return {**part, "why": next((why for arm, why in absent.items() if step and arms.find(arm).step == step), None)}
