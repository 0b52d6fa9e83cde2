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

Row = dict[str, Any]
QV = ("q_proj and v_proj", "qkv_proj")
PAID = ("tokens_in", "tokens_out", "refused", "cost")
SETUP = {
    "quantization": "nf4", "rank": 8, "alpha_per_rank": 2.0, "dropout": 0.05, "learning_rate": 2e-4, "schedule": "cosine",
    "warmup": 0.03, "batch_examples": 16, "max_steps": 2500,
}  # fmt: skip
"""How LoRA Land trained, in the words of a recipe; where it is not sure, as recipes/lora_land/_paper.yaml explains."""


def published_rows(cells: list[Cell], comparisons: dict[str, list[Row]]) -> list[Row]:
    """One row for every cell whose task LoRA Land has: our figures by its scoring rule, its own, and whether they agree."""
    return [finite(beside(cell, comparisons[cell.name])) for cell in cells if paper_of(cell)]


def paper_of(cell: Cell) -> task.Paper | None:
    """How LoRA Land scored a cell's task; a user's own task may bear the name of a shipped one, and is then not meant."""
    asked = cell.inputs["verdict"].params.get("task")
    known = isinstance(asked, str) and asked in published.tasks() and asked in task.names()
    return task.find(str(asked)).paper if known else None


def beside(cell: Cell, comparisons: list[Row]) -> Row:
    paper = paper_of(cell)
    assert paper is not None
    ours = next(row for row in comparisons if row["metric"] == paper.metric)
    strict = comparisons[0]
    found = cell.comparison.other_arms()[paper.metric]
    theirs = published.table()[cell.task].get(cell.paper.get("model", ""))
    told = published.comparison_with(cell.task, cell.paper.get("model"))
    assert told is not None
    asked = {figure: measured(figure, ours, found, cell) for figure in ("base", "tuned", "lift")}
    agreed = {figure: agreement.agreement(given, theirs) for figure, given in asked.items()}
    figures = {figure: {"ours": ours[figure], "paper": told[f"paper_{figure}"], **asdict(each)} for figure, each in agreed.items()}
    # of many constants on a scale some score hits ours by luck, so there only the best one counts
    shares = {entry["answer"]: entry["score"] for entry in found["constants"][: None if found["zero_one"] else 1]}
    marks = {arm: published.learned_nothing(ours[arm], ours["n"], shares) for arm in ("base", "tuned")}
    best = found["constants"][0] if found["constants"] else None
    return {
        "cell": cell.name,
        "task": cell.task,
        "label": cell.label,
        "metric": paper.metric,
        "n": ours["n"],
        "interval": [ours["low"], ours["high"]],
        "figures": figures,
        "strict": {"metric": strict["metric"], "base": strict["base"], "tuned": strict["tuned"]},
        "gpt35": told["gpt35"],
        "gpt4": told["gpt4"],
        "paper_n": told["n"],
        "paper_rows": told["rows"],
        "constant": best,
        "paper_constant": told["constant"],
        "marks": {arm: mark.answer for arm, mark in marks.items() if mark},
        "paper_marks": told["marks"],
        "differs": list(paper.differs),
        "setup": setup(cell),
        "source": told["source"],
    }


def measured(figure: Any, row: Row, found: Row, cell: Cell) -> agreement.OurFigure:
    """Our figure with what the rule of agreement must know of it."""
    rows = next(iter(published.row(cell.task).values())).rows
    spread = found["spread"]
    deviations = (spread["base"], spread["tuned"]) if figure == "lift" else (spread[figure],)
    in_subset = not rows.subset or cell.task == "magicoder" or all(name.startswith(rows.subset) for name in ids(cell))
    return agreement.OurFigure(
        figure=figure,
        value=row[figure],
        n=row["n"],
        metric=next(iter(published.row(cell.task).values())).metric,
        split=rows.split,  # a task of the paper is held out on the paper's split; tests of the tasks say so
        subset=rows.subset if in_subset else "",
        zero_one=found["zero_one"],
        deviations=deviations,
        error=error(row, cell.inputs["verdict"].params["confidence"]) if figure == "lift" else None,
        otherwise=tuple(obstacles(cell, rows.n)),
    )


def ids(cell: Cell) -> list[str]:
    return [example.id for example in cell.heldout.examples()]


def error(row: Row, confidence: float) -> float | None:
    """Standard error of a lift, from the width of its bootstrap interval."""
    if row["low"] is None or row["high"] is None:
        return None
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    return float(row["high"] - row["low"]) / (2 * quantile)


def obstacles(cell: Cell, paper_rows: int) -> list[str]:
    """What was done otherwise than in the paper, such that the figures mean something else."""
    exam, paper = cell.inputs["heldout"], paper_of(cell)
    source, said = exam.facts.get("source", {}), [paper.otherwise] if paper and paper.otherwise else []
    if cell.paper.get("forced_chat"):
        said.append("another prompt form: the recipe forces the chat template on or off")
    if exam.params.get("order") != "first" and exam.facts["kept"] < exam.facts["rows"]:
        said.append(f"other rows: ours are drawn, the paper's are the first {paper_rows:,}")
    if "expected_rows" in source:
        said.append(f"another version of the data: {exam.facts['rows']:,} rows here, {source['expected_rows']:,} there")
    if cell.inputs["base"].params["quantization"] != SETUP["quantization"]:
        said.append("the paper's bases are in 4 bit, ours are not")
    return said


def setup(cell: Cell) -> list[str]:
    """In what the adapter was not trained as in the paper."""
    tune = cell.adapters[0].params
    said = [f"{key} {tune[key]} (paper: {value})" for key, value in SETUP.items() if tune[key] != value]
    on = tune["targets"] if isinstance(tune["targets"], str) else " and ".join(tune["targets"])
    return said + ([] if on in QV else [f"adapters on {on} (paper: q_proj and v_proj)"])


def reference_rows(cells: list[Cell], recipe: Row) -> list[Row]:
    """One row for every cell and reference model: its score, and the lift of tuned over it."""
    known = {entry["name"]: entry for entry in recipe["references"]}
    rows = []
    for cell in cells:
        for number, (metric, found) in enumerate(cell.comparison.other_arms().items()):
            for each in found["others"]:
                if not (model := arms.find(each["name"]).reference):
                    continue
                asked = known[model]
                told = {name: each[name] for name in ("score", "lift", "low", "high")}
                row = {"cell": cell.name, "task": cell.task, "label": cell.label, "metric": metric, "name": asked["name"], **told}
                # what was paid belongs to the answers, so it stands with their first metric only
                rows.append(row | {"model": asked["model"]} | (paid(cell, asked) if not number else dict.fromkeys(PAID)))
    return [finite(row) for row in rows]


def paid(cell: Cell, asked: Row) -> Row:
    """What the answers of a reference model took, and what that cost in US dollars by the recipe's price."""
    facts = cell.inputs[str(InputName("predictions", arms.reference(asked["name"])))].facts
    tokens = (facts["prompt_tokens"], facts["completion_tokens"])
    priced = ask.cost(facts, Price(**asked["price"])) if asked["price"] else None
    return dict(zip(PAID, (*tokens, facts["refused"], priced), strict=True))
