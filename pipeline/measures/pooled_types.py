"""Declares the types of figures over several tasks, as report.json holds them."""

from typing import Literal

from pipeline.scoring.verdict import Verdict
from pipeline.store.figure_types import PartialInterval


class Overview(PartialInterval):
    """The effects on all tasks together: their mean, each task once, with the interval that other test examples would give, and where tasks
    have several training seeds other seeds too."""

    tasks: int
    verdicts: dict[str, int]
    """By verdict, how many tasks got it."""
    kind: Literal["training effect", "lift"]
    """`lift` where no task has a baseline but the base."""
    mean: float
    """Of fine-tuned minus the best baseline, every task by its own metric."""
    p: float | None
    """Two-sided, that the mean effect on these tasks is 0; null where a task has no interval."""
    p_adjusted: float | None
    """Under Holm p times one more than the number of the other confirmatory tests, whose own p-values it does not change."""
    verdict: Verdict
    over_tasks: PartialInterval
    """Of the mean effect on tasks of which these are a random sample; exploratory."""
    sentence: str


class PublishedMean(PartialInterval):
    """The mean lift over the tasks that LoRA Land has a lift for, by the paper's rules on both sides; low and high are ours."""

    tasks: int
    ours: float
    paper: float
    sentence: str
