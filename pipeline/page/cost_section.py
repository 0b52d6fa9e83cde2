"""Builds the cost table of a cell: passes measurements and prices to measures.cost, and puts the result into words."""

from collections.abc import Mapping

from pipeline import arms
from pipeline.measures import cost, names
from pipeline.measures.cell_types import Account, ArmRow, MeasuredArm
from pipeline.measures.cost import Assumption, AssumptionKind
from pipeline.page.arms_section import facts_of
from pipeline.page.cells import Cell, json_safe
from pipeline.store.cost_types import ArmCost, BreakEven
from pipeline.store.records import JsonObject

NO_HOUR = "the price of an hour is not set (cost.gpu_hour)"
ASSUMPTIONS: Mapping[AssumptionKind, str] = {
    "no price of an hour": "Set cost.gpu_hour to get prices in dollars.",
    "price of an hour": "An hour of this machine costs ${:g}; idle hours are not counted.",
    "mean of the seeds": "Training cost is that of one adapter, the mean of {:g} seeds: only one would be deployed.",
    "optimizer steps alone": "Training cost covers optimizer steps only, not data preparation or evaluation.",
    "speed not measured": "Latency was not measured, so the cost of a request on this machine is unknown.",
    "time to first token": "Time to first token is attributed to the prompt, so short prompts look expensive per token.",
    "tokens written": "A request is priced at the tokens that the arm wrote: one that stops early with a wrong answer looks cheap.",
    "one request at a time": "Latency is that of one request at a time. Batching is cheaper, so prices are upper bounds and break-even "
    "numbers lower bounds.",
    "ranked choices": "An arm that ranks choices is priced by its prompt and its choices; it generates nothing.",
    "same machine": "Break-even between local arms is in seconds: both run on the same machine, so its price per hour cancels.",
    "examples in the prompt": "Few-shot examples are paid for with every request; prompt caching would make it cheaper.",
    "price of the recipe": "A reference model is priced by the recipe, per token that its endpoint counted.",
}
"""The sentence for each assumption; the figure replaces the braces."""


def tokens(cell: Cell, rows: list[MeasuredArm], recipe: JsonObject) -> dict[str, dict[str, float]] | None:
    """By arm that was timed or has a price, mean tokens of a prompt and of an answer {in, out}; None where there is no such arm."""
    priced = {arms.reference(entry["name"]) for entry in recipe["references"] if entry["price"]}
    with_cost = [row for row in rows if row["speed"] or row["name"] in priced]
    if not with_cost:
        return None
    return {row["name"]: mean_tokens(cell, row, row["tokens_in"]) for row in with_cost if row["tokens_in"] is not None}


def mean_tokens(cell: Cell, row: MeasuredArm, tokens_in: float) -> dict[str, float]:
    """Mean tokens of a prompt and of an answer; an endpoint's own count where it gave one, none where choices are ranked."""
    if row["speed"] and row["speed"]["ranks"]:
        return {"in": tokens_in, "out": 0.0}
    facts = facts_of(cell, row["name"]) if arms.find(row["name"]).reference else {}
    if facts.get("completion_tokens") and facts.get("examples"):
        return {"in": tokens_in, "out": facts["completion_tokens"] / facts["examples"]}
    assert row["counts"] is not None  # whatever was timed or has a price has answers,
    assert row["counts"]["mean_tokens"] is not None  # and they are ours
    return {"in": tokens_in, "out": row["counts"]["mean_tokens"]}


def account(cell: Cell, rows: list[MeasuredArm], used_tokens: dict[str, dict[str, float]], recipe: JsonObject) -> Account:
    """The account of the arms whose tokens are known."""
    speed = {row["name"]: row["speed"] for row in rows if row["speed"]}
    seconds = tuple(float(adapter.facts["train_seconds"]) for adapter in cell.adapters if "train_seconds" in adapter.facts)
    prices = {entry["name"]: entry["price"] for entry in recipe["references"] if arms.reference(entry["name"]) in used_tokens}
    figures = json_safe(cost.account(cost.CostInputs(recipe["cost"]["gpu_hour"], seconds, speed or None, used_tokens, prices)))
    return {
        **figures,
        "break_even": [{**row, "why": why(row)} for row in figures["break_even"]],
        "assumptions": [assumption(entry) for entry in figures["assumptions"]],
    }


def with_costs(rows: list[MeasuredArm], used_tokens: dict[str, dict[str, float]], costs: dict[str, ArmCost]) -> list[ArmRow]:
    """The arms as report.json has them."""
    return [
        {
            **row,
            "tokens_out": used_tokens[row["name"]]["out"] if row["name"] in used_tokens else None,
            "cost": costs.get(row["name"]),
        }
        for row in rows
    ]


def assumption(entry: Assumption) -> str:
    return ASSUMPTIONS[entry.kind].format(entry.figure)


def why(row: BreakEven) -> str:
    """Why there is no break-even, in words; empty where there is one.

    Args:
        row: of the account's break_even.
    """
    if row["reason"] is None:
        return ""
    return {
        "never": f"never: {names.arm(row['one'])} is not cheaper per request than {names.arm(row['other'])}",
        "speed not measured": f"the speed of {' and '.join(map(names.arm, row['unmeasured']))} was not measured (compare.speed_prompts)",
        "training not timed": "the time of training was not measured",
        "no price of an hour": NO_HOUR,
        "no price of a token": f"the price of {arms.find(row['other']).reference} is not set (references.price)",
    }[row["reason"]]
