"""Compares the fine-tuned model with a constant answer, which needs no model: one that scores no more is useless."""

from pipeline.measures.cell_types import CellRow
from pipeline.scoring import verdict
from pipeline.scoring.verdict import IMPROVED, Verdict


def verdict_of_tuned(cell: CellRow) -> Verdict:
    """The verdict on the fine-tuned model against the constant answer, by interval alone; `improved` if the report has none.

    The paired interval decides if the arm `constant` was run. Otherwise the constant answer's score is compared with the
    interval of the fine-tuned model's own score, or with the score alone if it has no interval.
    """
    constant = cell["constant_answer"]
    if not constant:
        return IMPROVED
    if constant["tuned_over"]:
        return verdict.by_interval(constant["tuned_over"]["low"], constant["tuned_over"]["high"])
    low, high = interval(cell, "tuned") or (score(cell, "tuned"), score(cell, "tuned"))
    return verdict.by_interval(low - constant["score"], high - constant["score"])


def interval(cell: CellRow, arm: str) -> tuple[float, float] | None:
    """The interval of an arm's own score; None if it is not known."""
    row = next(row for row in cell["arms"] if row["name"] == arm)
    return None if row["low"] is None or row["high"] is None else (row["low"], row["high"])


def score(cell: CellRow, arm: str) -> float:
    """An arm's score by the primary metric."""
    return next(float(row["score"]) for row in cell["arms"] if row["name"] == arm)
