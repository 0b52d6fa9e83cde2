"""Says of predictions from elsewhere which files they are from, how they were paired with test rows, and what is unknown of them."""

from collections.abc import Sequence

from pipeline.measures.provenance_types import ImportedPredictions
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact
from pipeline.store.folders import PredictionsFolder

UNKNOWN = "Nothing is known of the models, prompts, decoding and seeds behind them, nor whether these were the same."
MAX_FILES = 6
"""Up to this many files are named in a warning."""
NOT_MEASURED = "There is no adapter to check; latency, cost, prompt relevance and regressions on other tasks were not measured."


def section(cell: Cell) -> list[ImportedPredictions]:
    """The files of a cell, base first; none where a model answered."""
    if not cell.has_predictions_alone:
        return []
    tuned = [(cell.tuned_name(seed), artifact) for seed, artifact in zip(cell.seeds, cell.tuned_predictions, strict=True)]
    return [row("base", "base", cell.inputs["base"]), *(row(arm, str(cell.variant), artifact) for arm, artifact in tuned)]


def row(arm: str, name: str, artifact: Artifact) -> ImportedPredictions:
    facts = artifact.facts
    return {
        "arm": arm,
        "name": name,
        "file": facts["file"],
        "format": facts["format"],
        "paired_by": facts["paired_by"],
        "answers": facts["examples"],
        "unused": facts["unused"],
        "unknown": facts["unknown"],
    }


def repeated_warning(cell: Cell) -> str:
    """A warning where files hold the same answers: they are one run, and no second seed; empty where none do."""
    if not cell.has_predictions_alone:
        return ""
    files: dict[str, list[str]] = {}
    for artifact in (cell.inputs["base"], *cell.tuned_predictions):
        files.setdefault(artifact.files[PredictionsFolder.PREDICTIONS], []).append(artifact.facts["file"])
    same = [names for names in files.values() if len(names) > 1]
    return " ".join(
        f"{' and '.join(names)} hold the same answers: they are one run, so their agreement says nothing of seeds." for names in same
    )


def unknown_warnings(cells: Sequence[Cell]) -> list[str]:
    """Which files are compared, what is unknown of them, and which are paired by their order alone; empty where a model answered."""
    rows = [row for cell in cells for row in section(cell)]
    if not rows:
        return []
    files = list(dict.fromkeys(f"{row['name']} ({row['file']})" for row in rows))
    listed = f"files: {fmt.enumerated(files)}" if len(files) <= MAX_FILES else fmt.plural(len(files), "file")
    by_order = list(dict.fromkeys(row["file"] for row in rows if row["paired_by"] == "order"))
    named = fmt.enumerated(by_order) if len(by_order) <= MAX_FILES else fmt.plural(len(by_order), "file")
    order = f"Answers of {named} are paired with test rows by order alone: if their order is another, no figure shows it."
    return [f"Predictions come from {listed}. {UNKNOWN}", *([order] if by_order else [])]


def not_measured_note(cell: Cell) -> str:
    """What is not measured without a model; empty where one answered."""
    return NOT_MEASURED if cell.has_predictions_alone else ""
