"""Names the row of a table that a statement rests on. The page turns it into a link."""

from dataclasses import dataclass
from typing import Literal

Table = Literal["lifts", "parts", "arms", "suites", "hallucination", "cost"]


@dataclass(frozen=True)
class Evidence:
    """A row of the report, or a whole table if the table is about one cell."""

    table: Table
    cell: str
    suite: str = ""
    """The other-task suite, for the table of suites."""
