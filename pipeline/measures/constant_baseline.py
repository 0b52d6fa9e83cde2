"""Compares arms with a constant answer, which needs no model: an arm that scores no more is useless. Exploratory."""

from typing import Literal

from pipeline.measures.cell_types import CellRow
from pipeline.scoring import verdict
from pipeline.scoring.verdict import BETTER, CANNOT_TELL, WORSE, Verdict

NEITHER: Literal["neither"] = "neither"
LARGE_SHARE = 0.25
"""If the constant answer reaches at least this share of the lift over the best untrained arm, the advice says so."""


def verdict_on(cell: CellRow, arm: str) -> Verdict:
    """The verdict on an arm against the constant answer; `better` if the report has none.

    Tuned is judged by the paired interval if the arm `constant` was run. Otherwise the constant answer's score is compared with the
    interval of the arm's own score, or with the score alone if it has no interval.

    Args:
        cell: a cell of report.json.
    """
    constant = cell["constant_answer"]
    if not constant:
        return BETTER
    if arm == "tuned" and constant["tuned_over"]:
        return verdict.by_interval(constant["tuned_over"]["low"], constant["tuned_over"]["high"])
    low, high = interval(cell, arm) or (score(cell, arm), score(cell, arm))
    return verdict.by_interval(low - constant["score"], high - constant["score"])


def interval(cell: CellRow, arm: str) -> tuple[float, float] | None:
    """The interval of an arm's own score; None if it is not known."""
    row = next(row for row in cell["arms"] if row["name"] == arm)
    return None if row["low"] is None or row["high"] is None else (row["low"], row["high"])


def score(cell: CellRow, arm: str) -> float:
    """An arm's score by the primary metric."""
    return next(float(row["score"]) for row in cell["arms"] if row["name"] == arm)


def overruling_use(cell: CellRow, use: str, rival: str) -> str | None:
    """The recommendation that replaces that of the claims: NEITHER, CANNOT_TELL, or None if the claims stand.

    Args:
        use: the arm that the claims alone recommend.
        rival: the best arm without training.
    """
    verdicts = [verdict_on(cell, arm) for arm in contenders(use, rival)]
    if all(word == WORSE for word in verdicts):
        return NEITHER
    return None if BETTER in verdicts else CANNOT_TELL


def contenders(use: str, rival: str) -> tuple[str, ...]:
    """The arms that must beat the constant answer."""
    return ("tuned", rival) if use == CANNOT_TELL else (use,)


def share_of_lift(cell: CellRow, rival: str) -> float | None:
    """The share of the lift over the best untrained arm that the constant answer gives; None below LARGE_SHARE."""
    if not cell["constant_answer"]:
        return None
    lift = score(cell, "tuned") - score(cell, rival)
    by_constant = cell["constant_answer"]["score"] - score(cell, rival)
    return float(by_constant / lift) if lift > 0 and by_constant / lift >= LARGE_SHARE else None
