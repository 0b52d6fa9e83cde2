"""Compares our figures with those of LoRA Land for the same task and base, with reference models and with constant answers."""

from dataclasses import asdict
from statistics import NormalDist
from typing import Any

from pipeline import arms
from pipeline.config.schema import Price
from pipeline.data import task
from pipeline.lora_land import agreement, published
from pipeline.page.cells import Cell, finite
from pipeline.references import ask
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject
from pipeline.store.score_types import ArmScores

QV = ("q_proj and v_proj", "qkv_proj")
PAID = ("tokens_in", "tokens_out", "refused", "cost")
SETUP = {
    "quantization": "nf4", "rank": 8, "alpha_per_rank": 2.0, "dropout": 0.05, "learning_rate": 2e-4, "schedule": "cosine",
    "warmup": 0.03, "batch_examples": 16, "max_steps": 2500,
}  # fmt: skip
"""How LoRA Land trained, in the words of a recipe; where it is not sure, as recipes/lora_land/_paper.yaml explains."""


def published_rows(cells: list[Cell], comparisons: dict[str, list[JsonObject]]) -> list[JsonObject]:
    """One row for every cell whose task LoRA Land has: our figures by its scoring rule, its own, and whether they agree."""
    return [finite(beside(cell, comparisons[cell.name])) for cell in cells if paper_of(cell)]


def paper_of(cell: Cell) -> task.Paper | None:
    """How LoRA Land scored a cell's task; a user's own task may bear the name of a shipped one, and is then not meant."""
    spec = cell.inputs["verdict"].params.get("task")
    is_shipped = isinstance(spec, str) and spec in published.tasks() and spec in task.names()
    return task.find(str(spec)).paper if is_shipped else None


def beside(cell: Cell, comparisons: list[JsonObject]) -> JsonObject:
    paper = paper_of(cell)
    assert paper is not None
    ours = next(row for row in comparisons if row["metric"] == paper.metric)
    strict = comparisons[0]
    other_arms = cell.comparison.other_arms()[paper.metric]
    theirs = published.table()[cell.task].get(cell.paper.get("model", ""))
    paper_row = published.comparison_with(cell.task, cell.paper.get("model"))
    assert paper_row is not None
    ours_by_figure = {figure: measured(figure, ours, other_arms, cell) for figure in ("base", "tuned", "lift")}
    agreed = {figure: agreement.agreement(value, theirs) for figure, value in ours_by_figure.items()}
    figures = {figure: {"ours": ours[figure], "paper": paper_row[f"paper_{figure}"], **asdict(result)} for figure, result in agreed.items()}
    # of many constants on a scale some score hits ours by luck, so there only the best one counts
    shares = {entry["answer"]: entry["score"] for entry in other_arms["constants"][: None if other_arms["zero_one"] else 1]}
    marks = {arm: published.learned_nothing(ours[arm], ours["n"], shares) for arm in ("base", "tuned")}
    best = other_arms["constants"][0] if other_arms["constants"] else None
    return {
        "cell": cell.name,
        "task": cell.task,
        "label": cell.label,
        "metric": paper.metric,
        "n": ours["n"],
        "interval": [ours["low"], ours["high"]],
        "figures": figures,
        "strict": {"metric": strict["metric"], "base": strict["base"], "tuned": strict["tuned"]},
        "gpt35": paper_row["gpt35"],
        "gpt4": paper_row["gpt4"],
        "paper_n": paper_row["n"],
        "paper_rows": paper_row["rows"],
        "constant": best,
        "paper_constant": paper_row["constant"],
        "marks": {arm: mark.answer for arm, mark in marks.items() if mark},
        "paper_marks": paper_row["marks"],
        "differs": list(paper.differs),
        "setup": setup(cell),
        "source": paper_row["source"],
    }


def measured(figure: Any, row: JsonObject, other_arms: ArmScores, cell: Cell) -> agreement.OurFigure:
    """Our figure with what the rule of agreement must know of it."""
    rows = next(iter(published.row(cell.task).values())).rows
    spread = other_arms["spread"]
    deviations = {"base": (spread["base"],), "tuned": (spread["tuned"],), "lift": (spread["base"], spread["tuned"])}[figure]
    in_subset = not rows.subset or cell.task == "magicoder" or all(name.startswith(rows.subset) for name in ids(cell))
    return agreement.OurFigure(
        figure=figure,
        value=row[figure],
        n=row["n"],
        metric=next(iter(published.row(cell.task).values())).metric,
        split=rows.split,  # a task of the paper is held out on the paper's split; tests of the tasks say so
        subset=rows.subset if in_subset else "",
        zero_one=other_arms["zero_one"],
        deviations=deviations,
        error=error(row, cell.inputs["verdict"].params["confidence"]) if figure == "lift" else None,
        otherwise=tuple(obstacles(cell, rows.n)),
    )


def ids(cell: Cell) -> list[str]:
    return [example.id for example in cell.heldout.examples()]


def error(row: JsonObject, confidence: float) -> float | None:
    """Standard error of a lift, from the width of its bootstrap interval."""
    if row["low"] is None or row["high"] is None:
        return None
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    return float(row["high"] - row["low"]) / (2 * quantile)


def obstacles(cell: Cell, paper_rows: int) -> list[str]:
    """What was done otherwise than in the paper, such that the figures mean something else."""
    heldout, paper = cell.inputs["heldout"], paper_of(cell)
    source, reasons = heldout.facts.get("source", {}), [paper.otherwise] if paper and paper.otherwise else []
    if cell.paper.get("forced_chat"):
        reasons.append("another prompt form: the recipe forces the chat template on or off")
    if heldout.params.get("order") != "first" and heldout.facts["kept"] < heldout.facts["rows"]:
        reasons.append(f"other rows: ours are drawn, the paper's are the first {paper_rows:,}")
    if "expected_rows" in source:
        reasons.append(f"another version of the data: {heldout.facts['rows']:,} rows here, {source['expected_rows']:,} there")
    if cell.inputs["base"].params["quantization"] != SETUP["quantization"]:
        reasons.append("the paper's bases are in 4 bit, ours are not")
    return reasons


def setup(cell: Cell) -> list[str]:
    """In what the adapter was not trained as in the paper."""
    tune = cell.adapters[0].params
    differences = [f"{key} {tune[key]} (paper: {value})" for key, value in SETUP.items() if tune[key] != value]
    on = tune["targets"] if isinstance(tune["targets"], str) else " and ".join(tune["targets"])
    return differences + ([] if on in QV else [f"adapters on {on} (paper: q_proj and v_proj)"])


def reference_rows(cells: list[Cell], recipe: JsonObject) -> list[JsonObject]:
    """One row for every cell and reference model: its score, and the lift of tuned over it."""
    entries = {entry["name"]: entry for entry in recipe["references"]}
    rows = []
    for cell in cells:
        for number, (metric, other_arms) in enumerate(cell.comparison.other_arms().items()):
            for arm in other_arms["others"]:
                if not (model := arms.find(arm["name"]).reference):
                    continue
                entry = entries[model]
                figures = {name: arm[name] for name in ("score", "lift", "low", "high")}
                row = {"cell": cell.name, "task": cell.task, "label": cell.label, "metric": metric, "name": entry["name"], **figures}
                # what was paid belongs to the answers, so it stands with their first metric only
                rows.append(row | {"model": entry["model"]} | (paid(cell, entry) if not number else dict.fromkeys(PAID)))
    return [finite(row) for row in rows]


def paid(cell: Cell, entry: JsonObject) -> JsonObject:
    """What the answers of a reference model took, and what that cost in US dollars by the recipe's price."""
    facts = cell.inputs[str(InputName("predictions", arms.reference(entry["name"])))].facts
    tokens = (facts["prompt_tokens"], facts["completion_tokens"])
    priced = ask.cost(facts, Price(**entry["price"])) if entry["price"] else None
    return dict(zip(PAID, (*tokens, facts["refused"], priced), strict=True))
