"""Says what a report lacks for a verdict: tasks that are not finished, or all but a few examples, as in a smoke test."""

from collections.abc import Sequence

from pipeline.config.recipe import build
from pipeline.config.schema import task_name
from pipeline.measures.preliminary_types import NoVerdictKind, Preliminary
from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.store.artifact import canonical
from pipeline.store.records import JsonObject

MAX_NAMED = 6
"""Up to this many unfinished tasks are named in the sentence; the list has all."""


def of(recipe: JsonObject, cells: Sequence[Cell], limit: int | None, holes: Sequence[JsonObject] = ()) -> Preliminary | None:
    """Why a report of these cells has no verdict; None if every task of the recipe is among them, with all its examples.

    Args:
        limit: examples per task of a smoke test.
        holes: `{task, point, why}` of every cell that a failed job stands in the way of.
    """
    causes = {canonical([hole["task"], hole["point"]]): str(hole["why"]) for hole in holes}
    present = {canonical([cell.task, cell.point]) for cell in cells}
    wanted = [(coordinates, task) for coordinates, point in build(recipe).points() for task in point.tasks]
    all_cells = [(task_name(task), coordinates) for coordinates, task in wanted]
    missing = [(task, coordinates) for task, coordinates in all_cells if canonical([task, coordinates]) not in present]
    unfinished = [f"{task}, {fmt.coordinates(coordinates)}" if coordinates else task for task, coordinates in missing]
    reasons = [causes.get(canonical([task, coordinates]), "") for task, coordinates in missing]
    if not unfinished and limit is None:
        return None
    labels = [f"{label} ({reason})" if reason else label for label, reason in zip(unfinished, reasons, strict=True)]
    kind: NoVerdictKind = "not finished" if limit is None else "smoke test"
    return {"kind": kind, "limit": limit, "unfinished": unfinished, "reasons": reasons, "sentence": sentence(limit, labels, len(all_cells))}


def title_prefix(report: Report) -> str:
    """What stands in front of the title of a report that is not final."""
    return f"{report['preliminary']['kind'].capitalize()}: " if report["preliminary"] else ""


def rows(report: Report) -> list[tuple[str, str, str]]:
    """Of every cell that is missing its label, `failed` or `not finished`, and why it failed."""
    state = report["preliminary"]
    pairs = zip(state["unfinished"], state["reasons"], strict=True) if state else ()
    return [(label, "failed" if reason else "not finished", reason) for label, reason in pairs]


def sentence(limit: int | None, unfinished: Sequence[str], cells: int) -> str:
    smoke_test = (
        f"This is a smoke test with at most {fmt.plural(limit, 'example')} per task: it shows that every step runs. "
        "Take no figure of it for a result."
        if limit is not None
        else ""
    )
    named = ", ".join(unfinished[:MAX_NAMED]) + (f" and {len(unfinished) - MAX_NAMED} more" if len(unfinished) > MAX_NAMED else "")
    hole = (
        f"Not finished: {named} ({len(unfinished)} of {cells}). There is no verdict yet: every figure is exploratory, "
        "and p-values are corrected only once all are there."
        if unfinished
        else ""
    )
    return " ".join(part for part in (smoke_test, hole) if part)
