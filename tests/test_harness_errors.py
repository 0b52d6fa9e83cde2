"""What cannot be run of lm-evaluation-harness ends in one clear line."""

import pytest

from pipeline.errors import RecipeError
from pipeline.harness.definition import define

pytest.importorskip("lm_eval")
CASES = [
    ("gsm8kk", "task", "has no task 'gsm8kk'", "lm_eval/gsm8k"),
    ("mmlu", "task", "is a group of tasks", "general.suites"),
    ("ai2_arc", "task", "is a tag", "lm_eval/arc_easy"),
    ("wikitext", "suite", "loglikelihood_rolling", "paragraphs"),
    ("lambada_openai", "suite", "perplexity is aggregated over all documents", "acc"),
    ("blimp", "suite", "weights its tasks equally", "one by one"),
    ("humaneval", "suite", "runs programs", "mbpp"),
    ("squadv2", "suite", "is written in Python", "another task"),
]


@pytest.mark.parametrize(("name", "role", "problem", "remedy"), CASES)
def test_a_task_that_cannot_be_run_says_why(name, role, problem, remedy):
    with pytest.raises(RecipeError) as error:
        define(name, role)
    assert problem in error.value.problem
    assert remedy in error.value.remedy


def test_a_folder_without_yaml_is_named(tmp_path):
    with pytest.raises(RecipeError, match="no file below"):
        define("mine", "task", str(tmp_path))
