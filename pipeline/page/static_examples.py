"""Picks the examples that the page holds as plain HTML, for readers without scripts and for paper: what got worse stands first."""

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from pipeline.measures.cell_types import CellRow
from pipeline.measures.report_types import Report
from pipeline.page import embedded_records
from pipeline.page.examples_section import TIE

MAX_EACH = 5
"""Examples of each direction per task."""
MAX_EXAMPLES = 120
"""Examples of a page; with many tasks each has fewer."""
MAX_BYTES = 2**30
"""Limit of an unpacked file of examples."""
MAX_LETTERS = 240
"""Letters of a text."""


class StaticExample(TypedDict):
    id: str
    prompt: str
    target: str
    base: str
    tuned: str
    """Of the first training seed."""
    scores: tuple[float, float]
    """Of base, and of the fine-tuned model over all seeds."""


class StaticExamples(TypedDict):
    cell: CellRow
    broken: list[StaticExample]
    fixed: list[StaticExample]


def section(report: Report, blocks: Mapping[str, str]) -> list[StaticExamples]:
    """For the first cell of every task, its first changed examples; none for cells whose examples the page does not embed.

    Args:
        blocks: packed files, by id.
    """
    first = {cell["task"]: cell for cell in reversed(report["cells"])}
    cells = [cell for cell in report["cells"] if first[cell["task"]] is cell and cell["examples"]["file"] in blocks]
    most = max(1, min(MAX_EACH, MAX_EXAMPLES // (2 * len(cells)))) if cells else 0
    return [changed(cell, blocks[str(cell["examples"]["file"])], most) for cell in cells]


def changed(cell: CellRow, block: str, most: int) -> StaticExamples:
    """The first examples of a cell that got worse, and the first that improved; most: of each."""
    metric = cell["comparisons"][0]["metric"]
    chosen: StaticExamples = {"cell": cell, "broken": [], "fixed": []}
    lines = embedded_records.unpack(block, MAX_BYTES).decode().split("\n")  # not splitlines: texts may hold other line ends
    for row in map(json.loads, filter(None, lines)):
        base = float(row["base"]["scores"][metric])
        tuned = sum(float(arm["scores"][metric]) for arm in row["tuned"]) / len(row["tuned"])
        group = chosen["fixed"] if tuned > base else chosen["broken"]
        if abs(tuned - base) > TIE and len(group) < most:
            group.append(static_example(row, base, tuned))
        if len(chosen["broken"]) == len(chosen["fixed"]) == most:
            break
    return chosen


def static_example(row: Mapping[str, Any], base: float, tuned: float) -> StaticExample:
    return {
        "id": str(row["id"]),
        "prompt": shortened(row["prompt"]),
        "target": shortened(row["target"]),
        "base": shortened(row["base"]["text"]),
        "tuned": shortened(row["tuned"][0]["text"]),
        "scores": (base, tuned),
    }


def shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_LETTERS else f"{flat[:MAX_LETTERS]}…"
