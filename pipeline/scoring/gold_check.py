"""Checks before any training that a task's metrics accept its targets: gold scores 1 against itself, within the configured scale."""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any

from pipeline import metrics
from pipeline.metrics import numbers
from pipeline.scoring import right_answers
from pipeline.scoring.right_answers import AnswerParser
from pipeline.store.records import Example

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

MAX_LABELS = 100
"""More labels than these are not compared with each other."""
ALTERNATIVES = {"paper_rouge": "rougeL", "paper_class_name": "accuracy"}
"""Metrics that read only a-z to the one that reads every script."""
MARK_REMEDY = "It can be read in two ways: set decimal_mark in the task."


def faults(
    names: Sequence[str], options: dict[str, Any], examples: list[Example], parse: AnswerParser, labels: Sequence[str] = ()
) -> list[tuple[str, int, str]]:
    """Metrics that would mark the targets themselves wrong: (problem, targets concerned, remedy).

    Args:
        options: options of the metrics; see metrics.load.
        labels: the closed set of targets, if there is one.
    """
    problems = []
    for name in names:
        metric = metrics.load(name, **options)
        if metric.reads not in ("answer", "text"):
            continue
        gold = [text for example in examples for text in right_answers.gold_strings(metric.reads, example, parse)]
        own = right_answers.best_scores(metric, gold, [[text] for text in gold]).values
        below = [text for text, score in zip(gold, own, strict=True) if score < 1 - 1e-9]
        if alike := labels_alike(metric, list(dict.fromkeys(labels)), examples, parse):
            problems.append(alike)
        if below:
            problem = f"{name} gives {len(below)} of {len(gold)} targets less than 1 against themselves, first {below[0]!r}."
            other = f"Take {ALTERNATIVES.get(name, 'accuracy or exact_match')} instead of {name}."
            problems.append((problem, len(below), MARK_REMEDY if numbers.is_doubtful(below[0]) else other))
        elif name == "mae_similarity":
            problems += scale_problems(gold, examples, options)
    return problems


def labels_alike(metric: "Metric", labels: list[str], examples: list[Example], parse: AnswerParser) -> tuple[str, int, str] | None:
    """The problem that a metric of answers takes one label for another, as accuracy takes AA for aa."""
    if metric.reads != "answer" or not 1 < len(labels) <= MAX_LABELS or not examples:
        return None
    pairs = list(permutations(labels, 2))
    read = {name: parse(name, examples[0]) or name for name in labels}
    scores = right_answers.best_scores(metric, [read[one] for one, _ in pairs], [[read[other]] for _, other in pairs]).values
    alike = [pair for pair, score in zip(pairs, scores, strict=True) if score > 1 - 1e-9]
    if not alike:
        return None
    concerned = {other for _, other in alike}
    count = sum(example.target in concerned for example in examples)
    problem = f"{metric.name} takes one label for another: {alike[0][0]!r} scores 1 where {alike[0][1]!r} is right."
    return problem, count, f"Take exact_match instead of {metric.name}." if metric.name != "exact_match" else "Rename one of them."


def scale_problems(gold: list[str], examples: list[Example], options: dict[str, Any]) -> list[tuple[str, int, str]]:
    """What of the targets does not fit `mae_similarity`: their units differ, or they reach beyond its scale."""
    problems = []
    units = Counter(unit for example in examples for answer in example.right_answers if (unit := numbers.unit(answer)))
    if len(units) > 1:
        (one, often), (other, _) = units.most_common(2)
        problem = f"mae_similarity reads no units, and the targets have several, such as {one!r} and {other!r}."
        remedy = "Bring all targets to one unit, or take accuracy with answer: first_line."
        problems.append((problem, units.total() - often, remedy))
    if wide := scale_problem(gold, options):
        problems.append((wide, len(gold), "Set the distance between the ends of the scale in the task, such as span: 100."))
    return problems


def scale_problem(gold: list[str], options: dict[str, Any]) -> str:
    """Why the targets do not fit the scale of `mae_similarity`; empty if they do."""
    mark, span = options["decimal_mark"], options["span"]
    values = [numbers.as_float(numbers.find(text, mark)[0].value, mark) or 0.0 for text in gold]
    reach = f"the targets reach from {min(values):g} to {max(values):g}"
    return f"{reach}, and mae_similarity gives 0 from a distance of {span:g} on." if max(values) - min(values) > span else ""
