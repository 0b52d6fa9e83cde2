"""Builds the table of debugged programs: their scores before and after, how many rounds it took, and the published figures beside them."""

from collections.abc import Mapping

from pipeline import arms
from pipeline.lora_land import published_debugging
from pipeline.measures.cell_types import CellRow, DebuggedRow
from pipeline.page import fmt
from pipeline.page.cells import Cell, json_safe
from pipeline.store.figure_types import DebuggedScores
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject

UNITS = {"block": "basic blocks", "line": "lines", "function": "calls"}


def section(cell: Cell, recipe: JsonObject) -> list[DebuggedRow]:
    """The debugged arms of a cell."""
    return [json_safe(row(scores, cell, recipe["debug"])) for scores in cell.comparison.debugging()]


def row(scores: DebuggedScores, cell: Cell, debug: Mapping[str, str | None]) -> DebuggedRow:
    artifact = cell.inputs[str(InputName("predictions", scores["arm"]))]
    facts, reference = artifact.facts, arms.find(scores["arm"]).reference
    return {
        **scores,
        "by": debug["by"] if debug["by"] and debug["by"] != reference else "",
        "level": artifact.params["level"],
        "n": facts["examples"],
        "without_tests": facts["without_tests"],
        "too_long": facts["too_long"],
        "hidden_shown": facts["hidden_shown"],
        "visible_before": facts["visible_before"],
        "visible_after": facts["visible_after"],
        "repairs": facts["repairs"],
        "rounds": facts["rounds"],
        "tokens": facts["debugging_tokens"],
        "prompt_tokens": facts["debugging_prompt_tokens"],
    }


def programs_of(row: DebuggedRow, cell: CellRow) -> str:
    """The arm that wrote the programs, as tables call it."""
    return arms.find(arms.find(row["arm"]).debugs, cell["constraint"]).label


def rounds_text(row: DebuggedRow) -> str:
    mean = mean_rounds(row)
    return "-" if mean is None else fmt.number(mean, 1)


def mean_rounds(row: DebuggedRow) -> float | None:
    """Rounds of the programs that were debugged at all; None where none was."""
    by_rounds = {int(number): count for number, count in row["rounds"].items() if number != "0"}
    total = sum(by_rounds.values())
    return sum(number * count for number, count in by_rounds.items()) / total if total else None


def notes(cell: CellRow) -> list[str]:
    """What to know before relying on the figures of a cell."""
    rows = cell["debugging"]
    texts = []
    if leaks := max(row["hidden_shown"] for row in rows):
        texts.append(
            f"{cell['label']}: {fmt.count(leaks)} of {fmt.plural(rows[0]['n'], 'prompt')} show all the tests that programs are scored by. "
            "Debugging with them is no evidence of programs that are right on other inputs."
        )
    if without := max(row["without_tests"] for row in rows):
        texts.append(
            f"{cell['label']}: {fmt.plural(without, 'answer')} could not be debugged: no test in the prompt, or no code in the answer."
        )
    if too_long := max(row["too_long"] for row in rows):
        texts.append(f"{cell['label']}: {fmt.plural(too_long, 'program')} could not be debugged, as no query fits into the context window.")
    return texts


def published(cells: list[CellRow]) -> list[published_debugging.PublishedRepair]:
    """The published figures on HumanEval, where a cell with debugged programs is scored on it."""
    has_humaneval = any(cell["debugging"] and cell["task"] == published_debugging.TASK for cell in cells)
    return published_debugging.rows() if has_humaneval else []
