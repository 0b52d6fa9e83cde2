"""Compares arms with a constant answer, which needs no model: an arm that scores no more is useless. Exploratory."""

from typing import Any, Literal

from pipeline.scoring import verdict
from pipeline.scoring.verdict import BETTER, CANNOT_TELL, WORSE, Verdict

Row = dict[str, Any]
NEITHER: Literal["neither"] = "neither"
LARGE_SHARE = 0.25
"""Share of tuned's lift over the best arm that needs no training, from which on what the constant answer gives of it is named."""


def verdict_on(cell: Row, arm: str) -> Verdict:
    """An arm against the constant answer: `better` where there is no such answer.

    Tuned goes by the paired interval where the arm `constant` was asked for; otherwise the answer's score is held against the interval of
    the arm's own score, or against the score alone where that has none.

    Args:
        cell: of report.json: floor and arms.
    """
    floor = cell["floor"]
    if not floor:
        return BETTER
    if arm == "tuned" and floor["tuned_over"]:
        return verdict.by_interval(floor["tuned_over"]["low"], floor["tuned_over"]["high"])
    low, high = interval(cell, arm) or (score(cell, arm), score(cell, arm))
    return verdict.by_interval(low - floor["score"], high - floor["score"])


def interval(cell: Row, arm: str) -> tuple[float, float] | None:
    """Of an arm's own score; None where it is not known."""
    row = next(row for row in cell["arms"] if row["name"] == arm)
    return None if row["low"] is None or row["high"] is None else (row["low"], row["high"])


def score(cell: Row, arm: str) -> float:
    return next(float(row["score"]) for row in cell["arms"] if row["name"] == arm)


def overrules(cell: Row, use: str, rival: str) -> str | None:
    """What the constant answer makes of a recommendation: NEITHER, CANNOT_TELL, or None where it changes nothing.

    Args:
        use: what the claims alone would recommend.
        rival: the best arm that needs no training.
    """
    verdicts = [verdict_on(cell, arm) for arm in contenders(use, rival)]
    if all(word == WORSE for word in verdicts):
        return NEITHER
    return None if BETTER in verdicts else CANNOT_TELL


def contenders(use: str, rival: str) -> tuple[str, ...]:
    """The arms that must hold against the constant answer."""
    return ("tuned", rival) if use == CANNOT_TELL else (use,)


def share_of_lift(cell: Row, rival: str) -> float | None:
    """The share of tuned's lift over the best arm that needs no training that the constant answer gives; None where it is small."""
    if not cell["floor"]:
        return None
    lift = score(cell, "tuned") - score(cell, rival)
    by_constant = cell["floor"]["score"] - score(cell, rival)
    return float(by_constant / lift) if lift > 0 and by_constant / lift >= LARGE_SHARE else None
