"""Which tasks have a constrained arm: those whose answers are a closed set, be it the task's or each example's, and those of JSON."""

import pytest

from pipeline import arms
from pipeline.config import recipe
from pipeline.data import task
from pipeline.tasks import arc_combined, boolq, gsm8k, shop_extraction, shop_notice, shop_sentiment

TASKS = [
    (arc_combined, "choices"),  # four answers with each question, none for the task
    (shop_sentiment, "choices"),
    (boolq, "choices"),
    (shop_extraction, "keys"),
    (shop_notice, ""),
    (gsm8k, ""),
]
HELD = ("base_constrained", "tuned_constrained")


@pytest.mark.parametrize(("module", "how"), TASKS)
def test_answers_are_held_to_the_form_that_the_task_has(module, how):
    assert module.TASK.constraint == how


@pytest.mark.parametrize(("module", "how"), TASKS)
def test_a_task_has_its_constrained_arms_or_a_reason(module, how):
    point = recipe.build({"name": "r", "base": "qwen2.5-1.5b", "tasks": [module.TASK.name], "compare": {"arms": ["base", *HELD, "tuned"]}})
    had, absent = arms.available_arms(point.compare.arms, arms.ArmContext(True, module.TASK.constraint, 5, 0))
    assert had == (["base", *HELD, "tuned"] if how else ["base", "tuned"])
    assert [gone["arm"] for gone in absent] == ([] if how else [*HELD])


def test_choices_of_single_examples_are_not_the_task_s():
    """The cases above lean on this: one task with choices of each example alone, one with a parser of its own."""
    assert not task.find("arc_combined").choices
    assert boolq.TASK.answer is not shop_sentiment.TASK.answer
