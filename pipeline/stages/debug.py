"""Debugs the programs of an arm with the model that wrote them: on the tests of their prompts, with traces of the failing ones.

See pipeline/debugging. The hidden tests are run later, by the comparison, once for each program.
"""

import time
from collections.abc import Sequence
from typing import Any

from pipeline.debugging import loop, results
from pipeline.debugging.loop import Answer, Query
from pipeline.engine import written_answers
from pipeline.engine.backend import Backend
from pipeline.engine.generation import StopConditions
from pipeline.engine.open_backend import open_backend
from pipeline.machine import Work
from pipeline.models import renderer
from pipeline.store.folders import DebuggedFolder, HeldoutFolder, PredictionsFolder

VERSION = 3
NEEDS = ("weights", "gpu")


class ModelDebugger:
    """The base, with or without an adapter."""

    def __init__(self, work: Work, backend: Backend) -> None:
        self.work = work
        self.backend = backend
        self.render = renderer.renderer(work.params["model"])
        self.stop = StopConditions(work.params["max_new_tokens"], backend.eos_ids, self.render.stop_strings)

    def fits(self, text: str) -> bool:
        return len(self.render.prompt_ids(text)) + 2 * self.stop.max_new_tokens <= self.backend.context_window

    def ask(self, name: str, queries: Sequence[Query]) -> list[Answer]:
        questions = [written_answers.Question(query.example, self.render.prompt_ids(query.text)) for query in queries]
        path = self.work.resume / f"{name}.jsonl"
        answers = written_answers.answer_resumably(path, self.backend, self.render, questions, self.stop)
        return [Answer(answer.text, len(question.ids), answer.tokens) for question, answer in zip(questions, answers, strict=True)]


def run(work: Work) -> dict[str, Any]:
    start = time.monotonic()
    examples = HeldoutFolder(work.inputs["heldout"]).examples()
    programs = PredictionsFolder(work.inputs["programs"]).predictions()
    settings = loop.Settings(work.params["level"], work.params["rounds"], work.params["seed"], work.machine.unsafe_code)
    with open_backend(work) as backend:
        sessions = loop.debug(examples, programs, ModelDebugger(work, backend), settings)
        facts = results.write(DebuggedFolder(work.out), sessions) | backend.facts()
    return facts | {"seconds": round(time.monotonic() - start, 1)}
