"""Says of predictions from elsewhere which files they are from, how they were paired with test rows, and what is unknown of them."""

from pipeline.measures.provenance_types import ImportedPredictions
from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact
from pipeline.store.folders import PredictionsFolder

UNKNOWN = (
    "Predictions come from files: nothing is known of the models, prompts, decoding and seeds behind them, nor whether base and fine-tuned "
    "had the same."
)
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


def names(cell: Cell) -> str:
    """Which files a cell compares, and which are paired by their order alone."""
    rows = section(cell)
    files = ", ".join(dict.fromkeys(row["file"] for row in rows[1:]))
    return f"Base stands for the predictions of {rows[0]['file']}, fine-tuned for those of {rows[1]['name']} ({files}).{order_note(rows)}"


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


def unknown_warning(cell: Cell) -> str:
    """What is unknown of predictions; empty where a model answered."""
    return UNKNOWN if cell.has_predictions_alone else ""


def not_measured_note(cell: Cell) -> str:
    """What is not measured without a model; empty where one answered."""
    return NOT_MEASURED if cell.has_predictions_alone else ""


def order_note(rows: list[ImportedPredictions]) -> str:
    """A note on files whose order alone says which row they answer; empty without any."""
    files = list(dict.fromkeys(row["file"] for row in rows if row["paired_by"] == "order"))
    if not files:
        return ""
    return f" Answers of {' and '.join(files)} are paired with test rows by their order alone: another order would be seen in no figure."
