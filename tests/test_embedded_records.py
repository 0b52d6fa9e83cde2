"""What a page carries where its room does not hold everything: what it shows first, and answers all together or not at all."""

import json
import random

import pytest

from pipeline.machine import Work
from pipeline.page import embedded_records
from pipeline.page.embedded_records import FileKind
from pipeline.store.artifact import Artifact, ArtifactSpec, Store

ROWS = {"short": 20, "middle": 60, "long": 200}
"""Examples of each task."""


def rows(count, seed):
    """Lines that do not pack well."""
    digits = random.Random(seed)
    return "".join(json.dumps({"id": str(number), "text": str(digits.random())}) + "\n" for number in range(count))


@pytest.fixture
def work(tmp_path):
    """A report stage's call for three tasks, whose folders are sealed but hold invented rows."""
    store = Store(tmp_path / "data", tmp_path / "checkpoints")

    def seal(stage, task, files, inputs):
        spec = ArtifactSpec(
            stage, task, 1, {"task": task, "split": "heldout"}, {name: artifact.digest for name, artifact in inputs.items()}
        )
        with store.scratch(spec) as out:
            for name, text in files.items():
                (out / name).write_text(text, "utf-8")
            return store.seal(spec, out, {}, {}, {})

    folders = {}
    for task, count in ROWS.items():
        heldout = seal("prepare", task, {"examples.jsonl": rows(count, f"{task} exam"), "dropped.json": "{}"}, {})
        base = seal("generate", task, {"predictions.jsonl": rows(count, f"{task} base")}, {"heldout": heldout})
        scored = {"examples.jsonl": rows(2 * count, f"{task} comparison"), "comparisons.jsonl": rows(1, task)}
        comparison = seal("compare", task, scored, {"heldout": heldout, "base": base})
        folders |= {f"{task}.heldout": heldout.path, f"{task}.base": base.path, f"{task}.comparison": comparison.path}
    return Work({}, folders, tmp_path / "out", tmp_path / "resume")


def on_page(work):
    """Which files of each task the page carries."""
    blocks, index = embedded_records.embed(work)
    there = {(source, name) for source, entry in index["carried"].items() for name, digest in entry["files"].items()
             if f"file-{digest[:16]}" in blocks}  # fmt: skip
    return {task: {name.removeprefix(f"{task}.") + "/" + file for name, file in there if name.startswith(task)} for task in ROWS}


SHOWN = {"comparison/examples.jsonl", "comparison/comparisons.jsonl", "heldout/dropped.json"}
ALL = SHOWN | {"base/predictions.jsonl", "heldout/examples.jsonl"}


def bytes_of(work, kinds):
    files = embedded_records.files_to_embed({name: Artifact.open(folder) for name, folder in work.inputs.items()})
    return sum(len(embedded_records.pack(path.read_bytes())) for path, kind in files if kind in kinds)


def test_where_there_is_room_everything_is_carried(work):
    assert on_page(work) == dict.fromkeys(ROWS, ALL)
    order = [
        path.name for path, _ in embedded_records.files_to_embed({name: Artifact.open(folder) for name, folder in work.inputs.items()})
    ]
    assert order[:3] == ["dropped.json"] * 3
    assert sorted(order[3:9]) == ["examples.jsonl"] * 3 + ["predictions.jsonl"] * 3
    assert order[9:] == ["comparisons.jsonl", "examples.jsonl"] * 3


def test_answers_are_carried_all_together_or_not_at_all(work, monkeypatch):
    everything = bytes_of(
        work,
        {
            FileKind.SMALL,
            FileKind.SCORES,
            FileKind.EXAMPLES,
            FileKind.EVIDENCE,
        },
    )
    monkeypatch.setattr(embedded_records, "MAX_EMBEDDED_BYTES", everything - 200)
    assert on_page(work) == dict.fromkeys(ROWS, SHOWN)


def test_the_rows_that_are_shown_come_first_and_of_most_tasks(work, monkeypatch):
    monkeypatch.setattr(embedded_records, "MAX_EMBEDDED_BYTES", bytes_of(work, {FileKind.EXAMPLES}))
    assert all(there == {"comparison/examples.jsonl"} for there in on_page(work).values())
    monkeypatch.setattr(embedded_records, "MAX_EMBEDDED_BYTES", bytes_of(work, {FileKind.EXAMPLES}) - 10)
    assert on_page(work) == {"short": SHOWN, "middle": SHOWN, "long": SHOWN - {"comparison/examples.jsonl"}}


def test_nothing_is_packed_once_there_is_no_room(work, monkeypatch):
    packed, sizes = embedded_records.pack, []

    def counted(raw):
        sizes.append(len(raw))
        return packed(raw)

    monkeypatch.setattr(embedded_records, "pack", counted)
    monkeypatch.setattr(embedded_records, "MAX_EMBEDDED_BYTES", 100)
    embedded_records.embed(work)
    # beside manifests: the shortest rows in vain, `dropped.json` once, a comparison that finds room and one that does not
    assert len(sizes) == len(work.inputs) + 1 + 1 + 2
