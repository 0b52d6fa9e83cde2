"""What the page says that an arm is, held against what the arm is."""

import pytest

from pipeline import arms
from pipeline.stages import prepare
from pipeline.store.folders import TrainFolder
from pipeline.store.records import Example


@pytest.mark.parametrize(("targets", "answer"), [("abbc", "b"), ("abcd", "a")])
def test_the_constant_answer_is_the_most_common_target_or_the_first(tmp_path, targets, answer):
    examples = [Example(str(index), f"prompt {index}", target) for index, target in enumerate(targets)]
    draw = prepare.Draw({"examples": len(examples), "dev_examples": 0, "near_duplicates": 0.8}, None, examples)
    assert prepare.write_train(TrainFolder(tmp_path), draw, [])["most_common_target"] == answer
    assert "the most common one of the training part; where all differ, the first of them." in arms.find("constant").meaning
