"""Makes the ids of the page's rows and tables and the links to them. No other file spells them."""

from typing import Final

from pipeline.measures.evidence import Evidence, Table

SUFFIXES: Final[dict[Table, str]] = {
    "lifts": "",
    "parts": "-parts",
    "arms": "-arms",
    "suites": "-kept",
    "hallucination": "-hallucination",
    "cost": "-cost",
}
CLAIMS: Final = "#claims"
"""The table of the confirmatory rules."""


def row_id(table: Table, cell: str, suite: str = "") -> str:
    """The id of a cell's row in a table, or of its own table."""
    return f"{cell}{SUFFIXES[table]}{f'-{suite}' if suite else ''}"


def link(evidence: Evidence) -> str:
    """The link to the row or table that a statement rests on."""
    return f"#{row_id(evidence.table, evidence.cell, evidence.suite)}"
