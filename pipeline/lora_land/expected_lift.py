"""Derives from the published cells what lift to expect of fine-tuning on a new task, as an interval.

What is carried over to a new task is the share of the gap to a perfect score that fine-tuning closes: (tuned - base) / (1 - base). Ten
bases on one task are no ten tasks, so the quantiles are those of hierarchical conformal prediction (Lee, Barber and Willett 2023,
arXiv 2306.06342): every task has the same weight, and the unseen one counts as one more, whose share may be anything.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median

from pipeline.lora_land import published

LEVEL = 0.8
"""Share of new tasks whose lift the interval is to hold."""
PARAMETERS = (2.5e9, 8.6e9)
"""Of the smallest and the largest published base."""
FEWEST_EXAMPLES = 635
"""Training rows of the smallest published task, glue_wnli."""


@dataclass(frozen=True)
class Shares:
    """Shares of the gap between the base's score and 1 that fine-tuning closes; below 0 the score falls."""

    low: float
    middle: float
    high: float

    def holds(self, base: float, lift: float) -> bool:
        """Whether the interval of a base's score holds a lift."""
        low, _, high = self.lifts(base)
        return low <= lift <= high

    def lifts(self, base: float) -> tuple[float, float, float]:
        """Low end, middle and high end of the lift from this score of the base."""
        return (1 - base) * self.low, (1 - base) * self.middle, (1 - base) * self.high


@cache
def shares_by_task() -> dict[str, tuple[float, ...]]:
    """By task, the share of every base."""
    return {task: tuple(lift / (1 - base) for _, base, lift in published.scores_with_lift(task)) for task in published.tasks()}


@cache
def shares(without: str = "") -> Shares:
    """The interval and the median for a new task.

    Args:
        without: a task that is left out of the evidence.
    """
    tasks = {task: values for task, values in shares_by_task().items() if task != without}
    pooled = sorted(value for values in tasks.values() for value in values)  # every task has as many bases
    level = (1 + LEVEL) / 2 * (len(tasks) + 1) / len(tasks)
    rank = min(len(pooled), math.ceil(level * len(pooled) - 1e-9))
    return Shares(pooled[-rank], median(pooled), pooled[rank - 1])


@cache
def coverage() -> float:
    """The share of published cells whose lift lies in the interval that the other tasks give: leave one task out."""
    return fmean(shares(without=task).holds(base, lift) for task in published.tasks() for _, base, lift in published.scores_with_lift(task))


def range_on(task: str) -> tuple[float, float] | None:
    """The lowest and the highest fine-tuned score of the ten bases on a published task; None where it is not one."""
    if task not in published.table():
        return None
    scores = [cell.score for cell, _, _ in published.scores_with_lift(task)]
    return min(scores), max(scores)
