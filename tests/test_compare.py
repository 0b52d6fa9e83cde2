"""The comparison stage: the gate before any score, and a model against itself."""

import json
import shutil
from dataclasses import replace

import pytest

from pipeline import metrics
from pipeline.data import inline
from pipeline.errors import ComparisonError
from pipeline.machine import Machine, Work
from pipeline.scoring import constant_answers
from pipeline.stages import compare
from pipeline.store import records
from pipeline.store.folders import HeldoutFolder, PredictionsFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import Example, Prediction
from pipeline.store.result_folders import ComparisonFolder
from tests import preparing, project, tiny
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
    tiny.seal(folder, {"examples": len(HELDOUT)}, "generate")
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
    assert [row["verdict"] for row in rows if row["primary"]] == ["improved"]
    assert json.loads((out / "counts.json").read_text())["base"]["unparsed"] == 35
    assert json.loads((out / "liveness.json").read_text())[0]["alive"]


def test_seeds_stand_in_the_order_of_their_numbers(tmp_path):
    arms = {f"tuned{seed}": arm(tmp_path / f"t{seed}", right, ALIVE) for seed, right in ((10, 40), (2, 0))}
    _, _, out = compared(tmp_path, arm(tmp_path / "base", 5), arms)
    assert [row["seed"] for row in json.loads((out / "liveness.json").read_text())] == [2, 10]
    first = json.loads((out / "examples.jsonl").read_text().splitlines()[0])
    assert [row["scores"]["accuracy"] for row in first["tuned"]] == [0.0, 1.0]


def test_a_dead_adapter_stops_before_any_score(tmp_path):
    with pytest.raises(ComparisonError, match=r"pets, seed 0: the fine-tuning has no effect: the logits of 8 probes are those of the base"):
        compared(tmp_path, arm(tmp_path / "base", 5), {"tuned0": arm(tmp_path / "t", 35, DEAD)})
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("right", [0, 7, 40])
def test_a_model_against_itself_is_always_inconclusive(tmp_path, right):
    base = arm(tmp_path / "base", right)
    tuned = {f"tuned{seed}": shutil.copytree(base, tmp_path / f"t{seed}") for seed in (0, 1)}
    for folder in tuned.values():
        (folder / "liveness.json").write_text(json.dumps(DEAD))
    facts, rows, _ = compared(tmp_path, base, tuned, liveness=False)
    assert facts["accuracy"]["lift"] == 0.0
    assert [row["verdict"] for row in rows if row["primary"]] == ["inconclusive"]


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
    tiny.seal(folders["reference.gpt"], {"examples": 4}, "generate")
    work = tiny.work(tmp_path / "out", PARAMS | {"task": "mbpp"}, **folders)
    assert {name: facts["lift"] for name, facts in compare.run(work).items()} == {"pass_at_1": 0, "pass_at_k": 1}


FEW_SHOT = {"examples": 40, "shots": 4, "shrunk": 40, "fewest_shots": 0, "most_shots": 4, "without_shots": 0}


@pytest.mark.parametrize(
    ("facts", "is_scored"), [(FEW_SHOT, True), (FEW_SHOT | {"without_shots": 5}, False), (FEW_SHOT | {"most_shots": 0}, False)]
)
def test_an_arm_that_changed_nothing_is_not_scored(tmp_path, facts, is_scored):
    """It is neither in the decomposition nor among the arms, so that no fine-tune is said to beat it."""
    few_shot = arm(tmp_path / "few", 20)
    tiny.seal(few_shot, facts, "generate")
    arms = {"tuned0": arm(tmp_path / "t", 35, ALIVE), "arm.base_fewshot": few_shot}
    _, _, out = compared(tmp_path, arm(tmp_path / "base", 5), arms)
    parts = ComparisonFolder(out).decomposition()["accuracy"]
    others = [row["name"] for row in json.loads((out / "beside.json").read_text())["accuracy"]["others"]]
    assert parts["candidates"] == ["base", *(["base_fewshot"] if is_scored else [])]
    assert others == (["base_fewshot"] if is_scored else [])


def train_part(folder, targets):
    """Training examples as prepare leaves them, with their constant answer among the facts."""
    rows = [replace(HELDOUT[0], id=f"t{n}", prompt=f"train {n}", target=target) for n, target in enumerate(targets)]
    tiny.write_part(folder, rows)
    task = inline.from_spec(TASK)
    tiny.seal(folder, {"constant_answer": constant_answers.best_text("accuracy", {}, rows, task.answer)}, "generate")
    return folder


def test_the_constant_answer_comes_from_the_training_targets(tmp_path):
    """Half of the held-out targets are "yes"; training has more of the other."""
    train = train_part(tmp_path / "train", ["yes", "no maybe", "no maybe"])
    arms = {"tuned0": arm(tmp_path / "t", 35, ALIVE), "train": train}
    _, _, out = compared(tmp_path, arm(tmp_path / "base", 5), arms)
    (row,) = [row for row in json.loads((out / "beside.json").read_text())["accuracy"]["others"] if row["name"] == "constant"]
    first = json.loads((out / "examples.jsonl").read_text().splitlines()[0])
    assert first["others"]["constant"]["text"] == "no maybe"
    assert row["score"] == sum(example.target == "no maybe" for example in HELDOUT) / 40
    parts = ComparisonFolder(out).decomposition()["accuracy"]
    assert parts["chain"][1][0] == parts["best_cheap"] == "constant"


def test_a_task_of_no_training_examples_has_an_empty_constant_answer(tmp_path):
    arms = {"tuned0": arm(tmp_path / "t", 35, ALIVE), "train": train_part(tmp_path / "train", [])}
    _, _, out = compared(tmp_path, arm(tmp_path / "base", 5), arms)
    assert json.loads((out / "examples.jsonl").read_text().splitlines()[0])["others"]["constant"]["text"] == ""


@pytest.mark.parametrize(("right", "is_testable"), [(5, False), (20, False), (30, True)])
def test_a_suite_whose_base_does_not_beat_the_constant_answer_is_not_testable(tmp_path, right, is_testable):
    """Half of the targets are alike, so a base that is right on half of the examples has nothing to lose."""
    other = {"heldout": tiny.write_part(tmp_path / "other", HELDOUT), "base": arm(tmp_path / "o", right), "tuned": arm(tmp_path / "p", 0)}
    arms = {"tuned0": arm(tmp_path / "t", 35, ALIVE), **{f"general.other.{part}": folder for part, folder in other.items()}}
    _, _, out = compared(tmp_path, arm(tmp_path / "base", 5), arms, general={"other": TASK})
    (suite,) = json.loads((out / "forgetting.json").read_text())["suites"]
    assert (suite["base"], suite["constant"], suite["measurable"]) == (right / 40, 0.5, is_testable)
    assert (suite["difference"], suite["margin"]) == (pytest.approx(-right / 40), -0.02)


def test_the_constant_answer_of_a_suite_is_scored_as_its_base_is():
    """By the mean of examples, also where the metric counts over the corpus, and on all of them."""
    rows = [
        replace(HELDOUT[n % 40], id=f"o{n}", target='{"a": 1}' if n % 3 else '{"b": 2, "c": 3, "d": 4}', choices=()) for n in range(600)
    ]
    task = {**TASK, "metrics": ["entity_f1"], "answer": "json"}
    floor = compare.constant_floor(metrics.load("entity_f1"), rows, inline.from_spec(task))
    assert floor == pytest.approx(2 / 3)


def test_macro_f1_of_another_task_is_called_what_the_mean_of_its_examples_is(tmp_path):
    """Always `a` is right in 9 of 10 examples and has a macro F1 of .47: the figure of single examples is the accuracy."""
    examples = [Example(str(n), f"q{n}", "b" if n == 0 else "a", ("a", "b")) for n in range(10)]
    other = preparing.task(name="other", choices=["a", "b"], answer="choice", metrics=["macro_f1"])
    texts = {"base": ["b", *"a" * 9], "tuned": ["a"] * 10}
    inputs = {str(InputName("heldout", suite="other")): tmp_path / "heldout"}
    inputs |= {str(InputName("predictions", arm, suite="other")): tmp_path / arm for arm in texts}
    for folder in inputs.values():
        folder.mkdir()
    HeldoutFolder(tmp_path / "heldout").write_examples(examples)
    for arm, answers in texts.items():
        PredictionsFolder(tmp_path / arm).write_predictions(
            Prediction(e.id, text, 1, "eos") for e, text in zip(examples, answers, strict=True)
        )
    work = Work({"margin": 0.02, "confidence": 0.95}, inputs, tmp_path, tmp_path, Machine(device="cpu"))
    suite = compare.other_task_suite(work, "other", inline.build_task(other))
    assert (suite["task_metric"], suite["base"], suite["tuned"], suite["constant"]) == ("accuracy", 1.0, 0.9, 0.9)
