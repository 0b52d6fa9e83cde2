"""Arms beside an answer that is always the same, which needs no model: who scores no more than that is of no use. Exploratory."""

from typing import Any

from pipeline.measures import names

Row = dict[str, Any]
CANNOT, NEITHER = "cannot tell", "neither"


def word(cell: Row, arm: str) -> str:
    """An arm against the constant answer: by its interval where there is one, else by the scores; `better` where there is no such answer.

    Args:
        cell: of report.json: floor and arms.
    """
    floor = cell["floor"]
    if not floor:
        return "better"
    if arm == "tuned" and floor["tuned_over"]:
        over = floor["tuned_over"]
        return "better" if over["low"] > 0 else "worse" if over["high"] < 0 else CANNOT
    return "better" if score(cell, arm) > floor["score"] else "worse"


def score(cell: Row, arm: str) -> float:
    return next(float(row["score"]) for row in cell["arms"] if row["name"] == arm)


def decides(cell: Row, use: str, rival: str) -> str:
    """What the constant answer makes of a recommendation: NEITHER, CANNOT, or nothing where it changes nothing.

    Args:
        use: what the claims alone would recommend.
        rival: the best arm that needs no training.
    """
    asked = ("tuned", rival) if use == CANNOT else (use,)
    if all(word(cell, arm) == "worse" for arm in asked):
        return NEITHER
    return CANNOT if use == "tuned" and word(cell, use) == CANNOT else ""


def saying(cell: Row, decided: str, rival: str) -> str:
    """The recommendation that the constant answer decided."""
    name, told = cell["label"], scores(cell, rival)
    if decided == NEITHER:
        return f"Use neither the fine-tune nor {names.arm(rival)} when the task is {name}: {told} (exploratory)."
    over = cell["floor"]["tuned_over"]
    by = names.signed(over | {"value": over["lift"]})
    return f"Cannot tell whether the fine-tune is better than an answer that is always the same on {name} ({by}, exploratory): {told}."


def aside(cell: Row, rival: str) -> str:
    """Said where the constant answer scores more than what needs no training; empty elsewhere."""
    if not cell["floor"] or word(cell, rival) == "better":
        return ""
    over = cell["floor"]["tuned_over"]
    against = f": against it {names.signed(over | {'value': over['lift']})} (exploratory)" if over else ""
    return f"Much of this may be form: {scores(cell, rival)}{against}."


def scores(cell: Row, rival: str) -> str:
    told = f"an answer that is always the same scores {cell['floor']['score']:.2f}, {names.arm(rival)} {score(cell, rival):.2f}"
    return f"{told}, the fine-tune {score(cell, 'tuned'):.2f}"
