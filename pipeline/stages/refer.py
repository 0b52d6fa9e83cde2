"""What a reference model behind an endpoint says to the held-out examples.

What that took stands in the manifest alone: times would give equal answers another digest.
"""

import time
from typing import Any

from pipeline.errors import MachineError
from pipeline.machine import Work
from pipeline.references import ask as asking
from pipeline.references import endpoint
from pipeline.store import records

VERSION = 1
NEEDS = ("network",)


def run(work: Work) -> dict[str, Any]:
    params, start = work.params, time.monotonic()
    exam = list(records.read(work.inputs["exam"] / "examples.jsonl", records.Example))
    ask = asking.AnswerLimits(params["max_new_tokens"], tuple(params["stop"]))
    replies = asking.answers(call_of(work), ask, exam, work.resume / "answers.jsonl", work.machine.offline)
    records.write(work.out / "predictions.jsonl", [reply.prediction for reply in replies])
    usage = asking.usage(replies, time.monotonic() - start)
    stops = [reply.stopped for reply in replies]
    return {
        "examples": len(replies),
        "tokens": usage["completion_tokens"],
        "truncated": stops.count("length"),
        "refused": stops.count("refused"),
    } | usage


def call_of(work: Work) -> endpoint.Call:
    """How to reach the model that is asked for: the machine knows, since key and concurrency are part of no key."""
    address, model = work.params["endpoint"], work.params["model"]
    for call in work.machine.calls:
        if (call.endpoint, call.model) == (address, model):
            found: endpoint.Call = call
            return found
    raise MachineError(f"reference {model} at {address}: this run was not told how to reach it", "Name it under references: in the recipe.")
