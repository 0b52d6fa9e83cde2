"""Picks the examples that the page holds as plain HTML, for readers without scripts and for paper: what got worse stands first."""

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from pipeline.measures.cell_types import CellRow
from pipeline.measures.report_types import Report
from pipeline.page import embedded_records
from pipeline.page.examples_section import TIE
from pipeline.page.prompt_excerpt import shortened
from pipeline.store.score_types import ShownPrompt

MAX_EACH = 5
"""Examples of each direction per task."""
MAX_EXAMPLES = 120
"""Examples of a page; with many tasks each has fewer."""
MAX_BYTES = 2**30
"""Limit of an unpacked file of examples."""


class StaticExample(TypedDict):
    id: str
    prompt: ShownPrompt
    target: str
    base: str
    tuned: str
    """Of the first training seed."""
    best: str
    """Of the best baseline, where that is another arm than the base; else empty."""
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
    """The examples of a cell with the largest losses, and those with the largest gains; most: of each."""
    metric, best = cell["comparisons"][0]["metric"], cell["headline"]["baseline"]
    lines = embedded_records.unpack(block, MAX_BYTES).decode().split("\n")  # not splitlines: texts may hold other line ends
    rows = [(*scores(json.loads(line), metric), line) for line in lines if line]
    changes = sorted((tuned - base, number) for number, (base, tuned, _) in enumerate(rows) if abs(tuned - base) > TIE)
    worse = [number for gain, number in changes if gain < 0][:most]
    better = [number for _, number in sorted((-gain, number) for gain, number in changes if gain > 0)][:most]

    def examples(numbers: list[int]) -> list[StaticExample]:
        return [static_example(json.loads(line), best, (base, tuned)) for base, tuned, line in (rows[number] for number in numbers)]

    return {"cell": cell, "broken": examples(worse), "fixed": examples(better)}


def scores(row: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """Of base, and of the fine-tuned model over all seeds."""
    return float(row["base"]["scores"][metric]), sum(float(arm["scores"][metric]) for arm in row["tuned"]) / len(row["tuned"])


def static_example(row: Mapping[str, Any], best: str, scores_of_pair: tuple[float, float]) -> StaticExample:
    """One example; best: the best baseline."""
    return {
        "id": str(row["id"]),
        "prompt": row["prompt"],
        "target": shortened(row["target"]),
        "base": shortened(row["base"]["text"]),
        "tuned": shortened(row["tuned"][0]["text"]),
        "best": shortened(row["others"][best]["text"]) if best in row["others"] else "",
        "scores": scores_of_pair,
    }
