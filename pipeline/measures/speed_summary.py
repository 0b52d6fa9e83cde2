"""Summarizes the timed requests of speed.json: medians, rates and overheads."""

from typing import Any

import numpy as np

REQUESTS = ("prompt_lengths", "latency", "first")
"""What an arm of speed.json holds one value a request of."""


def summarize(speed: dict[str, Any]) -> dict[str, Any]:
    """speed.json with the figures that follow from it; seconds throughout.

    By arm prompt_tokens (mean), prompt_tokens_per_second, tokens_per_second, p50 and p95 of the latency; and overhead, {arm: its
    latency over base's}. Prompt tokens are counted over the time to the first token, new ones from the second on over the time after
    it (None if there is only one, or none, as for an arm that ranks choices). Rates are medians over requests and overheads over
    prompts that both answered in turn, so that a request that the machine held up does not matter.

    Args:
        speed: as the stage writes it, the base first; an artifact from before measurements were kept apart holds the same figures
            already and is returned as it is.
    """
    if "overhead" in speed:
        return speed
    arms = {name: arm_summary(arm, speed["new_tokens"]) for name, arm in speed["arms"].items()}
    base, *others = arms
    overhead = {name: float(np.median(np.array(arms[name]["latency"]) / np.array(arms[base]["latency"]))) for name in others}
    return {**speed, "arms": arms, "overhead": overhead, "prompts": len(arms[base]["latency"])}


def arm_summary(arm: dict[str, Any], new_tokens: int) -> dict[str, Any]:
    lengths, latency, first = (np.array(arm[name]) for name in REQUESTS)
    writes = new_tokens > 1 and not arm["ranks"]
    p50, p95 = np.quantile(latency, [0.5, 0.95]).tolist()
    return {
        "prompt_tokens": float(lengths.mean()),
        "latency": arm["latency"],
        "first": arm["first"],
        "prompt_tokens_per_second": float(np.median(lengths / first)),
        "tokens_per_second": float(np.median((new_tokens - 1) / (latency - first))) if writes else None,
        "ranks": arm["ranks"],
        "p50": p50,
        "p95": p95,
        "weight_bytes": arm["weight_bytes"],
        "peak_bytes": arm["peak_bytes"],
    }
