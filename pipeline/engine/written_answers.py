"""Generates texts batch by batch with any backend, and keeps each batch, so that a killed run continues after the last whole one."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.engine import resumable
from pipeline.engine.backend import Backend
from pipeline.engine.generation import SamplingParams, StopConditions
from pipeline.models.renderer import Renderer
from pipeline.store import records
from pipeline.store.records import Prediction

Sampling = Callable[[Sequence[str]], SamplingParams]
"""How the examples of a batch are sampled, by their ids."""


@dataclass(frozen=True)
class Question:
    """The prompt of an example."""

    example: str
    """Its id."""
    ids: list[int]
    """Token ids of the prompt."""


def answer_resumably(
    path: Path,
    backend: Backend,
    render: Renderer,
    questions: Sequence[Question],
    stop: StopConditions,
    sampling: Sampling | None = None,
) -> list[Prediction]:
    """One answer to every question, in their order.

    Args:
        path: the log of finished answers.
        sampling: None: greedy.
    """
    batches = backend.generate_batches([question.ids for question in questions], stop.max_new_tokens, sampled=sampling is not None)

    def answer(batch: Sequence[int]) -> list[dict[str, Any]]:
        examples = [questions[index].example for index in batch]
        rows = backend.generate([questions[index].ids for index in batch], stop, sampling(examples) if sampling else None)
        return [asdict(make_prediction(example, row, stop, render.decode)) for example, row in zip(examples, rows, strict=True)]

    rows = resumable.compute_resumably(path, batches, answer, "answering", "examples", is_prediction)
    return [records.from_json(row, Prediction) for row in rows]


def is_prediction(value: Any) -> bool:
    """Whether what the resume folder kept of an answer is one."""
    try:
        return isinstance(records.from_json(value, Prediction).text, str)
    except (TypeError, AttributeError):
        return False


def make_prediction(example: str, row: list[int], stop: StopConditions, decode: Callable[[list[int]], str]) -> Prediction:
    """Decode an answer, cut it at its first stop string, and record what ended it."""
    ended = bool(row) and row[-1] in stop.eos_ids
    ids = row[:-1] if ended else row
    text = decode(ids)
    if (end := stop.first_end(text)) is not None:
        return Prediction(example, text[:end], len(ids), "stop")
    return Prediction(example, text, len(ids), "eos" if ended else "length")
