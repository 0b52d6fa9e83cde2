"""From what two models said to what it is worth: answers, scores, lift, interval, test. No model is needed here."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.errors import ComparisonError, RecipeError
from pipeline.scoring import constant_answers, stats
from pipeline.store.records import Comparison, Example, Prediction

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

Answer = Callable[[str, Example], str | None]
"""Reads the answer out of a model's text; None where there is none to be read."""
SHORT = 20
"""Texts of fewer characters are too short to be called endless: `1000` ends in three repeats."""
PROBE = 16
"""Most characters at the end of a text that are looked for further up, to find the period of its repeats."""


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
    options: dict[str, Any] = field(default_factory=dict)
    """For the metrics that run code; see metrics.load."""


@dataclass(frozen=True)
class Scored:
    """Everything that a comparison of one task found out."""

    comparisons: list[Comparison]
    """One a metric, in the order of the settings; p_adjusted and verdict are still to be set."""
    rows: list[dict[str, Any]]
    """One an example: {id, prompt, target, choices, base, tuned: [one a seed], others: {name: ...}}; each arm {text, answer, stopped,
    tokens, scores, flags}, and reasons where a metric says why an answer failed; for the flags see `Arm.flags`."""
    counts: dict[str, Any]
    """{base, tuned: [one a seed], others: {name: ...}}, each {n, unparsed, truncated, endless, empty, refused, mean_tokens}."""
    beside: dict[str, Any]
    """By metric {others: [{name, score, score_low, score_high, lift, low, high, p, over_base: {lift, low, high, p}}], scores: {base: [low,
    high], tuned: [low, high]}, constants: [{answer, score}], spread: {base, tuned}, zero_one}: the lift of tuned over each other arm and
    of that arm over base; intervals of the scores; what constant answers score, the best first; deviations of single scores."""
    lenient: dict[str, float]
    """By arm, tuned over all seeds: share of examples whose target stands somewhere in the text; empty where programs are run."""
    names: list[str]
    """Of the arms at the places of `sampled`: base, tuned, others."""
    sampled: dict[str, stats.Sampled] = field(compare=False, repr=False)
    """By metric, for further differences of arms; a metric of samples has no other arms."""


@dataclass(frozen=True)
class Arm:
    """What one model said, in the order of the examples."""

    predictions: list[Prediction]
    answers: list[str | None]

    def flags(self) -> list[list[str]]:
        """Of every example which hold of `unparsed` (no answer to be read), `truncated` or `endless` (cut off at the limit of tokens,
        without or with repeating itself), `empty` and `refused`.
        """
        return [flags(said, found) for said, found in zip(self.predictions, self.answers, strict=True)]

    def counts(self) -> dict[str, float]:
        n, found = len(self.predictions), Counter(flag for flags in self.flags() for flag in flags)
        counted = {flag: found[flag] for flag in ("unparsed", "truncated", "endless", "empty", "refused")}
        return {"n": n, **counted, "mean_tokens": sum(said.tokens for said in self.predictions) / n}

    def seen(self, reads: str, examples: list[Example], answer: Answer) -> list[str]:
        """What a metric is given of every example; see Metric.reads."""
        if reads == "text":
            return [said.text for said in self.predictions]
        if reads == "samples":
            pairs = zip(self.predictions, examples, strict=True)
            return [json.dumps([answer(text, example) or "" for text in said.samples]) for said, example in pairs]
        return [found or "" for found in self.answers]


@dataclass(frozen=True)
class Measured:
    """One metric on all arms: base, tuned by seed, others."""

    metric: "Metric"
    values: NDArray[np.float64]
    """Scores of single examples (arms, n)."""
    statistics: NDArray[np.float64]
    """(arms, n, k)."""
    reasons: list[list[str]]
    """Why each example failed, by arm; empty where the metric does not say."""


@dataclass(frozen=True)
class Trial:
    """What is the same for all metrics of one comparison."""

    examples: list[Example]
    labels: NDArray[np.int64]
    """Of the examples' groups."""
    seeds: int
    others: list[str]
    answer: Answer
    settings: Settings


@dataclass(frozen=True)
class Said:
    """Everything that was said to the same examples."""

    base: list[Prediction]
    tuned: list[list[Prediction]]
    """One list a training seed."""
    others: dict[str, list[Prediction]] = field(default_factory=dict)
    """By the name of the arm; reference models are arms too."""

    def arms(self) -> list[tuple[str, list[Prediction]]]:
        """Names for people, base first, others last."""
        tuned = [(f"tuned {number} of {len(self.tuned)}", said) for number, said in enumerate(self.tuned, 1)]
        return [("base", self.base), *tuned, *self.others.items()]


def compare(examples: list[Example], said: Said, answer: Answer, settings: Settings) -> Scored:
    """Score all arms on the same examples.

    An answer that cannot be read scores as an empty one. Targets are read by the same parser as predictions.
    Raises ComparisonError where an arm lacks an example, has one that is not asked for or has one twice, and
    RecipeError where a metric does not exist.
    """
    check_ids("examples", [example.id for example in examples], asked=None)
    if not examples or not said.tuned:
        raise ComparisonError(
            "There is nothing to compare: no examples." if said.tuned else "There is nothing to compare: no tuned predictions."
        )
    arms = [read_arm(name, predictions, examples, answer) for name, predictions in said.arms()]
    trial = Trial(examples, group_labels(examples), len(said.tuned), list(said.others), answer, settings)
    measured = {name: measure(metrics.load(name, **settings.options), arms, trial) for name in settings.metrics}
    stacked = [stacked_arms(found, trial) for found in measured.values()]
    drawn = stats.sample(stacked, settings.resamples, settings.seed, settings.confidence, settings.interval)
    sampled = dict(zip(measured, drawn, strict=True))
    return Scored(
        comparisons=[weigh(name, found, sampled[name], settings) for name, found in measured.items()],
        rows=example_rows(arms, measured, trial),
        counts=by_name([arm.counts() for arm in arms], trial),
        beside={name: beside(found, sampled[name], trial) for name, found in measured.items()},
        lenient=lenient(arms, measured[settings.metrics[0]].metric, trial),
        names=["base", "tuned", *said.others],
        sampled=sampled,
    )


def by_name(each: list[Any], trial: Trial) -> dict[str, Any]:
    """{base, tuned: [one a seed], others: {name: ...}} of what stands in the order of the arms."""
    return {"base": each[0], "tuned": each[1 : 1 + trial.seeds], "others": dict(zip(trial.others, each[1 + trial.seeds :], strict=True))}


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


def flags(said: Prediction, answer: str | None) -> list[str]:
    """Which flags hold of one answer; see Arm.flags."""
    cut = said.stopped == "length"
    loops = cut and endless(said.text)
    holds = {
        "unparsed": answer is None,
        "truncated": cut and not loops,
        "endless": loops,
        "empty": not said.text.strip(),
        "refused": said.stopped == "refused",
    }
    return [flag for flag, held in holds.items() if held]


def endless(text: str) -> bool:
    """Whether the text ends in repeats: for some period p its last 3 p characters, and at least its last quarter, repeat every p.

    Texts of fewer than SHORT characters are not. Items that count on (`1, 2, 3, ...`) are no repeats.
    """
    size = len(text)
    if size < SHORT:
        return False
    probe = text[-min(PROBE, size // 6) :]  # short enough to stand again p before the end of any such tail
    place = size - len(probe)
    while (place := text.rfind(probe, 0, place + len(probe) - 1)) >= 0:
        period = size - len(probe) - place
        tail = text[-max(3 * period, -(-size // 4)) :]
        if 3 * period <= size and tail[period:] == tail[:-period]:
            return True
    return False


def raw_pick(predictions: list[Prediction], examples: list[Example]) -> list[Prediction]:
    """The same with the choice of the highest sum of log-probabilities, however long, as text; the first of equal ones.

    Raises ComparisonError where a prediction does not carry one sum for each choice of its example.
    """
    choices = {example.id: example.choices for example in examples}
    picked = []
    for said in predictions:
        of = choices.get(said.example, ())
        if not of or len(of) != len(said.logprobs):
            raise ComparisonError(
                f"{said.example}: {len(said.logprobs)} log-probabilities for {len(of)} choices.", "Generate the constrained answers again."
            )
        picked.append(replace(said, text=of[int(np.argmax(said.logprobs))]))
    return picked


def measure(metric: "Metric", arms: list[Arm], trial: Trial) -> Measured:
    """The scores of all arms; of base and tuned only, where samples are scored, which other arms do not give."""
    examples, answer = trial.examples, trial.answer
    arms = arms[: 1 + trial.seeds] if metric.reads == "samples" else arms
    given = [text for arm in arms for text in arm.seen(metric.reads, examples, answer)]
    expected = [reference(metric.reads, example, answer) for example in examples]
    # One call for all arms: evaluate spends milliseconds on each, whatever its size.
    result = metric.compute(predictions=given, references=expected * len(arms), per_example=True, statistics=True)
    values, statistics = (np.array(result[f"{metric.name}_{part}"]) for part in ("per_example", "statistics"))
    reasons = result.get(f"{metric.name}_reasons", [])
    by_arm = [reasons[start : start + len(examples)] for start in range(0, len(reasons), len(examples))]
    return Measured(metric, values.reshape(len(arms), -1), statistics.reshape(len(arms), len(expected), -1), by_arm)


def reference(reads: str, example: Example, answer: Answer) -> str:
    """What a metric compares with; see Metric.reads."""
    if reads in ("tests", "samples"):
        if "tests" not in example.extra:
            raise RecipeError(f"example {example.id} has no tests, which a metric of the task needs.", "Take a metric that compares texts.")
        return str(example.extra["tests"])
    read = answer(example.target, example) if reads == "answer" else None
    return example.target if read is None else read


def group_labels(examples: Iterable[Example]) -> NDArray[np.int64]:
    """A number (n,) for each example's group; an example without one is a group of its own."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(("", e.group) if e.group else (e.id, ""), len(numbers)) for e in examples])


def stacked_arms(found: Measured, trial: Trial) -> stats.Arms:
    arms = stats.stack(found.statistics, found.metric.aggregate, trial.labels, trial.seeds)
    return replace(arms, right_or_wrong=found.metric.zero_one and arms.groups == len(trial.examples))


def weigh(name: str, found: Measured, sampled: stats.Sampled, settings: Settings) -> Comparison:
    """The row of one metric: scores, lift, interval, test and what this test set could have shown."""
    lift, seeds = sampled.difference(stats.TUNED, stats.BASE), sampled.arms.seeds
    difference = found.values[1 : 1 + seeds].mean(axis=0) - found.values[0]
    return Comparison(
        task=settings.task,
        metric=name,
        primary=name == settings.metrics[0],
        n=found.values.shape[1],
        seeds=seeds,
        base=float(sampled.whole[stats.BASE]),
        tuned=float(sampled.whole[stats.TUNED]),
        lift=lift.value,
        low=lift.low,
        high=lift.high,
        p=lift.p,
        test="exact McNemar" if sampled.is_mcnemar(stats.TUNED, stats.BASE) else "paired randomization",
        fixed=int((difference > stats.TIE).sum()),
        broken=int((difference < -stats.TIE).sum()),
        smallest_effect=smallest_effect(found.metric, sampled),
    )


def beside(found: Measured, sampled: stats.Sampled, trial: Trial) -> dict[str, Any]:
    """What stands beside the comparison of one metric; see Scored.beside."""
    rows = []
    for place, name in enumerate(trial.others[: len(sampled.whole) - 2], start=2):
        low, high = sampled.score_interval(place)
        score = {"name": name, "score": float(sampled.whole[place]), "score_low": low, "score_high": high}
        rows.append(score | as_lift(sampled, stats.TUNED, place) | {"over_base": as_lift(sampled, place, stats.BASE)})
    tuned = found.values[1 : 1 + trial.seeds]
    return {
        "others": rows,
        "scores": {"base": [*sampled.score_interval(stats.BASE)], "tuned": [*sampled.score_interval(stats.TUNED)]},
        "constants": constant_scores(found.metric, trial.examples, trial.answer),
        "spread": {"base": float(found.values[0].std()), "tuned": float(tuned.std(axis=1).mean())},
        "zero_one": found.metric.zero_one,
    }


def as_lift(sampled: stats.Sampled, one: int, other: int) -> dict[str, float]:
    values = asdict(sampled.difference(one, other))
    return {"lift": values.pop("value"), **values}


def lenient(arms: list[Arm], primary: "Metric", trial: Trial) -> dict[str, float]:
    """See Scored.lenient; the rule is that of the metric `paper_contains`."""
    if primary.reads in ("tests", "samples"):
        return {}
    rule, targets = metrics.load("paper_contains"), [example.target for example in trial.examples]
    shares = by_name(
        [np.mean([rule.statistics(said.text, target)[0] for said, target in zip(arm.predictions, targets, strict=True)]) for arm in arms],
        trial,
    )
    return {name: float(share) for name, share in ({"base": shares["base"], "tuned": np.mean(shares["tuned"])} | shares["others"]).items()}


def constant_scores(metric: "Metric", examples: list[Example], answer: Answer) -> list[dict[str, Any]]:
    """[{answer, score}] of every constant answer, the best first; empty where answers are free or code."""
    said = constant_answers.answers(examples) if metric.reads in ("answer", "text") else []
    if not said:
        return []
    targets = [reference(metric.reads, example, answer) for example in examples]
    given = [(answer(text, example) or "") if metric.reads == "answer" else text for text in said for example in examples]
    result = metric.compute(predictions=given, references=targets * len(said), statistics=True)
    sums = np.array(result[f"{metric.name}_statistics"]).reshape(len(said), len(targets), -1).sum(axis=1)
    found = [{"answer": text, "score": float(score)} for text, score in zip(said, metric.aggregate(sums), strict=True)]
    return sorted(found, key=lambda entry: -float(str(entry["score"])))


def smallest_effect(metric: "Metric", sampled: stats.Sampled) -> float:
    """From the spread of the bootstrap; where that is no guide, from what right or wrong answers can show at best."""
    spread = sampled.spread(stats.TUNED, stats.BASE)
    seen = stats.smallest_effect(spread, sampled.confidence)
    floor = stats.planned_effect(sampled.arms.groups, 0.0, sampled.confidence)
    return max(seen, floor) if metric.zero_one or spread <= stats.TIE else seen


def example_rows(arms: list[Arm], measured: dict[str, Measured], trial: Trial) -> list[dict[str, Any]]:
    """See Scored.rows."""
    said = [arm_rows(number, arm, measured) for number, arm in enumerate(arms)]
    rows = []
    for index, example in enumerate(trial.examples):
        known = {"id": example.id, "prompt": example.text, "target": example.target, "choices": list(example.choices)}
        rows.append(known | by_name([of_arm[index] for of_arm in said], trial))
    return rows


def arm_rows(number: int, arm: Arm, measured: dict[str, Measured]) -> list[dict[str, Any]]:
    """What one arm, the number-th, said and scored, one row an example."""
    scored = {name: found for name, found in measured.items() if number < len(found.values)}
    rows = []
    for index, (said, found, held) in enumerate(zip(arm.predictions, arm.answers, arm.flags(), strict=True)):
        scores = {name: float(each.values[number, index]) for name, each in scored.items()}
        row = {"text": said.text, "answer": found, "stopped": said.stopped, "tokens": said.tokens, "scores": scores, "flags": held}
        why = {name: each.reasons[number][index] for name, each in scored.items() if each.reasons}
        rows.append(row | ({"reasons": why} if why else {}))
    return rows
