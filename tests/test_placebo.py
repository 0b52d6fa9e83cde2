"""Placebo adapters on the embedded base: what is trained on nothing true learns nothing but form."""

import json

import pytest

from pipeline.config import recipe as recipes
from pipeline.machine import Machine
from pipeline.planning.plan import plan
from pipeline.runner import Site, run
from pipeline.store.artifact import Store

RECIPE = {
    "name": "placebo", "base": "quickstart-base", "tasks": ["shop_sentiment"],
    "prepare": {"train_examples": 640, "dev_examples": 0, "heldout_examples": 300, "max_tokens": 256},
    "finetune": {"rank": 16, "learning_rate": 2e-3, "batch_examples": 16, "dev_every": 100},
    "compare": {"arms": ["base", "tuned", "constant", "shuffled_labels", "unrelated"], "resamples": 2000, "relevance_examples": 0,
                "speed_prompts": 0},
    "general": {"suites": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """By name, every arm of the report."""
    root = tmp_path_factory.mktemp("placebo")
    jobs = plan(recipes.build(RECIPE))
    artifacts = run(jobs, Site(Store(root / "data", root / "checkpoints"), Machine(device="cpu")), lambda *_: None)
    (cell,) = json.loads((artifacts[jobs[-1]].path / "report.json").read_text("utf-8"))["cells"]
    return {row["name"]: row for row in cell["arms"]}


@pytest.mark.slow
def test_an_adapter_of_another_task_is_no_better_than_the_base(arms):
    assert arms["unrelated"]["over_base"]["low"] <= 0


@pytest.mark.slow
def test_shuffled_labels_teach_the_form_alone(arms):
    """Its answers can be read, which the base's often cannot; but they are as often right as one that is always the same."""
    placebo, constant = arms["shuffled_labels"], arms["constant"]
    assert placebo["counts"]["unparsed"] < arms["base"]["counts"]["unparsed"] / 4
    assert placebo["low"] <= constant["score"]
    assert placebo["tuned_over"]["low"] > 0
