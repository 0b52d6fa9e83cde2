"""What the page says that an arm is, checked against what the arm is."""

import pytest

from pipeline import arms, metrics
from pipeline.data import inline
from pipeline.scoring import constant_answers
from pipeline.stages import prepare
from pipeline.store.folders import TrainFolder
from pipeline.store.records import Example
from tests import project


@pytest.mark.parametrize(("targets", "answer"), [("abbc", "b"), ("abcd", "a")])
def test_the_constant_answer_scores_best_on_the_training_targets(targets, answer):
    examples = [Example(str(index), f"prompt {index}", target) for index, target in enumerate(targets)]
    best = constant_answers.best(metrics.load("exact_match"), examples, lambda text, _: text)
    assert best == {"answer": answer, "score": targets.count(answer) / 4}
    assert "the training target that scores best on the training examples" in arms.find("constant").meaning


def test_the_primary_metric_chooses_not_the_frequency():
    """Two targets are equal, but another one shares its words with most of the rest."""
    targets = ["red fox", "red fox", "one big dog", "one big cat", "one big dog and one big cat"]
    examples = [Example(str(index), f"prompt {index}", target) for index, target in enumerate(targets)]
    loaded = {name: metrics.load(name) for name in ("exact_match", "rougeL")}
    chosen = {name: constant_answers.best(metric, examples, lambda text, _: text)["answer"] for name, metric in loaded.items()}
    assert chosen == {"exact_match": "red fox", "rougeL": "one big dog"}


def test_prepare_chooses_the_constant_answer_on_training_examples_alone(tmp_path):
    """Dev examples, which come first in the draw, have no say."""
    targets = ["dev", "dev", "dev", "b", "b", "a", "c"]
    examples = [Example(str(index), f"prompt {index}", target) for index, target in enumerate(targets)]
    draw = prepare.Draw({"examples": 4, "dev_examples": 3, "near_duplicates": 0.8}, None, examples)
    task = inline.from_spec(
        {**project.TASK, "metrics": ["exact_match"], "choices": [], "answer": "text", "data": {"train": "a.jsonl", "heldout": "b.jsonl"}}
    )
    assert prepare.write_train(TrainFolder(tmp_path), draw, [], task)["constant_answer"] == "b"
