"""What is claimed, what is advised and by which rules: the cells handed to measures.claims and measures.advice."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.measures import advice, claims
from pipeline.page import fmt, other_tasks_section
from pipeline.page.cells import Cell, finite
from pipeline.store import records
from pipeline.store.records import Comparison

Row = dict[str, Any]


def judge(cells: Sequence[Cell], recipe: Row) -> tuple[dict[str, list[Row]], list[Row]]:
    """The comparisons of every cell, primary first, and the family of claims, both with the verdicts that hold over all cells together.

    A comparison that two cells share is one test of the family, not two.
    """
    compared = {cell.name: compared_in(cell) for cell in cells}
    told = [claimed(cell, compared[cell.name][0]) for cell in cells]
    family = claims.judged(claims.family(told), recipe["compare"]["confidence"], recipe["compare"]["correction"])
    stricter = claims.stricter(len(family), recipe["compare"]["confidence"], recipe["compare"]["correction"])
    for name, found in claims.by_cell(told, family).items():
        lift = {key: getattr(found[0], key) for key in ("p_adjusted", "verdict")}  # a cell's first claim
        compared[name][0] |= lift | {"smallest_effect": stricter * compared[name][0]["smallest_effect"]}
    return {name: finite(rows) for name, rows in compared.items()}, [finite(asdict(claim)) for claim in family]


def compared_in(cell: Cell) -> list[Row]:
    """The comparisons of a cell as `compare` left them, primary first."""
    rows = [asdict(row) for row in records.read(cell.inputs["verdict"].path / "comparisons.jsonl", Comparison)]
    return sorted(rows, key=lambda row: not row["primary"])


def claimed(cell: Cell, primary: Row) -> Row:
    """What the family of claims must know of a cell."""
    return {
        "cell": cell.name,
        "verdict_key": cell.inputs["verdict"].key,
        "task": cell.task,
        "label": cell.label,
        "primary": primary,
        "metric_name": fmt.metric(primary["metric"]),
        "decomposition": other_tasks_section.decomposition(cell, primary["metric"]),
        "forgetting": other_tasks_section.suites(cell),
    }


def section(cells: list[Cell], rows: list[Row], family: list[Row]) -> Row:
    """{claims, advice, rules, summary} of report.json.

    Args:
        rows: the cells as they stand in the report.
        family: the claims, as `judge` gives them.
    """
    first: dict[str, str] = {}
    for cell in cells:
        first.setdefault(cell.inputs["verdict"].key, cell.name)
    owner = {cell.name: first[cell.inputs["verdict"].key] for cell in cells}
    # cells that share a comparison share its claims
    known = [claim | {"cell": name} for name, shared in owner.items() for claim in family if claim["cell"] == shared]
    told, rules = advice.advise(rows, known)
    return {"claims": family, "advice": told, "rules": rules, "summary": advice.summary({"advice": told, "claims": family})}
