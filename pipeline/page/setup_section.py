"""Builds the set-up of a report: what was trained, on how many rows, with which settings and on which hardware."""

from typing import Any

from pipeline.measures.provenance_types import AdapterRow, RowsUsed, Setup
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact
from pipeline.store.records import JsonObject


def section(cells: list[Cell], adapters: dict[str, AdapterRow], recipe: JsonObject) -> Setup:
    """adapters: by short key, every training once."""
    finetune, price = recipe["finetune"], recipe["cost"]["gpu_hour"]
    seconds = sum(adapter["seconds"] for adapter in adapters.values())
    ranks = values(recipe, "finetune.rank")
    alphas = [finetune["alpha"] or ratio * rank for rank in ranks for ratio in values(recipe, "finetune.alpha_per_rank")]
    rows = {cell.inputs["train"].key + cell.inputs["heldout"].key: rows_used(cell) for cell in cells}
    return {
        "bases": list(dict.fromkeys(cell.base for cell in cells)),
        "quantization": values(recipe, "finetune.quantization"),
        "rank": ranks,
        "alpha": values(recipe, "finetune.alpha") if "finetune.alpha" in recipe["sweep"] else list(dict.fromkeys(alphas)),
        "targets": [fmt.setting(value) for value in values(recipe, "finetune.targets")],
        "learning_rate": values(recipe, "finetune.learning_rate"),
        "epochs": values(recipe, "finetune.epochs"),
        "steps": sorted({adapter["steps"] for adapter in adapters.values()}),
        "seeds": sorted({seed for cell in cells for seed in cell.seeds}),
        "rows": list(rows.values()),
        "hardware": list(dict.fromkeys(processor(adapter) for cell in cells for adapter in cell.adapters)),
        "adapters": len(adapters),
        "training_seconds": seconds,
        "training_dollars": None if price is None else price * seconds / 3600,
    }


def values(recipe: JsonObject, dotted: str) -> list[Any]:
    """The values of a recipe key: those of the sweep, or the one of the recipe."""
    section_name, _, key = dotted.partition(".")
    swept = recipe["sweep"].get(dotted)
    return list(swept) if swept else [recipe[section_name][key]]


def rows_used(cell: Cell) -> RowsUsed:
    train, heldout = cell.inputs["train"].facts, cell.inputs["heldout"].facts
    return {
        "task": cell.task,
        "train": train["examples"],
        "train_available": train.get("rows"),
        "validation": train.get("dev", 0),
        "test": heldout["examples"],
        "test_available": heldout.get("rows"),
    }


def processor(artifact: Artifact) -> str:
    """The GPU that it was made on, or the CPU where there was none."""
    gpu, cpu = artifact.provenance["gpu"], artifact.provenance["cpu"]
    return str(gpu["name"]) if gpu else f"{cpu['model']}, {cpu['cores']} cores"


def strip(setup: Setup) -> str:
    """The set-up in a line."""
    quantization = " or ".join("not quantized" if value == "none" else str(value).upper() for value in setup["quantization"])
    adapter = f"LoRA rank {several(setup['rank'])}, alpha {several(setup['alpha'])}, {' or '.join(setup['targets'])}"
    schedule = f"{several(setup['epochs'])} {'epoch' if setup['epochs'] == [1] else 'epochs'} ({span(setup['steps'])} steps)"
    seeds = f"{'seed' if len(setup['seeds']) == 1 else 'seeds'} {', '.join(map(str, setup['seeds']))}"
    price = "" if setup["training_dollars"] is None else f", {fmt.dollars(setup['training_dollars'])}"
    trained = fmt.plural(setup["adapters"], "adapter")
    return " · ".join(
        (
            f"{', '.join(setup['bases'])}, {quantization}",
            adapter,
            f"{rows_text(setup, 'train')} training rows, {rows_text(setup, 'test')} test rows",
            f"{schedule}, learning rate {several(setup['learning_rate'])}",
            seeds,
            f"{' and '.join(setup['hardware'])}: {trained} in {fmt.seconds(setup['training_seconds'])}{price}",
        )
    )


def rows_text(setup: Setup, part: str) -> str:
    """Rows used, of those available where that is known."""
    rows: list[Any] = list(setup["rows"])
    used = span(sorted({row[part] for row in rows}))
    available = [row[f"{part}_available"] for row in rows]
    return used if None in available else f"{used} of {span(sorted(set(available)))}"


def span(numbers: list[int]) -> str:
    """The smallest and the largest number."""
    ends = list(dict.fromkeys((numbers[0], numbers[-1]))) if numbers else []
    return " to ".join(fmt.count(end) for end in ends)


def several(numbers: list[Any]) -> str:
    return ", ".join(map(fmt.setting, numbers))
