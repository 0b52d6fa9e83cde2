"""Makes the ids of the page's rows and tables and the links to them. No other file spells them."""

import re
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
OTHER_TASKS: Final = "#other-tasks"
"""The matrix of adapters and other tasks."""
LIFTS: Final = "#lifts"
"""The section with the lift of every task."""
SIZES: Final = "#sizes"
"""The list of what is enough of a swept key."""


def row_id(table: Table, cell: str, suite: str = "") -> str:
    """The id of a cell's row in a table, or of its own table."""
    return f"{cell}{SUFFIXES[table]}{f'-{suite}' if suite else ''}"


def link(evidence: Evidence) -> str:
    """The link to the row or table that a statement rests on."""
    return f"#{row_id(evidence.table, evidence.cell, evidence.suite)}"


def size_id(number: int) -> str:
    """The id of the row that says how much of a swept key is enough, by its number in `learning`."""
    return f"enough{number}"


def shared_link(evidence: str) -> str:
    """The link to the table that shows a piece of evidence among all others of its kind."""
    if re.match(rf"#\w+{SUFFIXES['suites']}-", evidence):
        return OTHER_TASKS
    return SIZES if evidence.startswith("#enough") else LIFTS if re.fullmatch(r"#cell\d+(-parts)?", evidence) else CLAIMS
