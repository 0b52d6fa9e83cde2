"""Builds the table of what the adapter cost on other tasks and on plain English."""

from typing import Literal

from pipeline.measures import names
from pipeline.page import fmt
from pipeline.page.anchors import row_id
from pipeline.page.arms_section import facts_of
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
    """How the lift comes about, by the primary metric; a part says `why` its arm was not tried where its prompts are the base's own."""
    by_metric = cell.comparison.decomposition() or {}
    if metric not in by_metric:
        return None
    figures = json_safe(by_metric[metric])
    no_shots = facts_of(cell, "base_fewshot").get("most_shots") == 0
    return {**figures, "parts": [part_row(part, no_shots and part["name"] == "prompt") for part in figures["parts"]]}


def part_row(part: Part, is_untried: bool) -> PartRow:
    """A part of the lift; is_untried: whether the prompts of its arm are the base's own."""
    if is_untried:
        return {**part, "arm": None, "tried": None, "why": "no worked example fitted"}
    return {**part, "why": None}
