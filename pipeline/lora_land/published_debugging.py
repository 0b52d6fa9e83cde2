"""Reads the published scores of programs before and after debugging, on the 164 problems of HumanEval.

Source: Zhong, Wang and Shang 2024, Debug like a Human, Findings of ACL, pp. 851-870, and the result files of its repository, from which
the counts are. For GPT-4's programs paper and files disagree: the files have 143 and 147 right ones, 87.2 % and 89.6 %.
"""

import csv
from dataclasses import dataclass

from pipeline.resources import shipped

TASK = "magicoder"
"""Our task that is scored on HumanEval."""
PROBLEMS = 164


@dataclass(frozen=True)
class PublishedRepair:
    """One row: programs of one model, debugged by one method."""

    seeds: str
    """The model that wrote the programs."""
    before: float
    """pass@1, as a fraction of 1."""
    debugger: str
    method: str
    after: float
    counted: int | None
    """Right programs after debugging, counted in the published files; None where there is no file."""


def rows() -> list[PublishedRepair]:
    with (shipped("data/published") / "debugging_humaneval.csv").open(encoding="utf-8") as file:
        return [
            PublishedRepair(
                row["seeds"],
                round(float(row["before"]) / 100, 3),
                row["debugger"],
                row["method"],
                round(float(row["after"]) / 100, 3),
                int(row["counted"]) if row["counted"] else None,
            )
            for row in csv.DictReader(file)
        ]
