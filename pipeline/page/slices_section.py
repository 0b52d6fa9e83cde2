"""Builds the tables of slices: hands the scores of all cells to measures.slice_verdicts, and puts slices into words."""

import math
from collections.abc import Iterable, Sequence

from pipeline.measures import slice_verdicts
from pipeline.measures.cell_types import CellRow, SliceRow, SlicingRow
from pipeline.measures.preliminary_types import Preliminary
from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.cells import Cell, json_safe
from pipeline.page.claims_section import comparison_keys, correction_of
from pipeline.scoring.verdict import LIFT
from pipeline.store.records import JsonObject
from pipeline.store.slice_types import SlicedBy


def judge(cells: Sequence[Cell], recipe: JsonObject, preliminary: Preliminary | None) -> dict[str, list[SlicingRow]]:
    """The slices of every cell, with their verdicts."""
    scores = {cell.name: cell.comparison.slices() for cell in cells}
    confidence, correction = recipe["compare"]["confidence"], correction_of(recipe, preliminary)
    return json_safe(slice_verdicts.judge(scores, comparison_keys(cells), confidence, correction, preliminary is None))


def heading(slicing: SlicedBy) -> str:
    """What the examples are sliced by, in words."""
    return {"length": "words of the prompt", "label": "target"}.get(slicing["kind"], f"column {slicing['by']}")


def rest_text(row: SliceRow) -> str:
    """The difference from the rest with its interval; a dash where there is none."""
    rest = row["rest"]
    return "-" if rest is None else fmt.change(rest["value"], rest["low"], rest["high"], fmt.decimals(rest["low"], rest["high"]))


def lift_text(row: SliceRow) -> str:
    """The lift of a slice with its interval, where it has one."""
    return fmt.change(row["lift"], row["low"], row["high"], fmt.decimals(row["low"], row["high"]))


def worse(cells: Iterable[CellRow]) -> list[str]:
    """The slices that are shown to be below the base, each with its lift: `teams, length 88 to 310 words: -0.12 [-0.20, -0.04]`."""
    return [
        f"{cell['label']}, {heading(slicing)} {row['label']}: {fmt.change(row['lift'], row['low'], row['high'])}"
        for cell in cells
        for slicing in cell["slices"]
        for row in slicing["slices"]
        if row["verdict"] == LIFT.bad
    ]


def tests(cells: Iterable[CellRow]) -> int:
    """How many tests of slices are corrected together."""
    return max((slicing["tests"] for cell in cells for slicing in cell["slices"]), default=0)


def needed_resamples(report: Report) -> int:
    """How many resamples it takes that the smallest p, times the number of tests, is a verdict; 0 where the recipe has them."""
    count = tests(report["cells"]) if report["correction"] == "holm" else 1
    needed = math.ceil(count / (1 - report["confidence"]) - 1)
    return needed if needed > report["recipe"]["compare"]["resamples"] and tests(report["cells"]) else 0
