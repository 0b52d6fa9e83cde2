"""Says what is unknown or doubtful of adapters and models that were fine-tuned elsewhere, and of predictions from elsewhere."""

from collections.abc import Sequence

from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.page.training_section import source_of

MAX_NAMES = 6
"""More variants than these are counted in a sentence, not named."""


def fit_warning(cell: Cell) -> str:
    """What is doubtful of the adapter of a cell by its own files; empty if nothing is."""
    if cell.variant is None:
        return ""
    return " ".join(dict.fromkeys(text for adapter in cell.adapters for text in adapter.facts["warnings"]))


def quantized_warning(cell: Cell) -> str:
    """That 4 bit may have cost a whole model what it had learned; empty for what is none, or not quantized."""
    if not cell.is_whole_model or cell.tuned_predictions[0].params.get("quantization") == "none":
        return ""
    return (
        f"{cell.variant} is quantized here as the base is, which can erase a part of what it has learned, most of all where an adapter was "
        "merged into it. Its score is that of the quantized model; generate.quantization: none compares both as they are."
    )


def unknown_training(cells: Sequence[Cell]) -> list[str]:
    """A warning that names the variants of which no training rows are known; none where all are known."""
    names = list(dict.fromkeys(cell.variant for cell in cells if cell.variant is not None and "overlap" not in cell.inputs))
    if not names:
        return []
    listed = fmt.enumerated(names) if len(names) <= MAX_NAMES else fmt.plural(len(names), "variant")
    was, it, its = ("was", "it", "its") if len(names) == 1 else ("were", "they", "their")
    return [
        f"It is unknown what {listed} {was} trained on, so nobody can say whether {it} saw test examples. "
        f"Name {its} training rows with variants: train, and they are searched for duplicates."
    ]


def overlap_warning(cell: Cell) -> str:
    """How many test prompts the training rows of a variant hold; empty where that is unknown or none are."""
    if cell.variant is None or "overlap" not in cell.inputs:
        return ""
    facts = cell.inputs["overlap"].facts
    if not facts["copied"]:
        return ""
    name = f"{cell.variant} ({', '.join(map(source_of, cell.adapters))})" if cell.adapters else str(cell.variant)
    copies = f"{facts['overlap_exact']:,} exact and {facts['overlap_near']:,} near duplicates"
    prompts = f"{facts['copied']:,} of the {facts['heldout']:,} test prompts"
    return f"The training rows of {name} hold {copies} of {prompts}, so its score may be memory."
