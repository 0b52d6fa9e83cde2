"""Files of made-up input folders, each written by the product's own writers; what takes long is made once a process."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.data import data_checks, drop_tally, inline
from pipeline.data.overlap import OverlapIndex
from pipeline.engine import training_state
from pipeline.machine import Machine, Work
from pipeline.stages import compare, prepare
from pipeline.store.artifact import Artifact, json_sha256
from pipeline.store.folders import AdapterFolder, HeldoutFolder, LossesFolder, PreparedFolder, RelevanceFolder, SpeedFolder, TrainFolder
from pipeline.store.records import Example
from tests import report_answers, report_measures

Row = dict[str, Any]
Files = dict[str, bytes]
"""The content of a folder by the names of its files."""
WATCHED = 100
"""Held-out examples that the training part is compared with; an index of thousands takes seconds."""
TRAIN, DEV = 200, 20
"""Training examples, and those for the dev loss."""
COMPARISONS: dict[str, Files] = {}
"""What `compare` made of equal inputs."""


def files_from(write: Callable[[Path], Any]) -> Files:
    """What a writer of the product leaves in a folder."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def row_of(example: Example) -> data_checks.Row:
    """An example of 90 prompt tokens and 4 target tokens."""
    return data_checks.Row(f"row {example.id}", example, 90, 4, original=example.text, uncut=example.text)


def heldout(examples: list[Example]) -> tuple[Files, Row]:
    """Files and facts of held-out examples."""
    tally = drop_tally.DropTally(len(examples) + 3)
    for location in ("row 17", "row 90", "row 91"):
        tally.add("bad value", location, "<i>n/a</i>")
    draw = prepare.Draw({"examples": len(examples)}, None, selected=examples, rows=[row_of(example) for example in examples])
    sentence = "3 of 9 rows have no {<i>extra</i>}; its default is used"
    facts: Row = {"notes": [{"kind": "default", "count": 3, "rows": 9, "sentence": sentence}]}

    def write(out: Path) -> None:
        facts.update(prepare.facts(draw, tally) | prepare.write_heldout(HeldoutFolder(out), draw))
        PreparedFolder(out).write_dropped(tally.report())

    return files_from(write), facts


@cache
def train(task: str, n: int) -> tuple[Files, Row]:
    """Files and facts of a training part, from which two exact copies and five near ones of held-out prompts were left out.

    Args:
        n: held-out examples.
    """
    watched = report_answers.examples(task, min(n, WATCHED))
    copies = [replace(example, id=f"t{number}") for number, example in enumerate(watched[:7])]
    copies[2:] = [replace(example, prompt=example.text.replace("e", "i", 1)) for example in copies[2:]]
    draw = prepare.Draw({"examples": TRAIN, "dev_examples": DEV, "near_duplicates": 0.8}, OverlapIndex(watched, 0.8), cut=4)
    tally = drop_tally.DropTally(2111)
    for number in range(9, 20):
        tally.add("too long", f"t{number}", "900 tokens")
    for example in [*copies, *report_answers.examples(task, TRAIN + DEV, "train")]:
        if not draw.is_copy(example.id, example, tally):
            draw.selected.append(example)
            draw.rows.append(row_of(example))
    spec = inline.from_spec(report_answers.spec(task, two_metrics=False))
    facts: Row = {}

    def write(out: Path) -> None:
        facts.update(prepare.facts(draw, tally) | prepare.write_train(TrainFolder(out), draw, watched, spec))
        PreparedFolder(out).write_dropped(tally.report())

    return files_from(write), facts


@cache
def adapter(steps: int, rank: int, seed: int) -> Files:
    def write(out: Path) -> None:
        training_state.write_curve(AdapterFolder(out).curve_file, report_measures.curve(steps, rank, seed))
        (out / AdapterFolder.WEIGHTS).write_bytes(b"weights")

    return files_from(write)


@cache
def speed(task: str, arms: tuple[str, ...]) -> Files:
    timed = report_measures.timed_arms(task, arms, ranks=task not in report_answers.GRADED)
    measured = {
        "arms": {arm.name: arm.measurements() for arm in timed},
        "new_tokens": report_measures.NEW_TOKENS,
        "untimed": None,
        "adapter_bytes": 9_000_000,
        "context_window": 2048,
    }
    return files_from(lambda out: SpeedFolder(out).write_measurements(measured))


def relevance(rows: list[Row]) -> Files:
    return files_from(lambda out: RelevanceFolder(out).write_rows(rows))


@cache
def losses(task: str, rise: float) -> Files:
    return files_from(lambda out: LossesFolder(out).write_rows(report_measures.losses(task, rise)))


def comparison(params: Row, inputs: Mapping[str, Artifact]) -> Files:
    """What the stage `compare` makes of folders; equal ones are compared once, wherever they lie."""
    facts = {name: artifact.facts for name, artifact in inputs.items()}  # which arms changed nothing hangs on them
    key = json_sha256([params, {name: artifact.digest for name, artifact in inputs.items()}, facts])
    if key not in COMPARISONS:
        folders = {name: artifact.path for name, artifact in inputs.items()}
        COMPARISONS[key] = files_from(lambda out: compare.run(Work(params, folders, out, out / "resume", Machine(device="cpu"))))
    return COMPARISONS[key]
