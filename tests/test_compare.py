"""The comparison stage: the gate before any score, and a model against itself."""

import json
import shutil
from dataclasses import replace

import pytest

from pipeline.errors import ComparisonError
from pipeline.stages import compare
from pipeline.store import records
from pipeline.store.records import Prediction
from pipeline.store.result_folders import ComparisonFolder
from tests import project, tiny
from tests.verdicts import judge

HELDOUT = [replace(example, choices=("yes", "no maybe")) for example in tiny.examples(40)]
ALIVE = {"tensors": 14, "zero_tensors": [], "targets": 14, "unmatched": [], "probes": 8, "largest_logit_difference": 0.5}
DEAD = ALIVE | {"largest_logit_difference": 0.0}
TASK = {**project.TASK, "data": {"train": "a.jsonl", "heldout": "b.jsonl"}}
PARAMS = {"task": TASK, "confidence": 0.95, "resamples": 200, "interval": "bca", "seed": 0, "liveness": True}
PARAMS |= {"margin": 0.02, "loss_margin": 0.05, "general": {}}


def arm(folder, right, liveness=None):
    """Predictions of which the first `right` are right."""
    folder.mkdir()
    texts = [e.target if n < right else "what" for n, e in enumerate(HELDOUT)]
    records.write(folder / "predictions.jsonl", [Prediction(e.id, text, 1, "eos") for e, text in zip(HELDOUT, texts, strict=True)])
    if liveness:
        (folder / "liveness.json").write_text(json.dumps(liveness))
    return folder


def compared(tmp_path, base, tuned, **changes):
    heldout = tiny.write_part(tmp_path / "exam", HELDOUT)
    work = tiny.work(tmp_path / "out", PARAMS | changes, heldout=heldout, base=base, **tuned)
    facts = compare.run(work)
    return facts, judge(ComparisonFolder(work.out).comparisons(), 0.95, "holm"), work.out


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"question": "a", "answer": "yes"}\n')


def test_a_lift_is_found(tmp_path):
    facts, rows, out = compared(tmp_path, arm(tmp_path / "base", 5), {"tuned0": arm(tmp_path / "t", 35, ALIVE)})
    assert facts["accuracy"] == pytest.approx({"base": 5 / 40, "tuned": 35 / 40, "lift": 30 / 40})
    assert [row["verdict"] for row in rows if row["primary"]] == ["better"]
    assert json.loads((out / "counts.json").read_text())["base"]["unparsed"] == 35
    assert json.loads((out / "liveness.json").read_text())[0]["alive"]


def test_seeds_stand_in_the_order_of_their_numbers(tmp_path):
    arms = {f"tuned{seed}": arm(tmp_path / f"t{seed}", right, ALIVE) for seed, right in ((10, 40), (2, 0))}
    _, _, out = compared(tmp_path, arm(tmp_path / "base", 5), arms)
    assert [row["seed"] for row in json.loads((out / "liveness.json").read_text())] == [2, 10]
    first = json.loads((out / "examples.jsonl").read_text().splitlines()[0])
    assert [row["scores"]["accuracy"] for row in first["tuned"]] == [0.0, 1.0]


def test_a_dead_adapter_stops_before_any_score(tmp_path):
    with pytest.raises(ComparisonError, match=r"pets, seed 0: the adapter is dead: the logits of 8 probes are those of the base"):
        compared(tmp_path, arm(tmp_path / "base", 5), {"tuned0": arm(tmp_path / "t", 35, DEAD)})
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("right", [0, 7, 40])
def test_a_model_against_itself_is_never_better_or_worse(tmp_path, right):
    base = arm(tmp_path / "base", right)
    tuned = {f"tuned{seed}": shutil.copytree(base, tmp_path / f"t{seed}") for seed in (0, 1)}
    for folder in tuned.values():
        (folder / "liveness.json").write_text(json.dumps(DEAD))
    facts, rows, _ = compared(tmp_path, base, tuned, liveness=False)
    assert facts["accuracy"]["lift"] == 0.0
    assert [row["verdict"] for row in rows if row["primary"]] == ["cannot tell"]


def test_a_missing_prediction_stops(tmp_path):
    tuned = arm(tmp_path / "t", 35, ALIVE)
    lines = (tuned / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tuned / "predictions.jsonl").write_text("".join(lines[:-2]))
    with pytest.raises(ComparisonError, match=r"2 .*e38, e39"):
        compared(tmp_path, arm(tmp_path / "base", 5), {"tuned0": tuned})


def test_samples_are_scored_where_base_and_tuned_have_them_whatever_a_reference_has(tmp_path):
    code = json.dumps({"prefix": "", "check": "assert f() == 1", "entry_point": "f"})
    examples = [replace(example, target="def f():\n    return 1", choices=(), extra={"tests": code}) for example in HELDOUT[:4]]
    folders = {"heldout": tiny.write_part(tmp_path / "exam", examples)}
    for name, samples in (("base", ("def f(): return 2",)), ("tuned0", ("def f():\n    return 1",)), ("reference.gpt", ())):
        folders[name] = arm(tmp_path / name, 0, ALIVE)
        predictions = [Prediction(e.id, "def f():\n    return 1", 5, "eos", samples=samples) for e in examples]
        records.write(folders[name] / "predictions.jsonl", predictions)
    work = tiny.work(tmp_path / "out", PARAMS | {"task": "mbpp"}, **folders)
    assert {name: facts["lift"] for name, facts in compare.run(work).items()} == {"pass_at_1": 0, "pass_at_k": 1}
