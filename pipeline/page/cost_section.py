"""The account of costs of a cell: what was measured and priced, handed to the arithmetic of measures.cost."""

from typing import Any

from pipeline.measures import cost
from pipeline.page.arms_section import timing
from pipeline.page.cells import Cell, finite
from pipeline.page.published_section import REFERENCE

Row = dict[str, Any]


def account(cell: Cell, arms: list[Row], recipe: Row) -> Row | None:
    """The account, and each arm's own row put on it as `cost`, with `tokens_out`; None where neither speed nor a price is known.

    Args:
        arms: as `arms.rows` gives them.
    """
    speed = timing(cell, [row["name"] for row in arms])
    known = {entry["name"]: entry["price"] for entry in recipe["references"]}
    priced = {row["name"] for row in arms if known.get(row["name"].removeprefix(REFERENCE)) and row["name"].startswith(REFERENCE)}
    timed = set(speed["arms"]) if speed else set()
    if not priced | timed:
        return None
    tokens = {row["name"]: used(cell, row) for row in arms if row["name"] in priced | timed and row["tokens_in"] is not None}
    seconds = tuple(float(adapter.facts["train_seconds"]) for adapter in cell.adapters)
    prices = {name: price for name, price in known.items() if REFERENCE + name in tokens}
    found: Row = finite(cost.account(cost.Given(recipe["cost"]["gpu_hour"], seconds, speed, tokens, prices)))
    for row in arms:
        row["cost"] = found["arms"].get(row["name"])
        row["tokens_out"] = tokens[row["name"]]["out"] if row["name"] in tokens else None
    return found


def used(cell: Cell, row: Row) -> Row:
    """Mean tokens of a prompt and of an answer; an endpoint's own count where it gave one, none where choices are ranked."""
    if (row["speed"] or {"ranks": False})["ranks"]:
        return {"in": row["tokens_in"], "out": 0.0}
    facts = cell.inputs[row["name"]].facts if row["name"].startswith(REFERENCE) else {}
    out = facts["completion_tokens"] / facts["examples"] if facts.get("completion_tokens") and facts.get("examples") else None
    return {"in": row["tokens_in"], "out": row["counts"]["mean_tokens"] if out is None else out}
