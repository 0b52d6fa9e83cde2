"""Computes the cost of training and generation from measured speeds and prices, and the number of requests after which the adapter pays."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.arms import find as find_arm
from pipeline.store.records import JsonObject

Reason = Literal["never", "speed not measured", "training not timed", "no price of an hour", "no price of a token"]
"""Why there is no number of requests: a request costs no less, or something is not known."""
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
    """What an account takes for granted, to be named beside its figures."""

    kind: AssumptionKind
    figure: float | None = None
    """US dollars for an hour, or the number of seeds."""


@dataclass(frozen=True)
class CostInputs:
    """What an account needs. Whatever is unknown is None or left out, and the account says so."""

    gpu_hour: float | None
    """US dollars for an hour of the machine."""
    train_seconds: tuple[float, ...]
    """Of every adapter behind the tuned arm, one a training seed."""
    speed: JsonObject | None
    """speed.json: by arm prompt_tokens_per_second and tokens_per_second at batch 1, and whether it ranks choices and writes nothing."""
    tokens: Mapping[str, Mapping[str, float]]
    """By arm {in, out}: mean tokens of a prompt and of an answer; references as `reference.<name>`."""
    prices: Mapping[str, Mapping[str, float] | None] = field(default_factory=dict)
    """By name of the reference {input, output}: US dollars for a million tokens."""


def account(costs: CostInputs) -> JsonObject:
    """{gpu_hour, training, arms, break_even, assumptions}.

    training: {adapters, gpu_hours (of one adapter: the mean), all_gpu_hours, dollars (of one)}. arms: by arm {in_per_million,
    out_per_million, request: US dollars, seconds: of the machine a request, over_base: ratio of those seconds to base's}. break_even:
    [{one, other, requests, reason, unmeasured}]: from which number of requests `one`, its training included, is cheaper than `other`;
    where there is none a Reason, and the arms whose speed was not measured. assumptions: a list of Assumption.
    """
    arms = {name: own_arm(name, tokens, costs) for name, tokens in costs.tokens.items() if not find_arm(name).reference}
    base = arms.get("base", {}).get("seconds")
    for row in arms.values():
        row["over_base"] = row["seconds"] / base if base and row["seconds"] is not None else None
    arms |= {
        name: rented_arm(tokens, costs.prices.get(find_arm(name).reference)) for name, tokens in costs.tokens.items() if name not in arms
    }
    trained = training(costs)
    return {
        "gpu_hour": costs.gpu_hour,
        "training": trained,
        "arms": arms,
        "break_even": [even(one, other, arms, trained, costs.gpu_hour) for one, other in pairs(arms)],
        "assumptions": assumptions(costs),
    }


def training(costs: CostInputs) -> JsonObject:
    """What one adapter took to train: only one is deployed, so seeds are replicates and not a price of the result."""
    hours = [seconds / 3600 for seconds in costs.train_seconds]
    one = sum(hours) / len(hours) if hours else None
    dollars = one * costs.gpu_hour if one is not None and costs.gpu_hour is not None else None
    return {"adapters": len(hours), "gpu_hours": one, "all_gpu_hours": sum(hours) if hours else None, "dollars": dollars}


def own_arm(name: str, tokens: Mapping[str, float], costs: CostInputs) -> JsonObject:
    """An arm that answers on the machine; a rate is dollars an hour over tokens an hour."""
    speed = (costs.speed or {}).get("arms", {}).get(name)
    if not speed or not speed["prompt_tokens_per_second"] or not (speed["tokens_per_second"] or speed["ranks"]):
        return {"in_per_million": None, "out_per_million": None, "request": None, "seconds": None}
    hour, read, wrote = costs.gpu_hour, speed["prompt_tokens_per_second"], speed["tokens_per_second"]
    rates = [None if hour is None or rate is None else hour / 3600 / rate * 1e6 for rate in (read, wrote)]
    seconds = tokens["in"] / read + (0.0 if wrote is None else tokens["out"] / wrote)
    request = None if hour is None else seconds * hour / 3600
    return {"in_per_million": rates[0], "out_per_million": rates[1], "request": request, "seconds": seconds}


def rented_arm(tokens: Mapping[str, float], price: Mapping[str, float] | None) -> JsonObject:
    if price is None:
        return {"in_per_million": None, "out_per_million": None, "request": None, "seconds": None, "over_base": None}
    request = (tokens["in"] * price["input"] + tokens["out"] * price["output"]) / 1e6
    return {"in_per_million": price["input"], "out_per_million": price["output"], "request": request, "seconds": None, "over_base": None}


def pairs(arms: Mapping[str, JsonObject]) -> list[tuple[str, str]]:
    """Whom to set against whom: what was trained against what was not, and a longer prompt against a rented model."""
    references = [name for name in arms if find_arm(name).reference]
    candidates = [("tuned", "base_fewshot"), *(("tuned", name) for name in references), *(("base_fewshot", name) for name in references)]
    return [(one, other) for one, other in candidates if one in arms and other in arms]


def even(one: str, other: str, arms: Mapping[str, JsonObject], trained: JsonObject, hour: float | None) -> JsonObject:
    """The smallest n with training + n x request of one < n x request of the other."""
    row = {"one": one, "other": other, "requests": None, "unmeasured": unmeasured(one, other, arms)}
    if reason := unknown(one, other, arms, trained, hour):
        return {**row, "reason": reason}
    is_owned = not find_arm(other).reference
    unit = "seconds" if is_owned else "request"  # on one machine the price of its hour cancels
    saved = arms[other][unit] - arms[one][unit]
    if saved <= 0:
        return {**row, "reason": "never"}
    spent = 0.0 if one != "tuned" else trained["gpu_hours"] * 3600 if is_owned else trained["dollars"]
    return {**row, "requests": math.floor(spent / saved) + 1, "reason": None}


def unmeasured(one: str, other: str, arms: Mapping[str, JsonObject]) -> list[str]:
    """Which of two arms run on our machine and were not timed."""
    return [name for name in (one, other) if not find_arm(name).reference and arms[name]["seconds"] is None]


def unknown(one: str, other: str, arms: Mapping[str, JsonObject], trained: JsonObject, hour: float | None) -> Reason | None:
    """Why the break-even of two arms is not known; None if it is."""
    if unmeasured(one, other, arms):
        return "speed not measured"
    if one == "tuned" and trained["gpu_hours"] is None:
        return "training not timed"
    if find_arm(other).reference and hour is None:
        return "no price of an hour"
    if find_arm(other).reference and arms[other]["request"] is None:
        return "no price of a token"
    return None


def assumptions(costs: CostInputs) -> list[Assumption]:
    """What must be named beside the figures."""
    rows = [Assumption("no price of an hour") if costs.gpu_hour is None else Assumption("price of an hour", costs.gpu_hour)]
    if len(costs.train_seconds) > 1:
        rows.append(Assumption("mean of the seeds", len(costs.train_seconds)))
    if costs.train_seconds:
        rows.append(Assumption("optimizer steps alone"))
    if costs.speed is None:
        rows.append(Assumption("speed not measured"))
    else:
        rows += [Assumption("time to first token"), Assumption("tokens written"), Assumption("one request at a time")]
    if any(arm["ranks"] for arm in (costs.speed or {"arms": {}})["arms"].values()):
        rows.append(Assumption("ranked choices"))
    if "base_fewshot" in costs.tokens:
        rows += [Assumption("same machine"), Assumption("examples in the prompt")]
    if costs.prices:
        rows.append(Assumption("price of the recipe"))
    return rows
