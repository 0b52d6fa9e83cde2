"""Summarizes the timed requests of speed.json as medians, rates and overheads."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import arms as arms_table
from pipeline.store.cost_types import LatencyFigures, Speed, TimedArm
from pipeline.store.records import JsonObject

REQUESTS = ("prompt_lengths", "latency", "first")
"""Fields of an arm in speed.json with one value per request: tokens, seconds, seconds to the first token."""
MIN_REQUESTS_OF_P95 = 40
"""Of fewer requests the 95th percentile is hardly more than the slowest one."""


def summarize(speed: JsonObject) -> Speed:
    """Add the derived figures to speed.json; all times are in seconds.

    Per arm: prompt_tokens (mean), prompt_tokens_per_second, tokens_per_second, p50, p95 (None of fewer than 40 requests) and max of the
    latency. overhead is {arm: its latency divided by base's}. Prompt tokens are divided by the time to the first token, new ones from the
    second on by the time after it (None if there are fewer than two, as for an arm that ranks choices). Rates are medians over requests,
    overheads medians over prompts that both arms answered in turn, so that a single delayed request does not matter.

    Args:
        speed: as the stage writes it, the base first. Older artifacts hold the derived figures already, but for the maximum.
    """
    if "overhead" in speed:
        of_arms = {name: {**latency_figures(np.array(arm["latency"])), **arm} for name, arm in speed["arms"].items()}
        complete: Any = {**speed, "arms": of_arms}
        return complete  # type: ignore[no-any-return]
    arms = {name: arm_summary(arm, speed["new_tokens"]) for name, arm in speed["arms"].items()}
    base, *others = arms
    overhead = {name: float(np.median(np.array(arms[name]["latency"]) / np.array(arms[base]["latency"]))) for name in others}
    return {
        "arms": arms,
        "overhead": overhead,
        "new_tokens": speed["new_tokens"],
        "prompts": len(arms[base]["latency"]),
        "untimed": speed["untimed"],
        "adapter_bytes": speed["adapter_bytes"],
        "context_window": speed["context_window"],
    }


def arm_summary(arm: JsonObject, new_tokens: int) -> TimedArm:
    lengths, latency, first = (np.array(arm[name]) for name in REQUESTS)
    writes = new_tokens > 1 and not arm["ranks"]
    return {
        "prompt_tokens": float(lengths.mean()),
        "latency": arm["latency"],
        "first": arm["first"],
        "prompt_tokens_per_second": float(np.median(lengths / first)),
        "tokens_per_second": float(np.median((new_tokens - 1) / (latency - first))) if writes else None,
        "ranks": arm["ranks"],
        **latency_figures(latency),
        "weight_bytes": arm["weight_bytes"],
        "peak_bytes": arm["peak_bytes"],
    }


def latency_figures(latency: NDArray[np.float64]) -> LatencyFigures:
    p50, p95, longest = np.quantile(latency, [0.5, 0.95, 1.0]).tolist()
    return {"p50": p50, "p95": p95 if len(latency) >= MIN_REQUESTS_OF_P95 else None, "max": longest}


def timed_equivalent(arm: str, timed: Collection[str], quantized: bool) -> str | None:
    """The timed arm that takes as long as this one; None where there is none.

    Placebos are adapters of the same size as tuned, whatever is merged is a base that is not quantized, and ranking choices by total
    log-likelihood reads the same tokens.

    Args:
        quantized: whether the base is.
    """
    row = arms_table.find(arm)
    equivalent = row.timed_as or row.ranks_choices_of or arm
    if equivalent == arms_table.UNQUANTIZED and not quantized:
        equivalent = "base"
    return equivalent if equivalent in timed else None
