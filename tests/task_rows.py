"""The invented rows of every task, the examples made of them, and tasks that read them in place of a hub."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pipeline import metrics
from pipeline.data import make_examples, task
from pipeline.data.files import BadRow, SourceRow
from pipeline.data.task import Row, Source, Task
from pipeline.scoring import scoring
from pipeline.store.records import Example, Prediction
from tests import tiny

FIXTURES = Path(__file__).parent / "fixtures" / "tasks"
"""`<task>/<split>.jsonl`, or `<task>/<configuration>/<split>.jsonl` where a split has parts: rows as the first source gives them."""
SPLITS = ("train", "heldout")


def first(task: Task, split: str) -> Source:
    return (task.train if split == "train" else task.heldout)[0]


def json_rows(path: Path) -> list[Row]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return [json.loads(line) for line in file]


def rows(task: Task, split: str) -> list[Row]:
    """The invented rows of a split, without those that its source leaves out."""
    source = first(task, split)
    if source.make:
        return [*islice(source.make(source.split), 5)]
    folder = FIXTURES / task.name
    paths = [folder / str(part.config) / part.split for part in source.parts] or [folder / source.split]
    all_rows = [row for path in paths for row in json_rows(path.with_suffix(".jsonl"))]
    return [row for row in all_rows if source.keep is None or source.keep(row)]


def converted(task: Task, rows: Sequence[Row]) -> list[Example | BadRow]:
    """What the task makes of rows, without what is shown in every prompt."""
    return [make_examples.example_of_row(task, SourceRow(f"row-{number}", f"row {number}", row)) for number, row in enumerate(rows, 1)]


def examples(task: Task, split: str = "heldout") -> list[Example]:
    return [example for example in converted(task, rows(task, split)) if isinstance(example, Example)]


def example_of(task: Task, split: str = "heldout", **changes: Any) -> Example | BadRow:
    """What the task makes of its first invented row with other values."""
    return converted(task, [rows(task, split)[0] | changes])[0]


def scores(task: Task, examples: list[Example], texts: Sequence[str]) -> dict[str, float]:
    """Every metric of a task on the texts of a model, as the comparison computes them."""
    predictions = [Prediction(example.id, text, len(text), "eos") for example, text in zip(examples, texts, strict=True)]
    arm = scoring.read_arm("model", predictions, examples, task.answer)
    scores = {}
    for name in task.metrics:
        measured = scoring.measure(metrics.load(name, unsafe=True), [arm], examples, task.answer)
        scores[name] = float(measured.metric.aggregate(measured.statistics[0].sum(axis=0)))
    return scores


def place(patch: pytest.MonkeyPatch, name: str, folder: Path, train: Sequence[Row], heldout: Sequence[Row]) -> str:
    """Let a task of ours read files with these rows, whatever its sources are; returns its name."""
    module = import_module(f"pipeline.tasks.{name}")
    folder.mkdir(parents=True, exist_ok=True)
    for split, held in (("train", train), ("heldout", heldout)):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held), "utf-8")
    here = {split: (Source(path=str(folder / f"{split}.jsonl")),) for split in SPLITS}
    patch.setattr(module, "TASK", replace(module.TASK, **here))
    return name


def real(name: str) -> Iterator[Row]:
    """The rows of a file of the real data sets; skips the test where it is not there."""
    path = tiny.SHARED / "data" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name} of real data")
    yield from json_rows(path)


def every() -> list[Task]:
    return [task.find(name) for name in task.names()]
