"""Checks before any training that a task's metrics accept its targets: gold scores 1 against itself, within the configured scale."""

from collections.abc import Sequence
from typing import Any

from pipeline import metrics
from pipeline.metrics import numbers
from pipeline.scoring import right_answers
from pipeline.scoring.right_answers import AnswerParser
from pipeline.store.records import Example

ALTERNATIVES = {"paper_rouge": "rougeL", "paper_class_name": "accuracy"}
"""Metrics that read only a-z to the one that reads every script."""
MARK_REMEDY = "It can be read in two ways: set decimal_mark in the task."


def faults(names: Sequence[str], options: dict[str, Any], examples: list[Example], parse: AnswerParser) -> list[tuple[str, int, str]]:
    """Metrics that would mark the targets themselves wrong: (problem, targets concerned, remedy).

    Args:
        options: options of the metrics; see metrics.load.
    """
    problems = []
    for name in names:
        metric = metrics.load(name, **options)
        if metric.reads not in ("answer", "text"):
            continue
        gold = [text for example in examples for text in right_answers.gold_strings(metric.reads, example, parse)]
        own = right_answers.best_scores(metric, gold, [[text] for text in gold]).values
        below = [text for text, score in zip(gold, own, strict=True) if score < 1 - 1e-9]
        if below:
            problem = f"{name} gives {len(below)} of {len(gold)} targets less than 1 against themselves, first {below[0]!r}."
            other = f"Take {ALTERNATIVES.get(name, 'accuracy or exact_match')} instead of {name}."
            problems.append((problem, len(below), MARK_REMEDY if numbers.is_doubtful(below[0]) else other))
        elif name == "mae_similarity" and (wide := scale_problem(gold, options)):
            problems.append((wide, len(gold), "Set the distance between the ends of the scale in the task, such as span: 100."))
    return problems


def scale_problem(gold: list[str], options: dict[str, Any]) -> str:
    """Why the targets do not fit the scale of `mae_similarity`; empty if they do."""
    mark, span = options["decimal_mark"], options["span"]
    values = [numbers.as_float(numbers.find(text, mark)[0].value, mark) or 0.0 for text in gold]
    reach = f"the targets reach from {min(values):g} to {max(values):g}"
    return f"{reach}, and mae_similarity gives 0 from a distance of {span:g} on." if max(values) - min(values) > span else ""
