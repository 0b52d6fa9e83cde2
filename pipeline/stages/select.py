"""Selects, by the validation loss of trials, the values that the adapter of a task is trained with at a point of a sweep."""

from typing import Any

from pipeline.machine import Work
from pipeline.measures import selection
from pipeline.store.artifact import Artifact
from pipeline.store.result_folders import SelectionFolder
from pipeline.store.selection_types import Rung, TrialRow
from pipeline.store.trial_folder import TrialFolder


def run(work: Work) -> dict[str, Any]:
    params = work.params
    trials = [trial_row(work, row) for row in params["trials"]]
    place = selection.chosen(trials)
    SelectionFolder(work.out).write_selection(
        {
            "keys": params["keys"],
            "sampler": params["sampler"],
            "halving": params["halving"],
            "seed": params["seed"],
            "trials": trials,
            "chosen": place,
        }
    )
    return {
        "trials": len(trials),
        "values": trials[place]["values"],
        "dev_loss": selection.last_loss(trials[place]),
        "train_seconds": round(sum(train_seconds(work, row) for row in params["trials"]), 2),
    }


def train_seconds(work: Work, row: dict[str, Any]) -> float:
    """What a trial took: that of its last rung counts from the start, that of one which diverged is not known and counts as 0."""
    return float(Artifact.open(work.inputs[row["rungs"][-1]["input"]]).facts.get("train_seconds", 0.0))


def trial_row(work: Work, row: dict[str, Any]) -> TrialRow:
    """A trial with its results.

    Args:
        row: {values, rungs: [{part, input: name of the input with its result}]}.
    """
    rungs: list[Rung] = [{"part": rung["part"], **TrialFolder(work.inputs[rung["input"]]).result()} for rung in row["rungs"]]
    return {"values": row["values"], "rungs": rungs}
