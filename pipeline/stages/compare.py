"""Scores all arms' predictions on the same held-out examples and tests their differences.

The liveness gate comes first: an adapter that changes nothing stops the comparison before anything is scored.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import arms, metrics
from pipeline.data import general_text, inline
from pipeline.data.task import Task
from pipeline.errors import ComparisonError
from pipeline.machine import Work
from pipeline.measures import debugging, decompose, equivalence, hallucination, non_inferiority, relevance, slices, untested
from pipeline.models import liveness
from pipeline.scoring import constant_answers, scoring, stats
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.figure_types import Liveness, Relevance, Suite
from pipeline.store.folders import HeldoutFolder, LossesFolder, PredictionsFolder, RelevanceFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import HARNESS_EXTRA, Example, Prediction
from pipeline.store.result_folders import ComparisonFolder, SlicingFolder
from pipeline.store.score_types import AnswerRow, ExampleRow

if TYPE_CHECKING:
    from pipeline.metrics.base import Metric

WITHOUT_WEIGHTS = ("import_predictions", "reference")
"""The stages whose predictions are from elsewhere, or from a model behind an endpoint."""
PARAGRAPHS = InputName("losses", suite=general_text.PARAGRAPHS)


def run(work: Work) -> dict[str, Any]:
    task = inline.from_spec(work.params["task"])
    seeds = sorted(name.seed for name in map(input_names.parse, work.inputs) if name.seed is not None)
    check_different(work, task, seeds)
    adapters = check_liveness(work, task, seeds)
    folder = HeldoutFolder(work.inputs["heldout"])
    heldout = folder.examples()
    predictions = load_predictions(work, heldout, seeds)
    settings = settings_of(work, task, has_samples(predictions))
    result = scoring.compare(heldout, predictions, task.answer, settings)
    by_arm = {"base": [predictions.base], "tuned": predictions.tuned} | {name: [rows] for name, rows in predictions.others.items()}
    hallucinations = hallucination.measure(task, heldout, by_arm, work.params["confidence"], folder.preface())

    out = ComparisonFolder(work.out)
    replace(result, rows=[add_flags(row, hallucinations.hallucinated) for row in result.rows]).write(out)
    decompositions = decompose.decompose(result.names, result.resampled)
    out.write_json(
        {
            out.LIVENESS: adapters,
            out.DECOMPOSITION: decompositions,
            out.HALLUCINATION: hallucinations.figures,
            out.RELEVANCE: {"arms": relevance_by_arm(work, heldout)},
            out.OTHER_TASKS: {"suites": other_tasks(work)},
        }
    )
    if (margin := work.params.get("same_within")) is not None:
        metric = task.metrics[0]
        tests = equivalence.measure(result.names, result.resampled[metric], decompositions[metric], margin)
        out.write_json({out.EQUIVALENCE: tests})
    if changes := debugging.measure(result.names, result.resampled[task.metrics[0]]):
        out.write_json({out.DEBUGGING: changes})
    if (slicing := str(InputName("slices"))) in work.inputs:
        out.write_json({out.SLICES: slices.measure(SlicingFolder(work.inputs[slicing]).slicings(), result, settings)})
    return {row["metric"]: {"base": row["base"], "tuned": row["tuned"], "lift": row["lift"]} for row in result.comparisons}


def check_different(work: Work, task: Task, seeds: list[int]) -> None:
    """Raise ComparisonError where two training seeds have one adapter: they would count as two runs that agree."""
    first: dict[str, int] = {}
    for seed in seeds:
        for sign in signs_of_adapter(folder_of(work, InputName("predictions", "tuned", seed=seed))):
            if (other := first.setdefault(sign, seed)) != seed:
                problem = f"{task.name}: the adapters of seeds {other} and {seed} are equal, so they are one training run"
                raise ComparisonError(problem, "Leave one of them out of the recipe.")


def signs_of_adapter(folder: Path) -> list[str]:
    """What two arms have in common only if their adapters are equal: the digest of its files, and that of answers and logits, as one
    adapter may come with several configurations; none where answers are from elsewhere.
    """
    artifact = Artifact.open(folder)
    if artifact.stage in WITHOUT_WEIGHTS:
        return []
    has_effect = PredictionsFolder(folder).liveness()["largest_logit_difference"] > 0.0
    return [*filter(None, [artifact.inputs.get("adapter")]), *([artifact.digest] if has_effect else [])]


def check_liveness(work: Work, task: Task, seeds: list[int]) -> list[Liveness]:
    """Liveness of each seed's adapter. Raises ComparisonError for a dead one unless the recipe switches the gate off.

    Predictions from elsewhere, and a model behind an endpoint, have no adapter to look at.
    """
    reports: list[Liveness] = []
    for seed in seeds:
        folder = folder_of(work, InputName("predictions", "tuned", seed=seed))
        if Artifact.open(folder).stage in WITHOUT_WEIGHTS:
            continue
        signs = PredictionsFolder(folder).liveness()
        if work.params["liveness"]:
            liveness.require_alive(signs, f"{task.name}, seed {seed}")
        reports.append({"seed": seed, **signs, "alive": liveness.is_alive(signs)})
    return reports


def has_samples(predictions: scoring.ArmPredictions) -> bool:
    """Whether base and tuned have random samples for every example, so that pass@k can be computed."""
    return all(row.samples for rows in (predictions.base, *predictions.tuned) for row in rows)


def settings_of(work: Work, task: Task, with_samples: bool) -> scoring.Settings:
    """Code tasks with random samples are scored by pass@k too."""
    names = (*task.metrics, "pass_at_k") if with_samples and "pass_at_1" in task.metrics else task.metrics
    statistics = {name: work.params[name] for name in ("confidence", "resamples", "interval", "seed")}
    return scoring.Settings(task.name, names, **statistics, options={"unsafe": work.machine.unsafe_code} | task.metric_options)


def folder_of(work: Work, name: InputName) -> Path:
    return work.inputs[str(name)]


def predictions_of(work: Work, arm: str, seed: int | None = None, suite: str = "") -> list[Prediction]:
    """The predictions of an arm on the task itself, or on another one."""
    return PredictionsFolder(folder_of(work, InputName("predictions", arm, seed=seed, suite=suite))).predictions()


def load_predictions(work: Work, heldout: list[Example], seeds: list[int]) -> scoring.ArmPredictions:
    """Predictions of the arms that were tested, the unnormalized picks of those that ranked choices, and the constant answer."""
    others: dict[str, list[Prediction]] = {}
    for name in map(input_names.parse, sorted(work.inputs)):
        is_other = name.role == "predictions" and not name.suite and name.arm not in ("base", "tuned")
        if is_other and not untested.reason(Artifact.open(folder_of(work, name)).facts):
            others[name.arm] = predictions_of(work, name.arm)
            if arms.find(name.arm).constrained and any(row.logprobs for row in others[name.arm]):
                others[arms.unnormalized_arm(name.arm)] = scoring.unnormalized_picks(others[name.arm], heldout)
    if "train" in work.inputs:
        answer = Artifact.open(work.inputs["train"]).facts["constant_answer"]
        others["constant"] = [Prediction(example.id, answer, 0, "eos") for example in heldout]
    return scoring.ArmPredictions(predictions_of(work, "base"), [predictions_of(work, "tuned", seed) for seed in seeds], others)


def add_flags(row: ExampleRow, hallucinated: dict[str, list[set[str]]]) -> ExampleRow:
    """An example's row in which each answer that names something absent from source and target has the flag `hallucinated`."""

    def with_flag(arm: str, seed: int, answer: AnswerRow) -> AnswerRow:
        return {**answer, "flags": [*answer["flags"], "hallucinated"]} if row["id"] in hallucinated[arm][seed] else answer

    tuned = [with_flag("tuned", seed, answer) for seed, answer in enumerate(row["tuned"])]
    others = {name: with_flag(name, 0, answer) for name, answer in row["others"].items()}
    return {**row, "base": with_flag("base", 0, row["base"]), "tuned": tuned, "others": others}


def relevance_by_arm(work: Work, heldout: list[Example]) -> dict[str, Relevance]:
    """How relevant each arm's answers are to their prompts."""
    groups = dict(zip((example.id for example in heldout), stats.group_ids(heldout), strict=True))
    by_arm = {}
    for name in map(input_names.parse, sorted(work.inputs)):
        if name.role == "relevance" and (rows := RelevanceFolder(folder_of(work, name)).rows()):
            labels = np.array([groups[row["example"]] for row in rows])
            by_arm[name.arm] = relevance.summarize(rows, labels, *resampling(work))
    return by_arm


def resampling(work: Work) -> tuple[float, int, int]:
    """Confidence, resamples and seed, in the order in which the measures take them."""
    return work.params["confidence"], work.params["resamples"], work.params["seed"]


def other_tasks(work: Work) -> list[Suite]:
    """Tuned against base on paragraphs of plain English and on every other task."""
    suites = [paragraphs_suite(work)] if str(PARAGRAPHS) in work.inputs else []
    return suites + [other_task_suite(work, name, inline.from_spec(spec)) for name, spec in work.params["general"].items()]


def paragraphs_suite(work: Work) -> Suite:
    """Loss on plain English; a base that guesses no better than evenly has nothing to lose there."""
    losses = Artifact.open(folder_of(work, PARAGRAPHS))
    suite = non_inferiority.loss_suite(LossesFolder(losses.path).rows(), work.params["loss_margin"], *resampling(work))
    measurable = non_inferiority.has_something_to_lose(suite["base"], losses.facts["vocabulary"], suite["margin"])
    return {"suite": PARAGRAPHS.suite, **suite, "constant": None, "measurable": measurable}


def other_task_suite(work: Work, name: str, task: Task) -> Suite:
    """A task that the adapter was not trained for, scored by its primary metric; single examples of macro F1 are right or wrong."""
    heldout = HeldoutFolder(folder_of(work, InputName("heldout", suite=name))).examples()
    base, tuned = (
        scoring.read_arm(f"{arm} on {name}", predictions_of(work, arm, suite=name), heldout, task.answer) for arm in ("base", "tuned")
    )
    metric = metrics.load(task.metrics[0], unsafe=work.machine.unsafe_code, **task.metric_options)
    rows = scoring.score_two_arms(metric, base, tuned, heldout, task.answer)
    suite = non_inferiority.task_suite(rows, stats.group_ids(heldout), work.params["margin"], work.params["confidence"])
    floor = constant_floor(metric, heldout, task)
    # a base that scores no more than a constant answer and the margin has nothing to lose by it
    measurable = suite["base"] > floor + work.params["margin"]
    return {"suite": name, **suite, "task_metric": metric.of_examples or metric.name, "constant": floor, "measurable": measurable}


def constant_floor(metric: "Metric", heldout: list[Example], task: Task) -> float:
    """The mean score of examples by the best constant answer, as `task_suite` scores base and tuned; 0 if the metric runs programs.

    Of a task of lm-evaluation-harness it is what guessing scores.
    """
    if metric.reads == "harness":  # guessing among the given texts
        counts = [len(example.extra[HARNESS_EXTRA].get("pairs", ())) for example in heldout]
        return float(np.mean([1 / count if count > 1 else 0.0 for count in counts]))
    best = constant_answers.best(metric, heldout, task.answer)
    if best is None:
        return 0.0
    answers = [Prediction(example.id, best["answer"], 0, "eos") for example in heldout]
    arm = scoring.read_arm("the constant answer", answers, heldout, task.answer)
    return float(scoring.measure(metric, [arm], heldout, task.answer).values.mean())
