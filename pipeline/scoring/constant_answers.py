"""Scores constant answers, which need no model: the floor that any model must beat."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline import metrics
from pipeline.scoring import right_answers
from pipeline.scoring.right_answers import AnswerParser
from pipeline.store.records import Example, Prediction
from pipeline.store.score_types import ConstantScore

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

LARGEST_SET = 100
"""A task with more different answers than this has no closed set."""
FEW_ANSWERS, MIN_EXAMPLES_PER_ANSWER = 20, 5
"""Texts of which there are no more, and so many examples on average, are classes in all but name."""
MAX_CANDIDATES = 10
"""Constant answers that are tried where the set of answers is open."""
MAX_EXAMPLES = 500
"""Examples that the constant answer of an open set is chosen on."""
MAX_PAIRS = 50_000
"""Candidates times examples for a closed set: its answers are often about as common, so few examples may name the wrong one."""


def answers(examples: list[Example]) -> list[str]:
    """All different targets, sorted, if the task has choices or only numeric targets; else none."""
    targets = sorted({answer for example in examples for answer in example.right_answers})
    closed = all(example.choices for example in examples) or all(not target or reads_as_number(target) for target in targets)
    return targets if closed and 1 < len(targets) <= LARGEST_SET else []


def repeated(examples: list[Example]) -> list[str]:
    """All different targets, sorted, where the set of answers is closed, or open but so small that each comes several times; else none."""
    closed = answers(examples)
    targets = sorted({answer for example in examples for answer in example.right_answers})
    is_small = 1 < len(targets) <= FEW_ANSWERS and len(examples) >= MIN_EXAMPLES_PER_ANSWER * len(targets)
    return closed or (targets if is_small else [])


def candidates(examples: list[Example]) -> list[str]:
    """The constant answers worth trying, the most common target first: of a closed set all, else a few, the median number among them."""
    targets = [answer for example in examples for answer in example.right_answers]
    common = [target for target, _ in Counter(targets).most_common()]
    closed = set(answers(examples))
    if closed:
        return [target for target in common if target in closed]
    numeric = sorted((target for target in targets if reads_as_number(target)), key=float)
    median = [numeric[(len(numeric) - 1) // 2]] if numeric and len(numeric) == len(targets) else []
    return list(dict.fromkeys([*median, *common[:MAX_CANDIDATES]]))


def scores(metric: "Metric", tried: list[str], examples: list[Example], parse: AnswerParser) -> list[ConstantScore]:
    """The score of each constant answer, best first; of equal ones the order of `tried` stays. Empty if the metric runs programs
    or belongs to lm-evaluation-harness."""
    lacks_tests = metric.reads == "tests" and any("tests" not in example.extra for example in examples)
    if not tried or metric.runs_code or metric.reads == "harness" or lacks_tests:
        return []
    golds = [right_answers.gold_strings(metric.reads, example, parse) for example in examples]
    texts = []
    for answer in tried:
        predictions = [Prediction(example.id, answer, 0, "eos") for example in examples]
        parsed = [parse(answer, example) for example in examples]
        texts += right_answers.input_strings(metric.reads, predictions, parsed, examples, parse)
    best_scores = right_answers.best_scores(metric, texts, golds * len(tried))
    sums = best_scores.statistics.reshape(len(tried), len(golds), -1).sum(axis=1)
    rows: list[ConstantScore] = [{"answer": text, "score": float(score)} for text, score in zip(tried, metric.aggregate(sums), strict=True)]
    return sorted(rows, key=lambda row: -row["score"])


def best(metric: "Metric", examples: list[Example], parse: AnswerParser) -> ConstantScore | None:
    """The constant answer with the highest score on these examples; None if the metric runs programs or there is no example."""
    tried = candidates(examples)
    limit = max(MAX_EXAMPLES, MAX_PAIRS // len(tried)) if answers(examples) else MAX_EXAMPLES
    return next(iter(scores(metric, tried, examples[:limit], parse)), None)


def best_text(name: str, options: dict[str, Any], examples: list[Example], parse: AnswerParser) -> str:
    """The target that scores best on training examples by a metric, the first if it runs programs; empty if there is no example.

    Args:
        options: of the metric; see metrics.load.
    """
    chosen = best(metrics.load(name, **options), examples, parse)
    return chosen["answer"] if chosen else next(iter(candidates(examples)), "")


def reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
