"""Collects the answers of a reference model behind an endpoint to the held-out examples.

Times and token counts are in the manifest only, since equal answers must have equal digests.
"""

import time
from typing import Any

from pipeline.machine import Work
from pipeline.references import ask as asking
from pipeline.store.folders import HeldoutFolder, PredictionsFolder
from pipeline.store.records import answer_tokens

VERSION = 1
NEEDS = ("network",)


def run(work: Work) -> dict[str, Any]:
    params = work.params
    start = time.monotonic()
    heldout = HeldoutFolder(work.inputs["heldout"]).examples()
    limits = asking.AnswerLimits(answer_tokens(params["max_new_tokens"], heldout), tuple(params["stop"]))
    settings = work.machine.endpoint(params["endpoint"], params["model"])
    replies = asking.answers(settings, limits, heldout, work.resume / "answers.jsonl", work.machine.offline)
    PredictionsFolder(work.out).write_predictions(reply.prediction for reply in replies)
    usage = asking.usage(replies, time.monotonic() - start)
    stops = [reply.stopped for reply in replies]
    return {
        "examples": len(replies),
        "tokens": usage["completion_tokens"],
        "truncated": stops.count("length"),
        "refused": stops.count("refused"),
    } | usage
