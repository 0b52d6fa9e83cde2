"""Builds the table of the variants of one model: their scores, every two of them compared, and how far they lie apart."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.config.recipe import VARIANT
from pipeline.data import inline
from pipeline.measures import variant_pairs
from pipeline.measures.cell_types import ComparisonRow
from pipeline.measures.variant_pairs import PairResult
from pipeline.measures.variant_types import VariantPair, VariantScore, VariantTable
from pipeline.page import examples_section, fmt
from pipeline.page.cells import Cell, json_safe, swept
from pipeline.scoring import scoring, stats
from pipeline.scoring.verdict import IMPROVED, SAME, WORSE
from pipeline.store.folders import PredictionsFolder
from pipeline.store.records import Example, JsonObject
from pipeline.store.score_types import AnswerRow, ExampleRow

Array = NDArray[np.float64]
MEAN_TOLERANCE = 1e-6
"""If the mean of the examples' scores differs from the score by more, the metric is not a mean (BLEU, macro F1)."""


def section(cells: Sequence[Cell], comparisons: dict[str, list[ComparisonRow]], recipe: JsonObject) -> list[VariantTable]:
    """A table for every task, at every point of what else is swept; none where a recipe has one variant."""
    if VARIANT not in swept(recipe):
        return []
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(repr((cell.task, other_coordinates(cell))), []).append(cell)
    return [table(group, [comparisons[cell.name][0] for cell in group], recipe) for group in groups.values() if len(group) > 1]


def other_coordinates(cell: Cell) -> dict[str, Any]:
    return {key: value for key, value in cell.point.items() if key != VARIANT}


def table(cells: Sequence[Cell], primaries: Sequence[ComparisonRow], recipe: JsonObject) -> VariantTable:
    """The variants of one task, each with the primary row of its comparison."""
    metric, first = primaries[0]["metric"], cells[0]
    answers = paired_answers(cells)
    resampled = resample(cells, primaries, answers)
    margin, correction = recipe["compare"].get("same_within"), recipe["compare"]["correction"]
    results = variant_pairs.compare(resampled, margin, correction)
    names = [str(cell.point[VARIANT]) for cell in cells]
    scores = [score_row(cell, resampled, arm) for arm, cell in enumerate(cells, 1)]
    pairs = [pair_row(result, names, answers, metric) for result in results]
    values = [row["score"] for row in scores]
    point = other_coordinates(first)
    row: VariantTable = {
        "task": first.task,
        "point": point,
        "label": f"{first.task}, {fmt.coordinates(point)}" if point else first.task,
        "metric": metric,
        "n": primaries[0]["n"],
        "correction": correction,
        "tests": len(pairs) * (1 if margin is None else 2),
        "margin": margin,
        "scores": scores,
        "range": max(values) - min(values),
        "sd": statistics.stdev(values),
        "pairs": pairs,
        "sentence": "",
    }
    whole: VariantTable = {**row, "sentence": sentence(row)}
    return json_safe(whole)


def score_row(cell: Cell, resampled: stats.Resampled, arm: int) -> VariantScore:
    low, high = resampled.score_interval(arm)
    score = float(resampled.observed[arm])
    return {"name": str(cell.point[VARIANT]), "cell": cell.name, "seeds": len(cell.seeds), "score": score, "low": low, "high": high}


def pair_row(result: PairResult, names: Sequence[str], answers: Sequence[Sequence[Sequence[AnswerRow]]], metric: str) -> VariantPair:
    """answers: as of `paired_answers`."""
    later, earlier = (answers[arm - 1] for arm in (result.variant, result.against))
    gains = [mean_score(one, metric) - mean_score(other, metric) for one, other in zip(later, earlier, strict=True)]
    runs = [(before, after) for one, other in zip(later, earlier, strict=True) for after in one for before in other]
    is_right_or_wrong = all(answer["scores"][metric] in (0.0, 1.0) for pair in runs for answer in pair)
    return {
        "variant": names[result.variant - 1],
        "against": names[result.against - 1],
        "lift": result.difference.value,
        "low": result.difference.low,
        "high": result.difference.high,
        "p": result.difference.p,
        "test": result.test,
        "p_adjusted": result.p_adjusted,
        "verdict": result.verdict,
        "same": result.same,
        "fixed": sum(gain > examples_section.TIE for gain in gains),
        "broken": sum(gain < -examples_section.TIE for gain in gains),
        "churn": examples_section.churn(runs, metric) if is_right_or_wrong else None,
    }


def mean_score(answers: Sequence[AnswerRow], metric: str) -> float:
    """Of one example over the seeds of a variant."""
    return sum(answer["scores"][metric] for answer in answers) / len(answers)


def paired_answers(cells: Sequence[Cell]) -> list[list[list[AnswerRow]]]:
    """By variant and test example the answers of every seed; examples are paired by their ids, in the order of the first variant's."""
    by_id: list[dict[str, ExampleRow]] = [{row["id"]: row for row in cell.comparison.examples()} for cell in cells]
    return [[rows[name]["tuned"] for name in by_id[0]] for rows in by_id]


def resample(
    cells: Sequence[Cell], primaries: Sequence[ComparisonRow], answers: Sequence[Sequence[Sequence[AnswerRow]]]
) -> stats.Resampled:
    """The resamples of all variants together, as those of a comparison; answers: as of `paired_answers`."""
    first = cells[0]
    heldout = {example.id: example for example in first.heldout.examples()}
    rows = list(first.comparison.examples())
    examples = [heldout[row["id"]] for row in rows]
    metric = primaries[0]["metric"]
    base = [row["base"]["scores"][metric] for row in rows]
    runs = [
        [row[seed]["scores"][metric] for row in variant]
        for variant, cell in zip(answers, cells, strict=True)
        for seed in range(len(cell.seeds))
    ]
    values = np.array([base, *runs])
    seeds = [len(cell.seeds) for cell in cells]
    expected = [primaries[0]["base"], *(row["tuned"] for row in primaries)]
    is_of_examples = is_mean(values, seeds, expected)
    statistics, aggregate = with_ones(values) if is_of_examples else measured(cells, metric, examples)
    # scores of another tool are right or wrong for one variant, and may be graded for the next
    zero_one = is_of_examples and all(cell.comparison.other_arms()[metric]["zero_one"] for cell in cells)
    arms = variant_pairs.arms_of(statistics, aggregate, stats.group_ids(examples), seeds, zero_one)
    params = first.inputs["comparison"].params
    [resampled] = stats.resample([arms], params["resamples"], params["seed"], params["confidence"], params["interval"])
    return resampled


def is_mean(values: Array, seeds: Sequence[int], expected: Sequence[float]) -> bool:
    """Whether scores are means of their examples' scores.

    Args:
        values: (1 + all seeds, n).
        expected: scores of base and of every variant, the mean over its seeds.
    """
    parts = np.split(values.mean(axis=1), np.cumsum([1, *seeds])[:-1])
    return all(abs(float(part.mean()) - score) <= MEAN_TOLERANCE for part, score in zip(parts, expected, strict=True))


def with_ones(values: Array) -> tuple[Array, stats.Aggregate]:
    """Statistics of which the mean of scores of examples is the sum, as those of `measured`."""
    return np.stack([values, np.ones_like(values)], axis=-1), lambda sums: sums[..., 0] / sums[..., 1]


def measured(cells: Sequence[Cell], metric_name: str, examples: list[Example]) -> tuple[Array, stats.Aggregate]:
    """Statistics (1 + all seeds, n, k) of a metric that is no mean of examples' scores, from the predictions; and what sums them up."""
    task = inline.from_spec(cells[0].inputs["comparison"].params["task"])
    metric = metrics.load(metric_name, **task.metric_options)
    folders = [cells[0].inputs["base"], *(artifact for cell in cells for artifact in cell.tuned_predictions)]
    arms = [scoring.read_arm(folder.path.name, PredictionsFolder(folder.path).predictions(), examples, task.answer) for folder in folders]
    return scoring.measure(metric, arms, examples, task.answer).statistics, metric.aggregate


def sentence(table: VariantTable) -> str:
    """`pets: accuracy of 3 variants from 0.15 (a) to 0.46 (b), range 0.31, standard deviation 0.16; of 3 pairs 1 shown to differ, ...`"""
    lowest, highest = min(table["scores"], key=lambda row: row["score"]), max(table["scores"], key=lambda row: row["score"])
    ends = f"from {fmt.number(lowest['score'])} ({lowest['name']}) to {fmt.number(highest['score'])} ({highest['name']})"
    differing = sum(pair["verdict"] in (IMPROVED, WORSE) for pair in table["pairs"])
    same = sum(pair["verdict"] == SAME for pair in table["pairs"])
    open_pairs = len(table["pairs"]) - differing - same
    counts = {"shown to differ": differing, "the same within the margin": same, "inconclusive": open_pairs}
    listed = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    spread = f"range {fmt.number(table['range'])}, standard deviation {fmt.number(table['sd'])}"
    pairs = fmt.plural(len(table["pairs"]), "pair")
    return f"{table['label']}: {fmt.metric(table['metric'])} of {len(table['scores'])} variants {ends}, {spread}; of {pairs} {listed}."
