"""Computes the cost of training and generation from measured speeds and prices, and the break-even in requests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from pipeline.arms import find
from pipeline.store.cost_types import ArmCost, BreakEven, Reason, RequestRates, TrainingCost

AssumptionKind = Literal[
    "no price of an hour",
    "price of an hour",
    "mean of the seeds",
    "optimizer steps alone",
    "speed not measured",
    "time to first token",
    "tokens written",
    "one request at a time",
    "ranked choices",
    "same machine",
    "examples in the prompt",
    "price of the recipe",
]


@dataclass(frozen=True)
class Assumption:
    """An assumption of the cost figures, to be stated next to them."""

    kind: AssumptionKind
    figure: float | None = None
    """US dollars for an hour, or the number of seeds."""


class CostFigures(TypedDict):
    """Cost of training and inference."""

    gpu_hour: float | None
    training: TrainingCost
    arms: dict[str, ArmCost]
    """Our own first, then those behind endpoints."""
    break_even: list[BreakEven]
    assumptions: list[Assumption]


UNPRICED: ArmCost = {"in_per_million": None, "out_per_million": None, "request": None, "seconds": None, "over_base": None}


@dataclass(frozen=True)
class CostInputs:
    """The inputs of the cost figures. What is unknown is None or left out, and the figures say so."""

    gpu_hour: float | None
    """US dollars for an hour of the machine."""
    train_seconds: tuple[float, ...]
    """Of every adapter behind the tuned arm, one per training seed."""
    speed: Mapping[str, RequestRates] | None
    """By arm, at batch 1."""
    tokens: Mapping[str, Mapping[str, float]]
    """By arm {in, out}: mean tokens of a prompt and of an answer; references as `reference.<name>`."""
    prices: Mapping[str, Mapping[str, float] | None] = field(default_factory=dict)
    """By name of the reference {input, output}: US dollars for a million tokens."""


def account(inputs: CostInputs) -> CostFigures:
    """What training and requests cost, and from how many requests on one arm, its training included, is cheaper than another."""
    local_arms = [name for name in inputs.tokens if not find(name).reference]
    base = request_seconds("base", inputs) if "base" in local_arms else None
    arms = {name: local_arm_cost(name, base, inputs) for name in local_arms}
    endpoint_arms = [name for name in inputs.tokens if find(name).reference]
    arms |= {name: endpoint_arm_cost(inputs.tokens[name], inputs.prices.get(find(name).reference)) for name in endpoint_arms}
    training_cost = training(inputs)
    return {
        "gpu_hour": inputs.gpu_hour,
        "training": training_cost,
        "arms": arms,
        "break_even": [break_even(one, other, arms, training_cost, inputs.gpu_hour) for one, other in compared_pairs(arms)],
        "assumptions": assumptions(inputs),
    }


def training(inputs: CostInputs) -> TrainingCost:
    """What one adapter took to train: only one is deployed, so seeds are replicates and not a price of the result."""
    hours = [seconds / 3600 for seconds in inputs.train_seconds]
    mean_hours = sum(hours) / len(hours) if hours else None
    dollars = mean_hours * inputs.gpu_hour if mean_hours is not None and inputs.gpu_hour is not None else None
    return {"adapters": len(hours), "gpu_hours": mean_hours, "all_gpu_hours": sum(hours) if hours else None, "dollars": dollars}


def rates_of(name: str, inputs: CostInputs) -> RequestRates | None:
    """Token rates of an arm; None if they were not measured."""
    rates = (inputs.speed or {}).get(name)
    if not rates or not rates["prompt_tokens_per_second"] or not (rates["tokens_per_second"] or rates["ranks"]):
        return None
    return rates


def request_seconds(name: str, inputs: CostInputs) -> float | None:
    """Seconds of the machine for a request of mean length; None where the arm was not timed."""
    rates = rates_of(name, inputs)
    tokens = inputs.tokens[name]
    if rates is None:
        return None
    written = rates["tokens_per_second"]
    return tokens["in"] / rates["prompt_tokens_per_second"] + (0.0 if written is None else tokens["out"] / written)


def local_arm_cost(name: str, base: float | None, inputs: CostInputs) -> ArmCost:
    """An arm that answers on the machine; a rate is dollars per hour over tokens per hour.

    Args:
        base: seconds of a request to the base, where they are known.
    """
    rates = rates_of(name, inputs)
    seconds = request_seconds(name, inputs)
    if rates is None or seconds is None:
        return UNPRICED.copy()
    hour = inputs.gpu_hour
    per_million = [
        None if hour is None or rate is None else hour / 3600 / rate * 1e6
        for rate in (rates["prompt_tokens_per_second"], rates["tokens_per_second"])
    ]
    return {
        "in_per_million": per_million[0],
        "out_per_million": per_million[1],
        "request": None if hour is None else seconds * hour / 3600,
        "seconds": seconds,
        "over_base": seconds / base if base else None,
    }


def endpoint_arm_cost(tokens: Mapping[str, float], price: Mapping[str, float] | None) -> ArmCost:
    """An arm behind an endpoint, at its price for a million tokens."""
    if price is None:
        return UNPRICED.copy()
    request = (tokens["in"] * price["input"] + tokens["out"] * price["output"]) / 1e6
    return {"in_per_million": price["input"], "out_per_million": price["output"], "request": request, "seconds": None, "over_base": None}


def compared_pairs(arms: Mapping[str, ArmCost]) -> list[tuple[str, str]]:
    """The pairs of arms to compare: the fine-tune with arms without training, and few-shot with reference models."""
    references = [name for name in arms if find(name).reference]
    candidates = [("tuned", "base_fewshot"), *(("tuned", name) for name in references), *(("base_fewshot", name) for name in references)]
    return [(one, other) for one, other in candidates if one in arms and other in arms]


def break_even(one: str, other: str, arms: Mapping[str, ArmCost], training: TrainingCost, hour: float | None) -> BreakEven:
    """The smallest n with training + n x request of one < n x request of the other."""
    reason = break_even_obstacle(one, other, arms, training, hour)
    requests = None
    if reason is None:
        is_owned = not find(other).reference
        unit: Literal["seconds", "request"] = "seconds" if is_owned else "request"  # on one machine the price of its hour cancels
        saved_per_request = require_known(arms[other][unit]) - require_known(arms[one][unit])
        if saved_per_request <= 0:
            reason = "never"
        else:
            training_spent = (
                0.0 if one != "tuned" else require_known(training["gpu_hours"]) * 3600 if is_owned else require_known(training["dollars"])
            )
            requests = math.floor(training_spent / saved_per_request) + 1
    return {"one": one, "other": other, "requests": requests, "unmeasured": untimed_arms(one, other, arms), "reason": reason}


def require_known(figure: float | None) -> float:
    """The figure; break_even_obstacle has checked that it is known."""
    assert figure is not None
    return figure


def untimed_arms(one: str, other: str, arms: Mapping[str, ArmCost]) -> list[str]:
    """Which of two arms run on our machine and were not timed."""
    return [name for name in (one, other) if not find(name).reference and arms[name]["seconds"] is None]


def break_even_obstacle(one: str, other: str, arms: Mapping[str, ArmCost], training: TrainingCost, hour: float | None) -> Reason | None:
    """Why the break-even of two arms is not known; None if it is."""
    if untimed_arms(one, other, arms):
        return "speed not measured"
    if one == "tuned" and training["gpu_hours"] is None:
        return "training not timed"
    if find(other).reference and hour is None:
        return "no price of an hour"
    if find(other).reference and arms[other]["request"] is None:
        return "no price of a token"
    return None


def assumptions(inputs: CostInputs) -> list[Assumption]:
    """The assumptions to state next to the figures."""
    rows = [Assumption("no price of an hour") if inputs.gpu_hour is None else Assumption("price of an hour", inputs.gpu_hour)]
    if len(inputs.train_seconds) > 1:
        rows.append(Assumption("mean of the seeds", len(inputs.train_seconds)))
    if inputs.train_seconds:
        rows.append(Assumption("optimizer steps alone"))
    if inputs.speed is None:
        rows.append(Assumption("speed not measured"))
    else:
        rows += [Assumption("time to first token"), Assumption("tokens written"), Assumption("one request at a time")]
    if any(arm["ranks"] for arm in (inputs.speed or {}).values()):
        rows.append(Assumption("ranked choices"))
    if "base_fewshot" in inputs.tokens:
        rows += [Assumption("same machine"), Assumption("examples in the prompt")]
    if inputs.prices:
        rows.append(Assumption("price of the recipe"))
    return rows
