"""Scores predictions and compares arms: parsed answers, scores, lift, interval and test. Loads no model."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.errors import ComparisonError
from pipeline.scoring import answer_flags, constant_answers, right_answers, shown_prompts, stats
from pipeline.scoring.right_answers import AnswerParser
from pipeline.store.records import UNKNOWN, Example, Prediction
from pipeline.store.result_folders import ComparisonFolder
from pipeline.store.score_types import (
    AnswerCounts,
    AnswerRow,
    ArmScores,
    ByArm,
    Comparison,
    CountsByArm,
    ExampleRow,
    ExampleText,
    Lift,
    OtherArm,
    PairedRow,
)

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

Value = TypeVar("Value")


@dataclass(frozen=True)
class Settings:
    """Metrics of a comparison and settings of its statistics."""

    task: str
    metrics: tuple[str, ...]
    """The first one is primary: it decides the task."""
    confidence: float = 0.95
    resamples: int = 10_000
    interval: stats.IntervalMethod = "bca"
    seed: int = 0
    """Seed of the resampling."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of metrics that run code; see metrics.load."""


@dataclass(frozen=True)
class ComparisonResult:
    """All scores and statistics of one task."""

    comparisons: list[Comparison]
    """One per metric, in the order of the settings; p_adjusted and verdict are not set yet."""
    rows: list[ExampleRow]
    """One per example."""
    counts: CountsByArm
    other_arms: dict[str, ArmScores]
    """By metric."""
    lenient: dict[str, float]
    """By arm (tuned over all seeds), the share of examples whose text contains the target; empty for tasks that run programs."""
    names: list[str]
    """Arms in the order of `resampled`: base, tuned, others."""
    resampled: dict[str, stats.Resampled] = field(compare=False, repr=False)
    """By metric, for further differences between arms; a metric that reads samples has base and tuned only."""
    primary: "MetricScores" = field(compare=False, repr=False)
    """Single examples by the primary metric, in the order of `rows`."""
    group_ids: NDArray[np.int64] = field(compare=False, repr=False)
    """Group of each example (n,)."""

    def write(self, folder: ComparisonFolder) -> None:
        """Write all that a file holds."""
        folder.write_comparisons(self.comparisons)
        folder.write_examples(self.rows)
        folder.write_json({folder.OTHER_ARMS: self.other_arms, folder.COUNTS: self.counts, folder.LENIENT: self.lenient})


@dataclass(frozen=True)
class ParsedArm:
    """One arm's predictions and their parsed answers, in the order of the examples."""

    predictions: list[Prediction]
    answers: list[str | None]

    def flags(self) -> list[list[str]]:
        """The flags of each example: `unparsed` (no answer could be read), `truncated` or `endless` (stopped by the token limit, without
        or with repeating itself), `empty` and `refused`.
        """
        return [answer_flags.flags(prediction, answer) for prediction, answer in zip(self.predictions, self.answers, strict=True)]

    def counts(self) -> AnswerCounts:
        n = len(self.predictions)
        by_flag = Counter(flag for row in self.flags() for flag in row)
        says_ends = all(prediction.stopped != UNKNOWN for prediction in self.predictions)
        return {
            "n": n,
            "unparsed": by_flag["unparsed"],
            "truncated": by_flag["truncated"] if says_ends else None,
            "endless": by_flag["endless"] if says_ends else None,
            "empty": by_flag["empty"],
            "refused": by_flag["refused"],
            "mean_tokens": sum(prediction.tokens for prediction in self.predictions) / n if says_ends else None,
        }


@dataclass(frozen=True)
class MetricScores:
    """One metric on all arms: base, tuned by seed, others."""

    metric: "Metric"
    values: NDArray[np.float64]
    """Scores of single examples (arms, n)."""
    statistics: NDArray[np.float64]
    """Per-example sufficient statistics, (arms, n, k), which `aggregate` turns into a score."""
    reasons: list[list[str]]
    """Why each example failed, by arm; empty if the metric does not say."""


@dataclass(frozen=True)
class ComparisonInputs:
    """What all metrics of one comparison share."""

    examples: list[Example]
    group_ids: NDArray[np.int64]
    """Group of each example (n,)."""
    seeds: int
    others: list[str]
    parse: AnswerParser


@dataclass(frozen=True)
class ArmPredictions:
    """Predictions of all arms for the same examples."""

    base: list[Prediction]
    tuned: list[list[Prediction]]
    """One list per training seed."""
    others: dict[str, list[Prediction]] = field(default_factory=dict)
    """By arm name; reference models are arms too."""

    def arms(self) -> list[tuple[str, list[Prediction]]]:
        """(name for messages, predictions): base first, others last."""
        tuned = [(f"fine-tuned {number} of {len(self.tuned)}", predictions) for number, predictions in enumerate(self.tuned, 1)]
        return [("base", self.base), *tuned, *self.others.items()]


def compare(examples: list[Example], predictions: ArmPredictions, parse: AnswerParser, settings: Settings) -> ComparisonResult:
    """Score all arms on the same examples.

    An unparseable answer scores as an empty one. Targets go through the same parser as predictions.

    Raises:
        ComparisonError: an arm lacks an example, has an unknown one, or has one twice.
        RecipeError: there is no metric of that name.
    """
    check_ids("examples", [example.id for example in examples], expected=None)
    if not examples or not predictions.tuned:
        raise ComparisonError(
            "There is nothing to compare: no examples." if predictions.tuned else "There is nothing to compare: no fine-tuned predictions."
        )
    arms = [read_arm(name, rows, examples, parse) for name, rows in predictions.arms()]
    inputs = ComparisonInputs(
        examples=examples,
        group_ids=stats.group_ids(examples),
        seeds=len(predictions.tuned),
        others=list(predictions.others),
        parse=parse,
    )
    scores = {name: score_metric(metrics.load(name, **settings.options), arms, inputs) for name in settings.metrics}
    stacked = [stacked_arms(metric_scores, inputs) for metric_scores in scores.values()]
    by_metric = stats.resample(stacked, settings.resamples, settings.seed, settings.confidence, settings.interval)
    resampled = dict(zip(scores, by_metric, strict=True))
    return ComparisonResult(
        comparisons=[comparison_row(name, metric_scores, resampled[name], settings) for name, metric_scores in scores.items()],
        rows=example_rows(arms, scores, inputs),
        counts=by_arm([arm.counts() for arm in arms], inputs),
        other_arms={name: other_arms(metric_scores, resampled[name], inputs) for name, metric_scores in scores.items()},
        lenient=lenient(arms, scores[settings.metrics[0]].metric, inputs),
        names=["base", "tuned", *predictions.others],
        resampled=resampled,
        primary=scores[settings.metrics[0]],
        group_ids=inputs.group_ids,
    )


def score_two_arms(metric: "Metric", base: ParsedArm, tuned: ParsedArm, examples: list[Example], parse: AnswerParser) -> list[PairedRow]:
    """Score two arms on one task, without statistics: one row per example."""
    scores = measure(metric, [base, tuned], examples, parse).values.T.tolist()
    prompts = map(shown_prompts.prompt, examples)
    return [
        {"id": example.id, "prompt": prompt, "target": example.target, "base": one.text, "tuned": two.text, "scores": pair}
        for example, prompt, one, two, pair in zip(examples, prompts, base.predictions, tuned.predictions, scores, strict=True)
    ]


def by_arm(values: list[Value], inputs: ComparisonInputs) -> ByArm[Value]:
    """Values by arm, of a list in the order of the arms."""
    return {
        "base": values[0],
        "tuned": values[1 : 1 + inputs.seeds],
        "others": dict(zip(inputs.others, values[1 + inputs.seeds :], strict=True)),
    }


def read_arm(name: str, predictions: list[Prediction], examples: list[Example], parse: AnswerParser) -> ParsedArm:
    """Pair predictions with examples by id and parse their answers. Raises ComparisonError unless the ids match."""
    check_ids(name, [prediction.example for prediction in predictions], expected=[example.id for example in examples])
    by_id = {prediction.example: prediction for prediction in predictions}
    paired = [by_id[example.id] for example in examples]
    return ParsedArm(paired, [parse(prediction.text, example) for prediction, example in zip(paired, examples, strict=True)])


def check_ids(arm: str, ids: list[str], expected: list[str] | None) -> None:
    """Raise ComparisonError unless the ids are unique and, if `expected` is given, the same set."""
    present, wanted = set(ids), set(ids if expected is None else expected)
    faults = {
        "twice or more": [name for name, times in Counter(ids).items() if times > 1],
        "missing": [name for name in expected or [] if name not in present],
        "not in the test set": [name for name in ids if name not in wanted],
    }
    for fault, names in faults.items():
        if names:
            examples = "example" if len(names) == 1 else "examples"
            listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise ComparisonError(
                f"{arm}: {len(names)} {examples} {fault}: {listed}",
                "Base and fine-tuned model must each answer the same test examples once; generate the predictions again.",
            )


def unnormalized_picks(predictions: list[Prediction], examples: list[Example]) -> list[Prediction]:
    """The same predictions with the choice of the highest total log-probability as text, not normalized by length; the first of a tie.

    Raises ComparisonError if a prediction does not have one sum for each choice of its example.
    """
    by_id = {example.id: example.choices for example in examples}
    picked = []
    for prediction in predictions:
        choices = by_id.get(prediction.example, ())
        if not choices or len(choices) != len(prediction.logprobs):
            problem = f"{prediction.example}: {len(prediction.logprobs)} log-probabilities for {len(choices)} choices."
            raise ComparisonError(problem, "Generate the constrained answers again.")
        picked.append(replace(prediction, text=choices[int(np.argmax(prediction.logprobs))]))
    return picked


def score_metric(metric: "Metric", arms: list[ParsedArm], inputs: ComparisonInputs) -> MetricScores:
    """Scores of all arms; of base and tuned only if the metric reads samples, which other arms do not have."""
    return measure(metric, arms[: 1 + inputs.seeds] if metric.reads == "samples" else arms, inputs.examples, inputs.parse)


def measure(metric: "Metric", arms: list[ParsedArm], examples: list[Example], parse: AnswerParser) -> MetricScores:
    """Scores and statistics of one metric on any number of arms."""
    texts = [text for arm in arms for text in right_answers.input_strings(metric.reads, arm.predictions, arm.answers, examples, parse)]
    golds = [right_answers.gold_strings(metric.reads, example, parse) for example in examples]
    best = right_answers.best_scores(metric, texts, golds * len(arms))
    reasons_by_arm = [best.reasons[start : start + len(examples)] for start in range(0, len(best.reasons), len(examples))]
    return MetricScores(metric, best.values.reshape(len(arms), -1), best.statistics.reshape(len(arms), len(golds), -1), reasons_by_arm)


def stacked_arms(scores: MetricScores, inputs: ComparisonInputs) -> stats.Arms:
    arms = stats.stack(scores.statistics, scores.metric.aggregate, inputs.group_ids, inputs.seeds)
    return replace(arms, right_or_wrong=scores.metric.zero_one and arms.groups == len(inputs.examples))


def comparison_row(name: str, scores: MetricScores, resampled: stats.Resampled, settings: Settings) -> Comparison:
    """Scores, lift, interval, test and smallest detectable effect of one metric."""
    lift = resampled.difference(stats.TUNED, stats.BASE)
    variance = resampled.seed_variance(stats.TUNED, stats.BASE)
    seeds = resampled.arms.seeds
    difference = scores.values[1 : 1 + seeds].mean(axis=0) - scores.values[0]
    return Comparison(
        task=settings.task,
        metric=name,
        primary=name == settings.metrics[0],
        n=scores.values.shape[1],
        seeds=seeds,
        base=float(resampled.observed[stats.BASE]),
        tuned=float(resampled.observed[stats.TUNED]),
        lift=lift.value,
        low=lift.low,
        high=lift.high,
        p=lift.p,
        test=test_name(resampled, stats.TUNED, stats.BASE),
        fixed=int((difference > stats.TIE).sum()),
        broken=int((difference < -stats.TIE).sum()),
        smallest_effect=resampled.smallest_effect(stats.TUNED, stats.BASE, scores.metric.zero_one),
        seed_errors=variance.errors if variance else None,
    )


def test_name(resampled: stats.Resampled, one: int, other: int) -> str:
    """The name of the test of one arm against another."""
    if resampled.is_mcnemar(one, other):
        return "exact McNemar"
    return "paired randomization and t over seeds" if resampled.arms.has_seeds(one, other) else "paired randomization"


def other_arms(scores: MetricScores, resampled: stats.Resampled, inputs: ComparisonInputs) -> ArmScores:
    """One metric's entry in ComparisonResult.other_arms."""
    rows: list[OtherArm] = []
    for index, name in enumerate(inputs.others[: len(resampled.observed) - 2], start=2):
        low, high = resampled.score_interval(index)
        row: OtherArm = {
            "name": name,
            "score": float(resampled.observed[index]),
            "score_low": low,
            "score_high": high,
            **as_lift(resampled, stats.TUNED, index),
            "over_base": as_lift(resampled, index, stats.BASE),
        }
        rows.append(row)
    tuned = scores.values[1 : 1 + inputs.seeds]
    return {
        "others": rows,
        "scores": {"base": resampled.score_interval(stats.BASE), "tuned": resampled.score_interval(stats.TUNED)},
        "constants": constant_answers.scores(scores.metric, constant_answers.repeated(inputs.examples), inputs.examples, inputs.parse),
        "score_sd": {"base": float(scores.values[0].std()), "tuned": float(tuned.std(axis=1).mean())},
        "zero_one": scores.metric.zero_one,
    }


def as_lift(resampled: stats.Resampled, one: int, other: int) -> Lift:
    difference = resampled.difference(one, other)
    return {"lift": difference.value, "low": difference.low, "high": difference.high, "p": difference.p}


def lenient(arms: list[ParsedArm], primary: "Metric", inputs: ComparisonInputs) -> dict[str, float]:
    """See ComparisonResult.lenient."""
    if primary.reads in ("tests", "samples", "harness"):
        return {}
    shares = by_arm([right_answers.share_that_contains(arm.predictions, inputs.examples) for arm in arms], inputs)
    return {"base": shares["base"], "tuned": float(np.mean(shares["tuned"])), **shares["others"]}


def example_rows(arms: list[ParsedArm], scores: dict[str, MetricScores], inputs: ComparisonInputs) -> list[ExampleRow]:
    """See ComparisonResult.rows."""
    by_example = zip(*(arm_rows(number, arm, scores) for number, arm in enumerate(arms)), strict=True)
    return [{**display_fields(example), **by_arm([*rows], inputs)} for example, rows in zip(inputs.examples, by_example, strict=True)]


def display_fields(example: Example) -> ExampleText:
    """What a reader sees of an example."""
    prompt, choices = shown_prompts.prompt(example), list(example.choices)
    row: ExampleText = {"id": example.id, "prompt": prompt, "target": example.target, "choices": choices}
    if turn := shown_prompts.target_turn(example):
        row["target_turn"] = turn
    if others := list(example.right_answers[1:]):
        row["accepted"] = others
    return row


def arm_rows(number: int, arm: ParsedArm, scores: dict[str, MetricScores]) -> list[AnswerRow]:
    """Texts, answers, scores and flags of arm `number`, one row per example."""
    measured = {name: metric_scores for name, metric_scores in scores.items() if number < len(metric_scores.values)}
    rows: list[AnswerRow] = []
    for index, (prediction, answer, flag_names) in enumerate(zip(arm.predictions, arm.answers, arm.flags(), strict=True)):
        row: AnswerRow = {
            "text": prediction.text,
            "answer": answer,
            "stopped": prediction.stopped,
            "tokens": None if prediction.stopped == UNKNOWN else prediction.tokens,
            "scores": {name: float(metric_scores.values[number, index]) for name, metric_scores in measured.items()},
            "flags": flag_names,
        }
        reasons = {name: metric_scores.reasons[number][index] for name, metric_scores in measured.items() if metric_scores.reasons}
        rows.append({**row, "reasons": reasons} if reasons else row)
    return rows
