"""Collects the answers of a reference model behind an endpoint to the held-out examples.

What that took stands in the manifest alone: times would give equal answers another digest.
"""

import time
from typing import Any

from pipeline.errors import MachineError
from pipeline.machine import EndpointSettings, Work
from pipeline.references import ask as asking
from pipeline.store.folders import HeldoutFolder, PredictionsFolder

VERSION = 1
NEEDS = ("network",)


def run(work: Work) -> dict[str, Any]:
    params, start = work.params, time.monotonic()
    heldout = HeldoutFolder(work.inputs["heldout"]).examples()
    ask = asking.AnswerLimits(params["max_new_tokens"], tuple(params["stop"]))
    replies = asking.answers(endpoint_settings(work), ask, heldout, work.resume / "answers.jsonl", work.machine.offline)
    PredictionsFolder(work.out).write_predictions(reply.prediction for reply in replies)
    usage = asking.usage(replies, time.monotonic() - start)
    stops = [reply.stopped for reply in replies]
    return {
        "examples": len(replies),
        "tokens": usage["completion_tokens"],
        "truncated": stops.count("length"),
        "refused": stops.count("refused"),
    } | usage


def endpoint_settings(work: Work) -> EndpointSettings:
    """How to reach the model that is asked for: the machine knows, since key and concurrency are part of no key."""
    address, model = work.params["endpoint"], work.params["model"]
    for settings in work.machine.endpoints:
        if (settings.endpoint, settings.model) == (address, model):
            return settings
    raise MachineError(f"reference {model} at {address}: this run was not told how to reach it", "Name it under references: in the recipe.")
