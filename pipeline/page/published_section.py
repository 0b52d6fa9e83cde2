"""Compares our figures with those of LoRA Land for the same task and base, with reference models and with constant answers."""

from statistics import NormalDist, fmean
from typing import Literal

from pipeline import arms
from pipeline.config.schema import Price
from pipeline.data import task
from pipeline.lora_land import agreement, published
from pipeline.measures import overview
from pipeline.measures.cell_types import ComparisonRow
from pipeline.measures.pooled_types import PublishedMean
from pipeline.measures.report_types import OutsideFigures, PublishedFigure, PublishedRow, ReferenceRow
from pipeline.page import fmt
from pipeline.page.cells import Cell, json_safe, swept
from pipeline.references import ask
from pipeline.store.figure_types import PartialInterval
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject
from pipeline.store.score_types import ArmScores, OtherArm

QV = ("q_proj and v_proj", "qkv_proj")
FIGURES: tuple[agreement.Figure, ...] = ("base", "tuned", "lift")
SIDES: tuple[Literal["ours", "paper"], ...] = ("ours", "paper")
ARMS: tuple[Literal["base", "tuned"], ...] = ("base", "tuned")
SETUP = {
    "quantization": "nf4", "rank": 8, "alpha_per_rank": 2.0, "dropout": 0.05, "learning_rate": 2e-4, "schedule": "cosine",
    "warmup": 0.03, "batch_examples": 16, "max_steps": 2500,
}  # fmt: skip
"""LoRA Land's training setup as recipe keys; recipes/lora_land/_paper.yaml explains what is uncertain."""


def section(cells: list[Cell], comparisons: dict[str, list[ComparisonRow]], recipe: JsonObject, is_smoke_test: bool) -> OutsideFigures:
    """Figures from elsewhere; a few examples of a smoke test are not set beside published ones."""
    rows = [] if is_smoke_test else published_rows(cells, comparisons)
    return {"published": rows, "published_mean": mean_lift(rows, recipe), "references": reference_rows(cells, recipe)}


def published_rows(cells: list[Cell], comparisons: dict[str, list[ComparisonRow]]) -> list[PublishedRow]:
    """One row for every cell whose task LoRA Land has: our figures by its scoring rule, its own, and whether they agree."""
    return [json_safe(published_row(cell, comparisons[cell.name])) for cell in cells if paper_of(cell)]


def mean_lift(rows: list[PublishedRow], recipe: JsonObject) -> PublishedMean | None:
    """LoRA Land's headline for the same tasks, ours beside the paper's: the mean of the lifts, each task once."""
    confidence = recipe["compare"]["confidence"]
    both = [row for row in rows if None not in (row["figures"]["lift"]["ours"], row["figures"]["lift"]["paper"])]
    if swept(recipe) or len(both) < 2:
        return None
    ours, paper = (fmean(row["figures"]["lift"][side] or 0.0 for row in both) for side in SIDES)
    intervals: list[PartialInterval] = [{"low": row["interval"][0], "high": row["interval"][1]} for row in both]
    low, high = overview.around(ours, overview.error_of_mean(intervals, confidence), confidence)
    text = f"Mean lift over the same {len(both)} tasks: ours {fmt.change(ours, low, high, 3)}, the paper's {fmt.signed(paper, 3)}."
    return {"tasks": len(both), "ours": ours, "low": low, "high": high, "paper": paper, "sentence": text}


def paper_of(cell: Cell) -> task.Paper | None:
    """How LoRA Land scored a cell's task; None for a user's own task of the same name."""
    name = cell.inputs["comparison"].params.get("task")
    is_shipped = isinstance(name, str) and name in published.tasks() and name in task.names()
    return task.find(str(name)).paper if is_shipped else None


def published_row(cell: Cell, comparisons: list[ComparisonRow]) -> PublishedRow:
    """Our figures beside those of LoRA Land, which has the cell's task."""
    paper = paper_of(cell)
    assert paper is not None
    ours = next(row for row in comparisons if row["metric"] == paper.metric)
    primary = comparisons[0]
    scores = cell.comparison.other_arms()[paper.metric]
    paper_score = published.table()[cell.task].get(cell.paper.get("model", ""))
    paper_scores = published.comparison_with(cell.task, cell.paper.get("model"))
    assert paper_scores is not None
    figures: dict[str, PublishedFigure] = {
        figure: figure_row(our_figure(figure, ours, scores, cell), paper_score, paper_scores[f"paper_{figure}"]) for figure in FIGURES
    }
    # of many constants on a scale some score hits ours by luck, so there only the best one counts
    shares = {entry["answer"]: entry["score"] for entry in scores["constants"][: None if scores["zero_one"] else 1]}
    marks = {arm: published.learned_nothing(ours[arm], ours["n"], shares) for arm in ARMS}
    best = scores["constants"][0] if scores["constants"] else None
    return {
        "cell": cell.name,
        "task": cell.task,
        "label": cell.label,
        "metric": paper.metric,
        "n": ours["n"],
        "interval": [ours["low"], ours["high"]],
        "figures": figures,
        "strict": {"metric": primary["metric"], "base": primary["base"], "tuned": primary["tuned"]},
        "gpt35": paper_scores["gpt35"],
        "gpt4": paper_scores["gpt4"],
        "paper_n": paper_scores["n"],
        "paper_rows": paper_scores["rows"],
        "constant": best,
        "paper_constant": paper_scores["constant"],
        "marks": {arm: mark.answer for arm, mark in marks.items() if mark},
        "paper_marks": paper_scores["marks"],
        "differs": list(paper.differs),
        "setup": setup_differences(cell),
        "source": paper_scores["source"],
    }


def figure_row(ours: agreement.OurFigure, theirs: published.PublishedScore | None, paper: float | None) -> PublishedFigure:
    agreed = agreement.agreement(ours, theirs)
    return {"ours": ours.value, "paper": paper, "word": agreed.word, "low": agreed.low, "high": agreed.high, "why": agreed.why}


def our_figure(figure: agreement.Figure, row: ComparisonRow, scores: ArmScores, cell: Cell) -> agreement.OurFigure:
    """Our figure, with what the comparison with the paper needs."""
    rows = next(iter(published.row(cell.task).values())).rows
    score_sd = scores["score_sd"]
    deviations = (score_sd["base"], score_sd["tuned"]) if figure == "lift" else (score_sd[figure],)
    in_subset = not rows.subset or cell.task == "magicoder" or all(name.startswith(rows.subset) for name in ids(cell))
    return agreement.OurFigure(
        figure=figure,
        value=row[figure],
        n=row["n"],
        metric=next(iter(published.row(cell.task).values())).metric,
        split=rows.split,  # a task of the paper is held out on the paper's split; tests of the tasks say so
        subset=rows.subset if in_subset else "",
        zero_one=scores["zero_one"],
        deviations=deviations,
        error=lift_error(row, cell.inputs["comparison"].params["confidence"]) if figure == "lift" else None,
        other_differences=tuple(incomparable_reasons(cell, rows.n)),
    )


def ids(cell: Cell) -> list[str]:
    return [example.id for example in cell.heldout.examples()]


def lift_error(row: ComparisonRow, confidence: float) -> float | None:
    """Standard error of a lift over test examples, from the width of its bootstrap interval."""
    if row["seed_errors"]:  # the interval covers other seeds too
        return row["seed_errors"]["examples"]
    if row["low"] is None or row["high"] is None:  # no number, which JSON cannot spell
        return None
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    return float(row["high"] - row["low"]) / (2 * quantile)


def incomparable_reasons(cell: Cell, paper_rows: int) -> list[str]:
    """Differences from the paper that make the figures incomparable."""
    heldout = cell.inputs["heldout"]
    paper = paper_of(cell)
    source = heldout.facts.get("source", {})
    reasons = [paper.incomparable_reason] if paper and paper.incomparable_reason else []
    if cell.paper.get("forced_chat"):
        reasons.append("another prompt form: the recipe forces the chat template on or off")
    if heldout.params.get("order") != "first" and heldout.facts["selected"] < heldout.facts["rows"]:
        reasons.append(f"other rows: ours are drawn, the paper's are the first {paper_rows:,}")
    if "expected_rows" in source:
        reasons.append(f"another version of the data: {heldout.facts['rows']:,} rows here, {source['expected_rows']:,} there")
    if cell.inputs["base"].params["quantization"] != SETUP["quantization"]:
        reasons.append("the paper's bases are in 4 bit, ours are not")
    return reasons


def setup_differences(cell: Cell) -> list[str]:
    """How our training differs from the paper's."""
    if cell.variant:
        return ["it was fine-tuned elsewhere; how is not known"]
    params = cell.adapters[0].params
    differing = [f"{key} {params[key]} (paper: {value})" for key, value in SETUP.items() if params[key] != value]
    targets = params["targets"] if isinstance(params["targets"], str) else " and ".join(params["targets"])
    return differing + ([] if targets in QV else [f"adapters on {targets} (paper: q_proj and v_proj)"])


def reference_rows(cells: list[Cell], recipe: JsonObject) -> list[ReferenceRow]:
    """One row for every cell, metric and reference model: its score, and the lift of tuned over it."""
    entries = {arms.reference(entry["name"]): entry for entry in recipe["references"]}
    return [
        json_safe(reference_row(cell, metric, other, entries[other["name"]], is_first=not number))
        for cell in cells
        for number, (metric, scores) in enumerate(cell.comparison.other_arms().items())
        for other in scores["others"]
        if other["name"] in entries
    ]


def reference_row(cell: Cell, metric: str, other: OtherArm, entry: JsonObject, is_first: bool) -> ReferenceRow:
    """One metric of a reference model's answers.

    Args:
        entry: the model in the recipe.
        is_first: of the metrics; tokens and cost belong to the answers, so only this row has them.
    """
    facts = cell.inputs[str(InputName("predictions", other["name"]))].facts if is_first else None
    price = Price(**entry["price"]) if entry["price"] else None
    return {
        "cell": cell.name,
        "task": cell.task,
        "label": cell.label,
        "metric": metric,
        "name": entry["name"],
        "score": other["score"],
        "lift": other["lift"],
        "low": other["low"],
        "high": other["high"],
        "model": entry["model"],
        "tokens_in": facts["prompt_tokens"] if facts else None,
        "tokens_out": facts["completion_tokens"] if facts else None,
        "refused": facts["refused"] if facts else None,
        "cost": ask.usage_cost(facts, price) if facts and price else None,
    }
