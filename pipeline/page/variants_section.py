"""Says what is unknown or doubtful of adapters and models that were fine-tuned elsewhere, and of predictions from elsewhere."""

from pipeline.page import predictions_section
from pipeline.page.cells import Cell
from pipeline.page.training_section import source_of


def warning(cell: Cell) -> str:
    """What is doubtful of the adapter of a cell, by its own files and by what it was trained on; empty if nothing is."""
    if cell.variant is None:
        return ""
    if cell.has_predictions_alone:
        return f"{predictions_section.names(cell)} {overlap_text(cell)}".strip()
    own = dict.fromkeys(text for adapter in cell.adapters for text in adapter.facts["warnings"])
    return " ".join([*own, overlap_text(cell)]).strip()


def overlap_text(cell: Cell) -> str:
    """Whether an adapter saw test prompts in training, as far as that is known; empty where it is known that it saw none."""
    name = f"{cell.variant} ({', '.join(map(source_of, cell.adapters))})" if cell.adapters else str(cell.variant)
    if "overlap" not in cell.inputs:
        return (
            f"It is unknown what {name} was trained on, so nobody can say whether it saw test examples. "
            "Name its training rows with variants: train, and they are searched for duplicates."
        )
    facts = cell.inputs["overlap"].facts
    if not facts["copied"]:
        return ""
    copies = f"{facts['overlap_exact']:,} exact and {facts['overlap_near']:,} near duplicates"
    prompts = f"{facts['copied']:,} of the {facts['heldout']:,} test prompts"
    return f"The training rows of {name} hold {copies} of {prompts}, so its score may be memory."
