"""Builds the cost table of a cell: hands what was measured and priced to measures.cost, and words the result."""

from collections.abc import Mapping

from pipeline import arms
from pipeline.measures import cost, names
from pipeline.measures.cost import Assumption, AssumptionKind
from pipeline.page.arms_section import facts_of, timing
from pipeline.page.cells import Cell, finite
from pipeline.store.records import JsonObject

NO_HOUR = "the price of an hour is not set (cost.gpu_hour)"
ASSUMPTIONS: Mapping[AssumptionKind, str] = {
    "no price of an hour": f"No dollars for our own arms: {NO_HOUR}.",
    "price of an hour": "An hour of the machine is taken as ${:g}, idle hours not counted.",
    "mean of the seeds": "Training is that of one adapter, the mean of {:g} seeds: only one would be deployed.",
    "optimizer steps alone": "Training is the time of the optimizer steps; preparing, trying out and measuring are not in it.",
    "speed not measured": "Speed was not measured, so what a request costs on our machine is not known.",
    "time to first token": "The time to a first token is priced as prompt tokens, so short prompts look dear by the token.",
    "tokens written": "A request is priced at the tokens that the arm wrote: one that stops early with a wrong answer looks cheap.",
    "one request at a time": "Speed is that of one request at a time: batching is cheaper, so prices are upper bounds, break-even numbers "
    "lower ones.",
    "ranked choices": "An arm that ranks choices is priced by the reading of its prompt and its choices; it writes nothing.",
    "same machine": "Break-even between arms of our own is by seconds: both run on the same machine, so the price of its hour cancels.",
    "examples in the prompt": "The examples in front of a few-shot prompt are paid with every request; a cache of them would make it "
    "cheaper.",
    "price of the recipe": "A reference model is priced by the recipe, per token that its endpoint counted.",
}
"""The sentence that stands beside the figures; braces hold the figure."""


def account(cell: Cell, arm_rows: list[JsonObject], recipe: JsonObject) -> JsonObject | None:
    """The account, and each arm's own row put on it as `cost`, with `tokens_out`; None where neither speed nor a price is known.

    Args:
        arm_rows: as `arms_section.rows` gives them.
    """
    speed = timing(cell, [row["name"] for row in arm_rows])
    prices = {entry["name"]: entry["price"] for entry in recipe["references"]}
    priced = {arms.reference(model) for model, price in prices.items() if price} & {row["name"] for row in arm_rows}
    timed = set(speed["arms"]) if speed else set()
    if not priced | timed:
        return None
    tokens = {row["name"]: used(cell, row) for row in arm_rows if row["name"] in priced | timed and row["tokens_in"] is not None}
    seconds = tuple(float(adapter.facts["train_seconds"]) for adapter in cell.adapters)
    prices_used = {name: price for name, price in prices.items() if arms.reference(name) in tokens}
    account_row: JsonObject = finite(cost.account(cost.CostInputs(recipe["cost"]["gpu_hour"], seconds, speed, tokens, prices_used)))
    account_row["break_even"] = [row | {"why": why(row)} for row in account_row["break_even"]]
    account_row["assumptions"] = [assumption(entry) for entry in account_row["assumptions"]]
    for row in arm_rows:
        row["cost"] = account_row["arms"].get(row["name"])
        row["tokens_out"] = tokens[row["name"]]["out"] if row["name"] in tokens else None
    return account_row


def used(cell: Cell, row: JsonObject) -> JsonObject:
    """Mean tokens of a prompt and of an answer; an endpoint's own count where it gave one, none where choices are ranked."""
    if (row["speed"] or {"ranks": False})["ranks"]:
        return {"in": row["tokens_in"], "out": 0.0}
    facts = facts_of(cell, row["name"]) if arms.find(row["name"]).reference else {}
    out = facts["completion_tokens"] / facts["examples"] if facts.get("completion_tokens") and facts.get("examples") else None
    return {"in": row["tokens_in"], "out": row["counts"]["mean_tokens"] if out is None else out}


def assumption(entry: Assumption) -> str:
    return ASSUMPTIONS[entry.kind].format(entry.figure)


def why(row: JsonObject) -> str:
    """Why there is no break-even, in words; empty where there is one.

    Args:
        row: of the account's break_even.
    """
    if row["reason"] is None:
        return ""
    return {
        "never": f"never: a request to {names.arm(row['one'])} costs no less than one to {names.arm(row['other'])}",
        "speed not measured": f"the speed of {' and '.join(map(names.arm, row['unmeasured']))} was not measured (compare.speed_prompts)",
        "training not timed": "the time of training was not measured",
        "no price of an hour": NO_HOUR,
        "no price of a token": f"the price of {arms.find(row['other']).reference} is not set (references.price)",
    }[row["reason"]]
