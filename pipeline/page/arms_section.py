"""Builds the table of arms of a cell: score with interval, flaws of the answers, relevance, hallucination, speed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline import arms
from pipeline.measures import speed_summary, untested
from pipeline.measures.cell_types import (
    AbsentArm,
    ArmRow,
    CellRow,
    ComparisonRow,
    ConstantAnswer,
    MeasuredArm,
    MetricScore,
    PromptAdditions,
)
from pipeline.page import fmt
from pipeline.page.cells import Cell, json_safe
from pipeline.store import input_names
from pipeline.store.cost_types import ArmSpeedRow, Speed, SpeedFigures
from pipeline.store.figure_types import Hallucination, Relevance
from pipeline.store.folders import SpeedFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject
from pipeline.store.score_types import AnswerCounts, ArmScores, Lift

Number = TypeVar("Number", int, float)


def measured_arms(cell: Cell, comparisons: list[ComparisonRow]) -> list[MeasuredArm]:
    """The arms of a cell by the primary metric, base and tuned among them.

    Args:
        comparisons: the judged ones of base and tuned, one per metric, the primary one first.
    """
    scores = cell.comparison.other_arms()
    names = {"base", "tuned", *(other["name"] for other in scores[comparisons[0]["metric"]]["others"])}
    measures = measures_of(cell, names)
    return [json_safe(measured_arm(cell, name, comparisons, scores, measures)) for name in sorted(names, key=arms.sort_key)]


@dataclass(frozen=True)
class Measures:
    """Measures of arms besides their scores, by arm; an arm is left out where it was not measured."""

    counts: dict[str, AnswerCounts]
    lenient: dict[str, float]
    relevance: dict[str, Relevance]
    hallucination: dict[str, Hallucination]
    timed: dict[str, ArmSpeedRow]


def measures_of(cell: Cell, names: Iterable[str]) -> Measures:
    relevance, hallucination = cell.comparison.relevance(), cell.comparison.hallucination()
    return Measures(
        counts_by_arm(cell),
        cell.comparison.lenient() or {},
        relevance["arms"] if relevance else {},
        hallucination["arms"] if hallucination else {},
        timing(cell, names),
    )


def measured_arm(cell: Cell, name: str, comparisons: list[ComparisonRow], scores: dict[str, ArmScores], measures: Measures) -> MeasuredArm:
    """One arm."""
    primary, *further = comparisons
    of_arm = metric_score(name, primary, scores)
    assert of_arm is not None  # every arm has a score by the primary metric
    timed = measures.timed.get(name)
    over_base, tuned_over = lifts(name, primary, scores[primary["metric"]])
    return {
        "name": name,
        "label": cell.tuned_label if name == "tuned" else arms.find(name, cell.constraint).label,
        "score": of_arm["score"],
        "low": of_arm["low"],
        "high": of_arm["high"],
        "over_base": over_base,
        "tuned_over": tuned_over,
        "metrics": [score for row in further if (score := metric_score(name, row, scores))],
        "counts": measures.counts.get(name),
        "lenient": measures.lenient.get(name),
        "relevance": measures.relevance.get(name),
        "hallucination": measures.hallucination.get(name),
        "speed": timed,
        "prompt_additions": prompt_additions(facts_of(cell, name)),
        "tokens_in": tokens_in(cell, name, timed),
    }


def metric_score(name: str, comparison: ComparisonRow, scores: dict[str, ArmScores]) -> MetricScore | None:
    """An arm's score by the metric of a comparison; None for an arm without one, as sampled answers have base and tuned alone."""
    by_metric = scores[comparison["metric"]]
    if name in by_metric["scores"]:
        low, high = by_metric["scores"][name]
        score = comparison["base"] if name == "base" else comparison["tuned"]
        return {"metric": comparison["metric"], "score": score, "low": low, "high": high}
    other = next((row for row in by_metric["others"] if row["name"] == name), None)
    if other is None:
        return None
    return {"metric": comparison["metric"], "score": other["score"], "low": other["score_low"], "high": other["score_high"]}


def lifts(name: str, primary: ComparisonRow, scores: ArmScores) -> tuple[Lift | None, Lift | None]:
    """An arm over base, and tuned over it; None for an arm over itself."""
    lift: Lift = {"lift": primary["lift"], "low": primary["low"], "high": primary["high"], "p": primary["p"]}
    if name in ("base", "tuned"):
        return (None, lift) if name == "base" else (lift, None)
    other = next(row for row in scores["others"] if row["name"] == name)
    return other["over_base"], {"lift": other["lift"], "low": other["low"], "high": other["high"], "p": other["p"]}


def constant_answer(cell: Cell, metric: str, rows: list[ArmRow]) -> ConstantAnswer | None:
    """The score of the constant answer; None for tasks without one.

    It is the arm `constant` where the recipe has it (its answer comes from the training part), else the best that the held-out
    targets themselves would suggest, which has no interval.
    """
    arm = next((row for row in rows if row["name"] == "constant"), None)
    if arm:
        train = cell.inputs.get("train")
        return {"answer": train.facts.get("constant_answer") if train else None, "score": arm["score"], "tuned_over": arm["tuned_over"]}
    best = next(iter(cell.comparison.other_arms()[metric]["constants"]), None)
    return {"answer": best["answer"], "score": best["score"], "tuned_over": None} if best else None


def absent_arms(cell: Cell) -> list[AbsentArm]:
    """The arms that the recipe asks for and that were not tested, with the reason: the task cannot have them, or they changed nothing."""
    names = [name.arm for name in map(input_names.parse, cell.inputs) if name.role == "predictions" and not name.suite]
    reasons = {name: untested.reason(facts_of(cell, name)) for name in sorted(set(names), key=arms.sort_key)}
    unchanged: list[AbsentArm] = [{"arm": name, "why": why} for name, why in reasons.items() if why]
    return [*cell.absent, *unchanged]


def counts_by_arm(cell: Cell) -> dict[str, AnswerCounts]:
    """Flaws of the arms' answers; of tuned those of all training seeds together."""
    counts = cell.comparison.counts()
    return {"base": counts["base"], "tuned": pooled(counts["tuned"]), **counts["others"]}


def timing(cell: Cell, names: Iterable[str]) -> dict[str, ArmSpeedRow]:
    """By name, the timing of each arm, its own or that of an arm with weights of the same shape; empty if nothing was timed."""
    speed = summary_of(cell)
    if not speed:
        return {}
    quantized = cell.inputs["speed"].params["quantization"] != "none"
    rows = {}
    for name in names:
        timed = name if name in speed["arms"] else speed_summary.timed_equivalent(name, speed["arms"], quantized)
        if timed:
            rows[name] = speed_row(name, timed, speed)
    return rows


def speed_row(name: str, timed: str, speed: Speed) -> ArmSpeedRow:
    """The timing of an arm; timed: the arm whose timing is used, which may be itself."""
    arm = speed["arms"][timed]
    return {
        "prompt_tokens": arm["prompt_tokens"],
        "prompt_tokens_per_second": arm["prompt_tokens_per_second"],
        "tokens_per_second": arm["tokens_per_second"],
        "ranks": arm["ranks"],
        "p50": arm["p50"],
        "p95": arm["p95"],
        "max": arm["max"],
        "weight_bytes": arm["weight_bytes"],
        "peak_bytes": arm["peak_bytes"],
        "timed_as": None if timed == name else timed,
        "overhead": speed["overhead"].get(timed),
    }


def pooled(seeds: list[AnswerCounts]) -> AnswerCounts:
    """Counts of all training seeds together."""
    n = sum(row["n"] for row in seeds)
    tokens = [None if row["mean_tokens"] is None else row["mean_tokens"] * row["n"] for row in seeds]
    written = total(tokens)
    return {
        "n": n,
        "unparsed": sum(row["unparsed"] for row in seeds),
        "truncated": total([row["truncated"] for row in seeds]),
        "endless": total([row["endless"] for row in seeds]),
        "empty": sum(row["empty"] for row in seeds),
        "refused": sum(row["refused"] for row in seeds),
        "mean_tokens": None if written is None else written / max(1, n),
    }


def total(values: Sequence[Number | None]) -> Number | None:
    """The sum; None where one is not known."""
    numbers = [value for value in values if value is not None]
    return sum(numbers[1:], numbers[0]) if numbers and len(numbers) == len(values) else None


def facts_of(cell: Cell, name: str) -> JsonObject:
    """The facts of an arm's predictions (for an unnormalized arm, those of the arm whose choices it ranks); empty if it has none."""
    first = arms.find(name).ranks_choices_of or name
    source = str(InputName("predictions", first, seed=cell.seeds[0] if first == "tuned" else None))
    return cell.inputs[source].facts if source in cell.inputs else {}


def without_repeats(cell: CellRow) -> list[ArmRow]:
    """The arms of a cell but those that only repeat another: choices ranked by total likelihood that score as those ranked per token."""
    scores = {arm["name"]: arm["score"] for arm in cell["arms"]}
    best = cell["headline"]["baseline"]
    return [arm for arm in cell["arms"] if arm["name"] == best or scores.get(arms.find(arm["name"]).ranks_choices_of) != arm["score"]]


def prompt_additions(facts: JsonObject) -> PromptAdditions | None:
    """What an arm's prompts hold besides the question: few-shot examples or the keys of the answer; None where they hold nothing else.

    Args:
        facts: of a folder of `generate`.
    """
    if "shots" in facts:
        return {
            "sentence": shots_sentence(facts),
            "prompts": facts["examples"],
            "shots": facts["shots"],
            "fewest": facts["fewest_shots"],
            "most": facts["most_shots"],
            "shrunk": facts["shrunk"],
            "separator": facts["separator"],
        }
    if "unkeyed" in facts:
        return {"sentence": keys_sentence(facts), "prompts": facts["examples"], "keys": facts["keys"], "unkeyed": facts["unkeyed"]}
    return None


def shots_sentence(facts: JsonObject) -> str:
    """How many few-shot examples the prompts hold, in words."""
    end = "at a blank line" if facts["separator"].isspace() else "where another question begins"
    ends = f"; generation also stops {end}" if facts["separator"] else ""
    if not facts["shrunk"]:
        return f"{fmt.plural(facts['shots'], 'few-shot example')} in every prompt{ends}"
    number = " to ".join(map(str, dict.fromkeys((facts["fewest_shots"], facts["most_shots"]))))
    fewer = f"{facts['shrunk']:,} of {fmt.plural(facts['examples'], 'prompt')} {'has' if facts['examples'] == 1 else 'have'} fewer"
    return f"{number} of the {fmt.plural(facts['shots'], 'few-shot example')} requested in a prompt ({fewer}){ends}"


def keys_sentence(facts: JsonObject) -> str:
    """Whether the prompts name the keys of the answer, in words."""
    if not facts["unkeyed"]:
        return f"{fmt.plural(len(facts['keys']), 'key')} named in every prompt"
    return f"keys could not be added to {facts['unkeyed']:,} of {fmt.plural(facts['examples'], 'prompt')} (context window full)"


def tokens_in(cell: Cell, name: str, timed: ArmSpeedRow | None) -> float | None:
    """Mean tokens of a prompt: over all requests if the facts of the predictions have it, else over the timed ones."""
    facts = facts_of(cell, name)
    if facts.get("prompt_tokens") and facts.get("examples"):
        return float(facts["prompt_tokens"]) / float(facts["examples"])
    return float(timed["prompt_tokens"]) if timed else None


def speed(cell: Cell) -> SpeedFigures | None:
    """The timing of the cell as a whole, without single requests."""
    timed = summary_of(cell)
    if not timed:
        return None
    return {
        "overhead": timed["overhead"],
        "new_tokens": timed["new_tokens"],
        "prompts": timed["prompts"],
        "untimed": timed["untimed"],
        "adapter_bytes": timed["adapter_bytes"],
        "context_window": timed["context_window"],
    }


def summary_of(cell: Cell) -> Speed | None:
    """The figures of the cell's timing; None if nothing was timed."""
    return speed_summary.summarize(SpeedFolder(cell.inputs["speed"].path).measurements()) if "speed" in cell.inputs else None
