"""Scores answers against every right answer to their example; the best of them counts."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RecipeError
from pipeline.store.records import HARNESS_EXTRA, Example, Prediction

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

AnswerParser = Callable[[str, Example], str | None]
"""Reads the answer from a model's text; None if there is none."""
UNREAD = "\ufffc"
"""Stands for an answer that could not be read, where no answer is a right one."""


@dataclass(frozen=True)
class BestScores:
    """The score of each text against the right answer that it is closest to."""

    values: NDArray[np.float64]
    """(n,)."""
    statistics: NDArray[np.float64]
    """(n, k)."""
    reasons: list[str]
    """Why each text failed; empty if the metric does not say."""


def gold_strings(reads: str, example: Example, parse: AnswerParser) -> list[str]:
    """The gold strings that a metric compares an answer with, that of the target first; see Metric.reads.

    Raises RecipeError if the example has no tests to run.
    """
    if reads in ("tests", "samples"):
        if "tests" not in example.extra:
            raise RecipeError(f"example {example.id} has no tests, which a metric of the task needs.", "Take a metric that compares texts.")
        return [str(example.extra["tests"])]
    if reads == "harness":
        return [json.dumps(example.extra.get(HARNESS_EXTRA, {}))]
    golds = []
    for target in example.right_answers:
        answer = parse(target, example) if reads == "answer" else None
        golds.append(target if answer is None else answer)
    return golds


def input_strings(
    reads: str, predictions: Sequence[Prediction], answers: Sequence[str | None], examples: Sequence[Example], parse: AnswerParser
) -> list[str]:
    """The string that a metric scores for each prediction; see Metric.reads."""
    if reads == "harness":
        return [harness_response(prediction) for prediction in predictions]
    if reads == "text":
        return [prediction.text for prediction in predictions]
    if reads == "samples":
        pairs = zip(predictions, examples, strict=True)
        return [json.dumps([parse(text, example) or "" for text in prediction.samples]) for prediction, example in pairs]
    rows = zip(answers, examples, strict=True)
    return [unread(example) if answer is None else answer for answer, example in rows]


def harness_response(prediction: Prediction) -> str:
    """The text, or the JSON of likelihoods, that lm-evaluation-harness scores; or of the scores that it gave."""
    if prediction.scores:
        return json.dumps(dict(prediction.scores))
    pairs = list(zip(prediction.logprobs, prediction.greedy, strict=False))
    return json.dumps(pairs) if pairs else prediction.text


def unread(example: Example) -> str:
    """What stands for an answer that could not be read: nothing, or a sign that no answer has where nothing would be right."""
    return UNREAD if "" in example.right_answers else ""


def best_scores(metric: "Metric", texts: Sequence[str], golds: Sequence[Sequence[str]]) -> BestScores:
    """Score texts, each against its own gold strings. Of equal scores the first counts."""
    # One call for all: evaluate spends milliseconds on each, whatever its size.
    pairs = [comparable(metric, text, gold) for text, right in zip(texts, golds, strict=True) for gold in right]
    predictions, references = (list(column) for column in zip(*pairs, strict=True))
    result = metric.compute(predictions=predictions, references=references, per_example=True, statistics=True)
    values, statistics = (np.array(result[f"{metric.name}_{part}"]) for part in ("per_example", "statistics"))
    ends = np.cumsum([len(right) for right in golds])
    best = [end - len(right) + int(np.argmax(values[end - len(right) : end])) for end, right in zip(ends, golds, strict=True)]
    reasons = result.get(f"{metric.name}_reasons", [])
    return BestScores(values[best], statistics[best], [reasons[index] for index in best] if reasons else [])


def comparable(metric: "Metric", text: str, gold: str) -> tuple[str, str]:
    """Prediction and reference for a metric of means.

    Blank text is right where the reference is blank and nowhere else, also where the metric takes away all that a reference consists of.
    """
    from pipeline.metrics.base import MeanMetric

    if not isinstance(metric, MeanMetric) or metric.runs_code or metric.reads == "harness" or (text.strip() and gold.strip()):
        return text, gold
    return "right" if not gold.strip() and not text.strip() else "wrong", "right"


def share_that_contains(predictions: Sequence[Prediction], examples: Sequence[Example]) -> float:
    """The share of texts that contain a right answer; see `contains`."""
    pairs = zip(predictions, examples, strict=True)
    return float(np.mean([any(contains(prediction.text, right) for right in example.right_answers) for prediction, example in pairs]))


def contains(text: str, right: str) -> bool:
    """Whether a text holds a right answer as whole words, case aside: `no` is not in `unknown`. Blank text alone holds an empty answer.

    Otherwise by the rule of `paper_contains`, where any part of a word counts.
    """
    from pipeline.metrics.lenient import bare, same

    answer = bare(right)
    if not answer:
        return not text.strip()
    return same(text, right) or has_words(text.lower(), answer)


def has_words(text: str, part: str) -> bool:
    """Whether a part stands in a text with no letter of a word that goes on at either end."""
    is_letter = letter().match  # one pattern for all: compiling one for each target took 14 times as long as all other scoring
    starts, ends = is_letter(part[0]), is_letter(part[-1])
    start = text.find(part)
    while start >= 0:
        end = start + len(part)
        goes_on = (starts and start > 0 and is_letter(text[start - 1])) or (ends and end < len(text) and is_letter(text[end]))
        if not goes_on:
            return True
        start = text.find(part, start + 1)
    return False


@cache
def letter() -> re.Pattern[str]:
    """A letter or digit of a script that puts blanks between words."""
    from pipeline.metrics.numbers import UNSPACED

    return re.compile(f"[^\\W{UNSPACED}]")
