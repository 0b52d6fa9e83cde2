"""From what two models said to what it is worth: answers, scores, lift, interval, test. No model is needed here."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics, stats
from pipeline.errors import ComparisonError
from pipeline.records import Comparison, Example, Prediction

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

Answer = Callable[[str, Example], str | None]
"""Reads the answer out of a model's text; None where there is none to be read."""


@dataclass(frozen=True)
class Settings:
    """What to compare, and how surely."""

    task: str
    metrics: tuple[str, ...]
    """The first is the primary one, by which the task is judged."""
    confidence: float = 0.95
    resamples: int = 10_000
    interval: stats.Method = "bca"
    seed: int = 0
    """Of the resampling."""


@dataclass(frozen=True)
class Scored:
    """Everything that a comparison of one task found out."""

    comparisons: list[Comparison]
    """One a metric, in the order of the settings; p_adjusted and verdict are still to be set."""
    rows: list[dict[str, Any]]
    """One an example: {id, prompt, target, choices, base, tuned: [one a seed]}, each arm {text, answer, stopped, tokens, scores}."""
    counts: dict[str, Any]
    """{base, tuned: [one a seed]}, each {n, unparsed, truncated, empty, mean_tokens}."""


@dataclass(frozen=True)
class Arm:
    """What one model said, in the order of the examples."""

    predictions: list[Prediction]
    answers: list[str | None]

    def counts(self) -> dict[str, float]:
        n = len(self.predictions)
        return {
            "n": n,
            "unparsed": self.answers.count(None),
            "truncated": sum(said.stopped == "length" for said in self.predictions),
            "empty": sum(not said.text.strip() for said in self.predictions),
            "mean_tokens": sum(said.tokens for said in self.predictions) / n,
        }


@dataclass(frozen=True)
class Measured:
    """One metric on all arms, base first."""

    metric: "Metric"
    values: NDArray[np.float64]
    """Scores of single examples (1 + seeds, n)."""
    statistics: NDArray[np.float64]
    """(1 + seeds, n, k)."""


def compare(examples: list[Example], base: list[Prediction], tuned: list[list[Prediction]], answer: Answer, settings: Settings) -> Scored:
    """Score base and tuned, one list of predictions a training seed, on the same examples.

    An answer that cannot be read scores as an empty one. References are read by the same parser as predictions.
    Raises ComparisonError where an arm lacks an example, has one that is not asked for or has one twice, and
    RecipeError where a metric does not exist.
    """
    check_ids("examples", [example.id for example in examples], asked=None)
    if not examples or not tuned:
        raise ComparisonError(
            "There is nothing to compare: no examples." if tuned else "There is nothing to compare: no tuned predictions."
        )
    names = ["base", *(f"tuned {number} of {len(tuned)}" for number in range(1, 1 + len(tuned)))]
    arms = [read_arm(name, said, examples, answer) for name, said in zip(names, [base, *tuned], strict=True)]
    references = [reference if (reference := answer(example.target, example)) is not None else example.target for example in examples]
    measured = {name: measure(metrics.load(name), arms, references) for name in settings.metrics}
    labels = group_labels(examples)
    return Scored(
        comparisons=[weigh(name, found, labels, settings) for name, found in measured.items()],
        rows=[example_row(index, example, arms, measured) for index, example in enumerate(examples)],
        counts={"base": arms[0].counts(), "tuned": [arm.counts() for arm in arms[1:]]},
    )


def read_arm(name: str, predictions: list[Prediction], examples: list[Example], answer: Answer) -> Arm:
    """Pair predictions with examples by id and read their answers."""
    check_ids(name, [said.example for said in predictions], asked=[example.id for example in examples])
    by_id = {said.example: said for said in predictions}
    paired = [by_id[example.id] for example in examples]
    return Arm(paired, [answer(said.text, example) for said, example in zip(paired, examples, strict=True)])


def check_ids(arm: str, ids: list[str], asked: list[str] | None) -> None:
    """Raise ComparisonError unless every id stands there once and, where `asked` is given, the two sets are one."""
    found, wanted = set(ids), set(ids if asked is None else asked)
    faults = {
        "twice or more": [name for name, times in Counter(ids).items() if times > 1],
        "missing": [name for name in asked or [] if name not in found],
        "not asked for": [name for name in ids if name not in wanted],
    }
    for fault, names in faults.items():
        if names:
            raise ComparisonError(
                f"{arm}: {len(names)} example{'s' * (len(names) > 1)} {fault}: {', '.join(names[:3])}{', ...' * (len(names) > 3)}",
                "Base and tuned must each answer the same held-out examples once; generate the predictions again.",
            )


def measure(metric: "Metric", arms: list[Arm], references: list[str]) -> Measured:
    answers = [answer or "" for arm in arms for answer in arm.answers]
    # One call for all arms: evaluate spends milliseconds on each, whatever its size.
    result = metric.compute(predictions=answers, references=references * len(arms), per_example=True, statistics=True)
    values, statistics = (np.array(result[f"{metric.name}_{part}"]) for part in ("per_example", "statistics"))
    return Measured(metric, values.reshape(len(arms), -1), statistics.reshape(len(arms), len(references), -1))


def group_labels(examples: Iterable[Example]) -> NDArray[np.int64]:
    """A number (n,) for each example's group; an example without one is a group of its own."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(("", e.group) if e.group else (e.id, ""), len(numbers)) for e in examples])


def weigh(name: str, found: Measured, labels: NDArray[np.int64], settings: Settings) -> Comparison:
    """The row of one metric: scores, lift, interval, test and what this test set could have shown."""
    paired = stats.pair(found.statistics[0], found.statistics[1:], found.metric.aggregate, labels)
    lifts = stats.bootstrap(paired, settings.resamples, settings.seed)
    low, high = stats.interval(paired, lifts, settings.confidence, settings.interval)
    difference = found.values[1:].mean(axis=0) - found.values[0]
    fixed, broken = int((difference > stats.TIE).sum()), int((difference < -stats.TIE).sum())
    # McNemar's test takes examples as independent, so groups of several need the test that swaps whole groups.
    exact = found.metric.zero_one and paired.seeds == 1 and paired.groups == len(labels)
    scores = paired.scores()
    return Comparison(
        task=settings.task,
        metric=name,
        primary=name == settings.metrics[0],
        n=len(labels),
        seeds=paired.seeds,
        base=float(scores[0]),
        tuned=float(scores[1:].mean()),
        lift=paired.lift(),
        low=low,
        high=high,
        p=stats.exact_mcnemar(fixed, broken) if exact else stats.randomization(paired, settings.resamples, settings.seed),
        test="exact McNemar" if exact else "paired randomization",
        fixed=fixed,
        broken=broken,
        smallest_effect=smallest_effect(found.metric, paired, lifts, settings.confidence),
    )


def smallest_effect(metric: "Metric", paired: stats.Paired, lifts: NDArray[np.float64], confidence: float) -> float:
    """From the spread of the bootstrap; where that is no guide, from what right or wrong answers can show at best."""
    spread = float(lifts.std())
    seen = stats.smallest_effect(spread, confidence)
    floor = stats.planned_effect(paired.groups, 0.0, confidence)
    return max(seen, floor) if metric.zero_one or spread <= stats.TIE else seen


def example_row(index: int, example: Example, arms: list[Arm], measured: dict[str, Measured]) -> dict[str, Any]:
    def said(number: int) -> dict[str, Any]:
        prediction = arms[number].predictions[index]
        return {
            "text": prediction.text,
            "answer": arms[number].answers[index],
            "stopped": prediction.stopped,
            "tokens": prediction.tokens,
            "scores": {name: float(found.values[number, index]) for name, found in measured.items()},
        }

    tuned = [said(number) for number in range(1, len(arms))]
    known = {"id": example.id, "prompt": example.prompt, "target": example.target, "choices": list(example.choices)}
    return known | {"base": said(0), "tuned": tuned}
