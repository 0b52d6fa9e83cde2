"""Lays out the results by class as tables of the page and of Markdown: which rows and columns there are, and where a count leads."""

from collections.abc import Iterable
from typing import Literal, TypedDict
from urllib.parse import quote

from pipeline.measures.cell_types import CellRow
from pipeline.measures.class_types import ClassResults, ClassScores, Confusion
from pipeline.page import fmt

Arm = Literal["base", "tuned"]
MAX_CLASSES = 20
"""Classes in the table of a cell, the weakest first; report.json has all."""
MAX_NAMED = 3
"""Weakest classes and largest confusions in a row of Markdown."""
MAX_SHADE = 45
"""Percent of colour behind the answers of a class that are all alike; text on it stays easy to read."""
WORDS = {"other": "text that names no class", "unparsable": "unparsable", "missing": "no other class"}


class Count(TypedDict):
    """A count in a table."""

    number: int
    address: str
    """Of its examples in the list of the page; empty where the list cannot be filtered for them."""
    shade: str
    is_right: bool


class MatrixTable(TypedDict):
    """A confusion matrix of one arm."""

    arm: Arm
    heads: list[str]
    rows: list[tuple[str, list[Count]]]


def matrices(cell: CellRow) -> list[MatrixTable]:
    """The confusion matrices of base and of the fine-tuned model; none where report.json has none."""
    return [matrix(cell, "base"), matrix(cell, "tuned")] if cell["classes"] and cell["classes"]["matrix"] else []


def matrix(cell: CellRow, arm: Arm) -> MatrixTable:
    results = cell["classes"]
    rows = (results and results["matrix"]) or []
    labels = [row["label"] for row in rows]
    has_others = any(row[arm][len(labels)] for row in rows)
    columns = [*range(len(labels)), *([len(labels)] if has_others else []), len(labels) + 1]
    kinds = [f"answer={quote(label, safe='')}" for label in labels] + ["", "flag=unparsed"]
    table: list[tuple[str, list[Count]]] = []
    for number, row in enumerate(rows):
        counts = row[arm]
        cells: list[Count] = [
            {
                "number": counts[column],
                "address": address(cell, arm, row["label"], kinds[column]) if counts[column] else "",
                "shade": f"{MAX_SHADE * counts[column] / max(1, sum(counts)):.0f}%",
                "is_right": column == number,
            }
            for column in columns
        ]
        table.append((row["label"], cells))
    return {"arm": arm, "heads": [*labels, *(["No class"] if has_others else []), "Unparsable"], "rows": table}


def address(cell: CellRow, arm: Arm, target: str, kind: str) -> str:
    """The address of the examples of a target with one kind of answer by an arm."""
    if not kind or not (cell["classes"] and cell["classes"]["exact"] and cell["examples"]["file"]):
        return ""
    return f"#examples?cell={cell['cell']}&by={arm}&target={quote(target, safe='')}&{kind}"


def choices(results: ClassResults | None) -> list[str]:
    """The classes by which the page's list of examples can be filtered, in the order of the matrix where there is one."""
    if results is None or not results["exact"]:
        return []
    return [row["label"] for row in results["matrix"] or results["classes"]]


def precision_and_recall(scores: ClassScores) -> str:
    return f"P {figure(scores['precision'], 2)}, R {figure(scores['recall'], 2)}"


def figure(value: float | None, places: int = 3) -> str:
    return "n/a" if value is None else fmt.number(value, places)


def change(one: float | None, other: float | None) -> str:
    """An F1 minus another one."""
    return "n/a" if one is None or other is None else fmt.signed(one - other, 3)


def answered(confusion: Confusion) -> str:
    """What was answered instead of the target."""
    return confusion["answer"] if confusion["kind"] == "class" else WORDS[confusion["kind"]]


def weakest(results: ClassResults) -> str:
    """The classes with the lowest F1 of the fine-tuned model."""
    rows = [row for row in results["classes"] if row["arms"]["tuned"]["f1"] is not None]
    return joined(f"{row['label']} {figure(row['arms']['tuned']['f1'])} (n = {row['n']:,})" for row in rows[:MAX_NAMED])


def largest_confusions(results: ClassResults) -> str:
    """The largest confusions of the fine-tuned model."""
    rows = [row for row in results["confusions"] if row["tuned"]]
    return joined(f"{row['target']} -> {answered(row)} {row['tuned']:,}" for row in rows[:MAX_NAMED])


def joined(parts: Iterable[str]) -> str:
    return "; ".join(parts) or "none"
