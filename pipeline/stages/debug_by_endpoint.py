"""Debugs the programs of an arm with a model behind an endpoint: the one that wrote them, or another. Otherwise as `debug`."""

import time
from collections.abc import Sequence
from typing import Any

from pipeline.debugging import loop, results
from pipeline.debugging.loop import Answer, Query
from pipeline.machine import Work
from pipeline.references import ask
from pipeline.store.folders import DebuggedFolder, HeldoutFolder, PredictionsFolder
from pipeline.store.records import Example

VERSION = 3
NEEDS = ("network",)
MOST_CHARACTERS = 60_000
"""Longest query; the context window behind an endpoint is not known."""


class EndpointDebugger:
    """A model behind an endpoint; each query is sent once, whatever kills the run."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.settings = work.machine.endpoint(work.params["endpoint"], work.params["model"])

    def fits(self, text: str) -> bool:
        return len(text) <= MOST_CHARACTERS

    def ask(self, name: str, queries: Sequence[Query]) -> list[Answer]:
        prompts = [Example(query.example, query.text, "") for query in queries]
        limits = ask.AnswerLimits(self.work.params["max_new_tokens"])
        replies = ask.answers(self.settings, limits, prompts, self.work.resume / f"{name}.jsonl", self.work.machine.offline)
        return [Answer(reply.text, reply.prompt_tokens, reply.tokens) for reply in replies]


def run(work: Work) -> dict[str, Any]:
    start = time.monotonic()
    examples = HeldoutFolder(work.inputs["heldout"]).examples()
    programs = PredictionsFolder(work.inputs["programs"]).predictions()
    settings = loop.Settings(work.params["level"], work.params["rounds"], work.params["seed"], work.machine.unsafe_code)
    sessions = loop.debug(examples, programs, EndpointDebugger(work), settings)
    return results.write(DebuggedFolder(work.out), sessions) | {"seconds": round(time.monotonic() - start, 1)}
