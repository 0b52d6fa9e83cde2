"""Every arm and every measure on a tiny base, from one recipe, as a user would run it."""

import json

import pytest

from pipeline.config import recipe as recipes
from pipeline.measures import speed_summary
from pipeline.planning.plan import plan
from pipeline.runner import artifact_spec, find
from pipeline.store import records
from pipeline.store.artifact import Store
from pipeline.store.records import Example, Prediction
from tests import project
from tests.test_arms import ALL

pytestmark = pytest.mark.slow

CHANGES = {
    "compare.arms": ALL, "compare.shots": 2, "compare.relevance_examples": 10, "compare.speed_prompts": 2,
    "general.suites": ["paragraphs", "shop_sentiment"], "general.examples": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory, model):
    """The artifacts of the one cell, by what they are to it."""
    root = tmp_path_factory.mktemp("arms")
    path = project.make(root, model["folder"])
    project.carry_out(path, root, CHANGES, stages={"compare", "speed"})
    store, by_job = Store(root / "data", root / "checkpoints"), {}

    def look(job):
        inputs = {name: look(source) for name, source in job.inputs}
        by_job.setdefault(job, find(job, inputs, store))
        return by_job[job]

    report = plan(recipes.load(path, CHANGES))[-1]
    assert artifact_spec(report, {}).stage == "report"
    return {name.removeprefix("cell0000."): look(job) for name, job in report.inputs}


def comparison_json(artifacts, name):
    return json.loads((artifacts["comparison"].path / f"{name}.json").read_text("utf-8"))


def test_every_arm_is_scored_and_told_apart(artifacts):
    others = [name for name in ALL if name not in ("base", "tuned")]
    beside = comparison_json(artifacts, "beside")["accuracy"]["others"]
    unnormalized = ["base_constrained_raw", "tuned_constrained_raw"]
    assert sorted(row["name"] for row in beside) == sorted([*others, *unnormalized])
    assert {name: counts["n"] for name, counts in comparison_json(artifacts, "counts")["others"].items()} == dict.fromkeys(
        [*others, *unnormalized], 20
    )
    assert [row["unparsed"] for name, row in comparison_json(artifacts, "counts")["others"].items() if "constrained" in name] == [0] * 4


def test_the_constant_is_the_most_common_training_target(artifacts):
    targets = [row.target for row in records.read(artifacts["train"].path / "examples.jsonl", Example)]
    rows = list(records.read_dictionaries(artifacts["comparison"].path / "examples.jsonl"))
    assert {row["others"]["constant"]["text"] for row in rows} == {max(set(targets), key=targets.count)}


def test_the_unnormalized_pick_is_the_choice_of_the_highest_sum(artifacts):
    predictions = records.read(artifacts["arm.base_constrained"].path / "predictions.jsonl", Prediction)
    rows = list(records.read_dictionaries(artifacts["comparison"].path / "examples.jsonl"))
    best = [row["choices"][prediction.logprobs.index(max(prediction.logprobs))] for row, prediction in zip(rows, predictions, strict=True)]
    assert [row["others"]["base_constrained_raw"]["text"] for row in rows] == best


def test_parts_sum_to_the_lift(artifacts):
    lift = {row["metric"]: row["lift"] for row in records.read_dictionaries(artifacts["comparison"].path / "comparisons.jsonl")}
    for metric, decomposition in comparison_json(artifacts, "decomposition").items():
        assert sum(part["value"] for part in decomposition["parts"]) == pytest.approx(lift[metric], abs=1e-12)


def test_relevance_forgetting_and_speed_are_there(artifacts):
    assert set(comparison_json(artifacts, "relevance")["arms"]) == {*ALL} - {"constant"}
    assert all(summary["n"] == 10 for summary in comparison_json(artifacts, "relevance")["arms"].values())
    loss, task = comparison_json(artifacts, "forgetting")["suites"]
    assert (loss["suite"], loss["kind"], loss["margin"], loss["n"]) == ("paragraphs", "loss", 0.05, 300)
    assert loss["kl"]["mean"] > 0
    assert (task["suite"], task["task_metric"], task["margin"], task["n"]) == ("shop_sentiment", "accuracy", -0.02, 8)
    timed = json.loads((artifacts["speed"].path / "speed.json").read_text("utf-8"))["arms"]
    assert set(timed) == {"base", "tuned", "base_fewshot", "base_constrained", "tuned_constrained", "base_bf16"}
    asking = {*comparison_json(artifacts, "counts")["others"]} - {"constant", *timed}
    assert all(speed_summary.timed_equivalent(name, timed, quantized=True) for name in asking)
