"""Builds the table of what was tuned for each cell, and says by what it was chosen and at which budget."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from pipeline.errors import ComparisonError
from pipeline.measures import selection
from pipeline.measures.tuning_types import TuningRow
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.store.result_folders import SelectionFolder
from pipeline.store.selection_types import Selection, TrialRow

INPUT = "selection"
TARGETS = "targets"
"""A key whose value in a recipe may be a word for a list of modules."""


def section(cells: Sequence[Cell]) -> list[TuningRow]:
    """One row for each cell with something tuned.

    Raises:
        ComparisonError: a choice does not follow from its trials, or its adapters were trained with other values.
    """
    return [row(cell, SelectionFolder(cell.inputs[INPUT].path).selection()) for cell in cells if INPUT in cell.inputs]


def row(cell: Cell, record: Selection) -> TuningRow:
    check(cell, record)
    trials, place = record["trials"], record["chosen"]
    last = trials[place]["rungs"][-1]
    losses = {seed: adapter.facts.get("dev_loss") for seed, adapter in cell.trainings}
    dev_losses = [losses[record["seed"]], *(loss for seed, loss in losses.items() if seed != record["seed"])]
    built: TuningRow = {
        **record,
        "cell": cell.name,
        "label": cell.label,
        "values": trials[place]["values"],
        "trainings": selection.trainings(trials),
        "seconds": cell.inputs[INPUT].facts.get("train_seconds"),
        "runner_up": runner_up(trials, place, last["part"]),
        "at_edge": [key for key in record["keys"] if is_number(trials, key) and selection.is_at_the_edge(trials, key, place)],
        "dev_losses": dev_losses,
        "optimism": selection.optimism(dev_losses),
        "sentence": "",
    }
    return {**built, "sentence": sentence(built)}


def check(cell: Cell, record: Selection) -> None:
    """Raise ComparisonError unless the choice follows from the trials, and the adapters were trained with it."""
    chosen = selection.chosen(record["trials"])
    if chosen != record["chosen"]:
        problem = f"{cell.label}: trial {record['chosen']} was chosen, and by the validation losses it is trial {chosen}"
        raise ComparisonError(problem, "Delete the folder of the selection and run the recipe again.")
    for key, value in record["trials"][chosen]["values"].items():
        name = key.partition(".")[2]
        trained = [adapter.params.get(name, value) for adapter in cell.adapters if name != TARGETS]
        if other := next((one for one in trained if one != value), None):
            problem = f"{cell.label}: {key} {value} was chosen, and an adapter was trained with {other}"
            raise ComparisonError(problem, "Run the recipe again.")


def runner_up(trials: Sequence[TrialRow], place: int, part: int) -> float | None:
    """The lowest validation loss at the same part of the steps, but for that of the chosen trial."""
    losses = (rung["dev_loss"] for number, trial in enumerate(trials) if number != place for rung in trial["rungs"] if rung["part"] == part)
    return min((loss for loss in losses if loss is not None), default=None)


def is_number(trials: Sequence[TrialRow], key: str) -> bool:
    return all(isinstance(trial["values"][key], int | float) and not isinstance(trial["values"][key], bool) for trial in trials)


def sentence(built: TuningRow) -> str:
    """What was chosen for a cell, by which loss, after how many steps."""
    last = built["trials"][built["chosen"]]["rungs"][-1]
    loss = "unknown" if last["dev_loss"] is None else f"{last['dev_loss']:.4f}"
    other = "all others diverged" if built["runner_up"] is None else f"the next best {built['runner_up']:.4f}"
    text = f"{built['label']}: {fmt.coordinates(built['values'])}, validation loss {loss} after {steps(last)}, {other}."
    edges = " and ".join(fmt.key_label(key) for key in built["at_edge"])
    return f"{text} It is at the edge of what was tried for {edges}, so a better one may lie beyond." if edges else text


def short_sentence(built: TuningRow) -> str:
    """`learning rate 0.002 chosen, at the edge of what was tried`."""
    return f"{fmt.coordinates(built['values'])} chosen{', at the edge of what was tried' if built['at_edge'] else ''}"


def steps(rung: Any) -> str:
    """`25 of 50 steps`."""
    return f"{rung['steps']:,} of {fmt.plural(rung['total_steps'], 'step')}"


def budget_sentence(rows: Sequence[TuningRow]) -> str:
    """How values were chosen, and that every cell had the same budget."""
    first = rows[0]
    keys, count = " and ".join(map(fmt.key_label, first["keys"])), len(first["trials"])
    ways = {"tpe": f"{count} trials one after the other (TPE of Optuna)"}
    way = ways.get(first["sampler"] or "", f"{count} values")
    halving = f", by successive halving (one in {first['halving']} goes on)" if first["halving"] else ""
    budgets = sorted({round(one["trainings"], 4) for one in rows})
    amount = " to ".join(f"{budget:.4g}" for budget in dict.fromkeys((budgets[0], budgets[-1])))
    same = "the same budget" if len(budgets) == 1 else "budgets that differ"
    return (
        f"Chosen by the validation loss of training seed {first['seed']}, for each task and point by itself: {keys}, {way}{halving}. "
        f"All had {same}: the steps of {amount} whole trainings. No test example was read for it."
    )


def optimism_sentence(rows: Sequence[TuningRow]) -> str:
    """What the validation losses of chosen values may flatter themselves by."""
    measured = [one["optimism"] for one in rows if one["optimism"] is not None]
    if len(measured) < len(rows):
        return (
            "The validation loss of a chosen value is the lowest of several and so flatters it; by how much cannot be said with one "
            "training seed. Lifts do not share this: they come from test examples."
        )
    others = len(rows[0]["dev_losses"]) - 1
    have = f"{fmt.plural(others, 'seed')} trained after the choice {'has' if others == 1 else 'have'}"
    return (
        f"The validation loss of a chosen value is the lowest of several and so flatters it: {have} one that differs by "
        f"{fmean(measured):+.4f} nats/token on average, on the same validation "
        "examples. Lifts do not share this: they come from test examples."
    )


def trial_rows(rows: Sequence[TuningRow]) -> list[tuple[TuningRow, TrialRow, bool]]:
    """Every trial with whether it was chosen, for the table."""
    return [(one, trial, place == one["chosen"]) for one in rows for place, trial in enumerate(one["trials"])]
