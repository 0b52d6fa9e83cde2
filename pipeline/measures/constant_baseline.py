"""Arms beside an answer that is always the same, which needs no model: who scores no more than that is of no use. Exploratory."""

from typing import Any

from pipeline.measures import names

Row = dict[str, Any]
CANNOT, NEITHER = "cannot tell", "neither"
MUCH = 0.25
"""Share of tuned's lift over the best arm that needs no training, from which on what the constant answer gives of it is said."""


def word(cell: Row, arm: str) -> str:
    """An arm against the constant answer: `better` where there is no such answer.

    Tuned goes by the paired interval where the arm `constant` was asked for; otherwise the answer's score is held against the interval of
    the arm's own score, or against the score alone where that has none.

    Args:
        cell: of report.json: floor and arms.
    """
    floor = cell["floor"]
    if not floor:
        return "better"
    if arm == "tuned" and floor["tuned_over"]:
        low, high = floor["tuned_over"]["low"], floor["tuned_over"]["high"]
    else:
        low, high = (end - floor["score"] for end in interval(cell, arm) or [score(cell, arm)] * 2)
    return "better" if low > 0 else "worse" if high < 0 else CANNOT


def interval(cell: Row, arm: str) -> tuple[float, float] | None:
    """Of an arm's own score; None where it is not known."""
    row = next(row for row in cell["arms"] if row["name"] == arm)
    return None if row["low"] is None or row["high"] is None else (row["low"], row["high"])


def score(cell: Row, arm: str) -> float:
    return next(float(row["score"]) for row in cell["arms"] if row["name"] == arm)


def decides(cell: Row, use: str, rival: str) -> str:
    """What the constant answer makes of a recommendation: NEITHER, CANNOT, or nothing where it changes nothing.

    Args:
        use: what the claims alone would recommend.
        rival: the best arm that needs no training.
    """
    found = [word(cell, arm) for arm in asked(use, rival)]
    if all(each == "worse" for each in found):
        return NEITHER
    return "" if "better" in found else CANNOT


def asked(use: str, rival: str) -> tuple[str, ...]:
    """The arms that must hold against the constant answer."""
    return ("tuned", rival) if use == CANNOT else (use,)


def saying(cell: Row, decided: str, use: str, rival: str) -> str:
    """The recommendation that the constant answer decided; arguments as for `decides`, with what that gave."""
    name, told = cell["label"], scores(cell, rival)
    if decided == NEITHER:
        return f"Use neither the fine-tune nor {names.arm(rival)} when the task is {name}: {told} (exploratory)."
    arm = next(arm for arm in asked(use, rival) if word(cell, arm) == CANNOT)
    over, own = cell["floor"]["tuned_over"], interval(cell, arm)
    if arm == "tuned" and over:
        by = f"{names.signed(over | {'value': over['lift']})}, "
    else:
        by = f"its own score lies in [{own[0]:.2f}, {own[1]:.2f}], " if own else ""
    return f"Cannot tell whether {names.arm(arm)} is better than an answer that is always the same on {name} ({by}exploratory): {told}."


def aside(cell: Row, rival: str) -> str:
    """Said where the constant answer makes up much of tuned's lift over what needs no training; empty elsewhere."""
    if not cell["floor"]:
        return ""
    cheap, over = score(cell, rival), cell["floor"]["tuned_over"]
    gained, form = score(cell, "tuned") - cheap, cell["floor"]["score"] - cheap
    if gained <= 0 or form / gained < MUCH:
        return ""
    against = f": against it {names.signed(over | {'value': over['lift']})} (exploratory)" if over else ""
    return f"Much of this may be form, {100 * form / gained:.0f} % of the lift: {scores(cell, rival)}{against}."


def scores(cell: Row, rival: str) -> str:
    told = f"an answer that is always the same scores {cell['floor']['score']:.2f}, {names.arm(rival)} {score(cell, rival):.2f}"
    return f"{told}, the fine-tune {score(cell, 'tuned'):.2f}"
