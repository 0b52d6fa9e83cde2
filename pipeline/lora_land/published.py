"""Reads the published LoRA Land numbers: 31 tasks by ten tuned bases and two GPT models.

Also tells which of them a constant answer reaches.

Source: arXiv 2405.00732, Table 12; data/published/README.md says what the columns mean and where the paper contradicts itself.
Scores are fractions of 1, printed to three digits.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pipeline.errors import RecipeError, suggest
from pipeline.resources import shipped

FOLDER = shipped("data/published")
SOURCE = "arXiv 2405.00732, Table 12"
GPT = ("gpt-3.5-turbo", "gpt-4")
Arm = Literal["base", "tuned"]


@dataclass(frozen=True)
class ScoredRows:
    """The rows that the paper scored a task on."""

    split: str
    subset: str
    """The part or data set that all of them come from, where it is not the task's own as a whole."""
    n: int
    evidence: str
    """`scores` (the printed scores fit these rows alone), `rule` (the first 1,000 of the split: inferred), or `guess`."""

    @property
    def is_certain(self) -> bool:
        return self.evidence != "guess"


@dataclass(frozen=True)
class ConstantAnswer:
    """A constant answer and its score."""

    answer: str
    score: float
    rows: int


@dataclass(frozen=True)
class PublishedScore:
    """The published score of one model on one task."""

    task: str
    category: str
    metric: str
    """The paper's key: rouge, accuracy, mae or humaneval."""
    model: str
    score: float
    """Of the tuned model; of the model as it is for GPT."""
    lift: float | None
    """None for GPT."""
    rows: ScoredRows

    @property
    def base(self) -> float | None:
        """Exact where it can be checked: a whole number of right answers in all tasks whose row count is known from the scores."""
        return None if self.lift is None else round(self.score - self.lift, 3)

    @property
    def n(self) -> int:
        return self.rows.n


def describe_rows(rows: ScoredRows) -> str:
    """Which rows the paper scored, and how that is known."""
    part = f" of {rows.subset}" if rows.subset else ""
    how = {
        "scores": "the printed scores fit these rows alone",
        "rule": "inferred: the published code takes the first 1,000, or all where there are fewer",
        "guess": "inferred from the scores; the split was never published",
    }
    return f"The paper scored {rows.n:,} rows of {rows.split}{part} ({how[rows.evidence]})."


def tasks() -> list[str]:
    """All 31, in the order of the paper."""
    return list(table())


def models() -> list[str]:
    """The ten bases, in the order of the paper."""
    return [model for model in next(iter(table().values())) if model not in GPT]


@cache
def table() -> dict[str, dict[str, PublishedScore]]:
    """Every cell by task and model; the file is read once."""
    rows = {row["task"]: ScoredRows(row["split"], row["subset"], int(row["rows"]), row["evidence"]) for row in read("rows.csv")}
    cells: dict[str, dict[str, PublishedScore]] = {}
    for row in read("lora_land.csv"):
        lift = float(row["lift"]) if row["lift"] else None
        cell = PublishedScore(row["task"], row["category"], row["metric"], row["model"], float(row["score"]), lift, rows[row["task"]])
        cells.setdefault(cell.task, {})[cell.model] = cell
    return cells


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def row(task: str) -> dict[str, PublishedScore]:
    """The twelve cells of a task by model. Raises RecipeError, with the nearest name, if the paper has no such task."""
    if task not in table():
        raise RecipeError(f"The paper has no task '{task}'.", suggest(task, tasks()))
    return table()[task]


def cell(task: str, model: str) -> PublishedScore:
    """Raises RecipeError, with the nearest name, if the paper has no such task or model."""
    if model not in row(task):
        raise RecipeError(f"The paper has no model '{model}'.", suggest(model, [*models(), *GPT]))
    return row(task)[model]


def gpt(task: str) -> tuple[float, float]:
    """Scores of GPT-3.5-Turbo and GPT-4 on the same prompts."""
    gpt35, gpt4 = (cell(task, model).score for model in GPT)
    return gpt35, gpt4


def scores_with_lift(task: str) -> list[tuple[PublishedScore, float, float]]:
    """The ten tuned cells of a task, each with its base score and lift."""
    return [(cell, cell.base, cell.lift) for cell in row(task).values() if cell.base is not None and cell.lift is not None]


@cache
def constants(task: str) -> tuple[ConstantAnswer, ...]:
    """The known constant answers, best first; none for free text and where the scored rows were not available."""
    answers = [ConstantAnswer(row["answer"], float(row["score"]), int(row["rows"])) for row in read("constants.csv") if row["task"] == task]
    return tuple(sorted(answers, key=lambda constant: -constant.score))


def constant_marks(cell: PublishedScore) -> dict[Arm, ConstantAnswer]:
    """The arms of a cell that score, to three digits, what a constant answer does: these have `learned nothing`.

    The equality is strong evidence and no proof: a model that guesses evenly between two even classes hits their share by
    luck in 2.5 % of cases on 1,000 rows and in 9.5 % on 71 (the highest point of the binomial distribution).
    """
    scores: dict[Arm, float | None] = {"base": cell.base, "tuned": cell.score}
    shares = {constant.answer: constant.score for constant in constants(cell.task)}
    marks = {arm: learned_nothing(score, cell.n, shares) for arm, score in scores.items() if score is not None}
    return {arm: constant for arm, constant in marks.items() if constant}


def learned_nothing(score: float, n: int, shares: Mapping[str, float]) -> ConstantAnswer | None:
    """The constant answer that scores the same to three digits, if there is one; the rule of the published cells for our own.

    Args:
        score: of a model on n examples.
        shares: what each constant answer scores on the same examples: of labels the share of each, of numbers on a scale
            (mae) the best constant alone, since among many constants some score hits by luck.
    """
    return next((ConstantAnswer(answer, share, n) for answer, share in shares.items() if f"{share:.3f}" == f"{score:.3f}"), None)


def all_constant_marks() -> list[tuple[PublishedScore, Arm, ConstantAnswer]]:
    """Every published score that a constant answer reaches, in the order of the paper."""
    cells = [cell for task in tasks() for cell in row(task).values()]
    return [(cell, arm, constant) for cell in cells for arm, constant in constant_marks(cell).items()]


def comparison_with(task: str, model: str | None) -> dict[str, Any] | None:
    """The paper's scores of a task and a base, to show next to ours; None if it has no such task.

    A base that is not in the paper (or None) leaves paper_base, paper_tuned and paper_lift None. `constant` is the best
    constant answer {answer, score, rows} or None; `marks` maps the arms that score no more than a constant to its answer.
    """
    if task not in table():
        return None
    cell = table()[task].get(model or "")
    any_cell = next(iter(table()[task].values()))
    best = next(iter(constants(task)), None)
    gpt35, gpt4 = gpt(task)
    return {
        "paper_base": cell.base if cell else None,
        "paper_tuned": cell.score if cell else None,
        "paper_lift": cell.lift if cell else None,
        "gpt35": gpt35,
        "gpt4": gpt4,
        "n": any_cell.n,
        "rows": describe_rows(any_cell.rows),
        "constant": vars(best) if best else None,
        "marks": {arm: constant.answer for arm, constant in constant_marks(cell).items()} if cell else {},
        "source": SOURCE,
    }
