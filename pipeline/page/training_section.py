"""Builds the table of training: the loss curve of each adapter, thinned for display, and its cost."""

import csv
from pathlib import Path

from pipeline.measures.provenance_types import AdapterRow, Curve
from pipeline.page.cells import SHORT_KEY_DIGITS, Cell, short_key
from pipeline.store.artifact import Artifact
from pipeline.store.folders import AdapterFolder

POINTS = 4000
"""Points of all curves of one task together."""
LINE_POINTS = 160


def adapters(cells: list[Cell]) -> dict[str, AdapterRow]:
    """By short key, every adapter once, though several cells may share it."""
    per_task = {cell.task: sum(len(other.seeds) for other in cells if other.task == cell.task) for cell in cells}
    rows: dict[str, AdapterRow] = {}
    for cell in cells:
        points = max(20, min(LINE_POINTS, POINTS // per_task[cell.task]))
        for seed, adapter in cell.trainings:
            if short_key(adapter) not in rows:
                row = adapter_row(seed, adapter, points) if cell.variant is None else imported_row(cell.variant, seed, adapter)
                rows[short_key(adapter)] = row
    return rows


def adapter_row(seed: int, adapter: Artifact, points: int) -> AdapterRow:
    """points: of the curve, at most."""
    facts = adapter.facts
    return {
        "seed": seed,
        "trainable_parameters": facts["trainable_parameters"],
        "adapter_bytes": facts["adapter_bytes"],
        "steps": facts["steps"],
        "kept_step": facts.get("kept_step"),
        "dev_loss": facts.get("dev_loss"),
        "target_tokens": facts.get("target_tokens"),
        "tokens_per_second": facts.get("tokens_per_second"),
        "seconds": facts["train_seconds"],
        "curve": curve(AdapterFolder(adapter.path).curve_file, points),
        "imported": None,
    }


def imported_row(variant: str, seed: int, adapter: Artifact) -> AdapterRow:
    """What is known of an adapter or a model that was fine-tuned elsewhere; of its training nothing is."""
    facts = adapter.facts
    is_adapter = adapter.stage == "import_adapter"
    return {
        "seed": seed,
        "trainable_parameters": facts["trainable_parameters"],
        "adapter_bytes": facts["adapter_bytes" if is_adapter else "model_bytes"],
        "steps": None,
        "kept_step": None,
        "dev_loss": None,
        "target_tokens": None,
        "tokens_per_second": None,
        "seconds": None,
        "curve": {"every": 1, "train": [], "dev": []},
        "imported": {
            "variant": variant,
            "source": source_of(adapter),
            "kind": "adapter" if is_adapter else "model",
            "rank": facts["rank"] if is_adapter else [],
            "alpha": facts["alpha"] if is_adapter else None,
            "rslora": is_adapter and facts["rslora"],
            "dora": is_adapter and facts["dora"],
            "modules": sorted({name.rpartition(".")[2] for name in facts["targets"]}),
            "modules_to_save": facts["modules_to_save"] if is_adapter else [],
            "warnings": facts["warnings"],
        },
    }


def source_of(adapter: Artifact) -> str:
    """Where an adapter or a model is from: its hub id with the commit, or the name of its folder."""
    spec = adapter.params["adapter" if adapter.stage == "import_adapter" else "tuned"]
    if spec["repo"]:
        return f"{spec['repo']}@{spec['revision'][:SHORT_KEY_DIGITS]}" if spec["revision"] else spec["repo"]
    return Path(spec["folder"]).name


def curve(path: Path, points: int) -> Curve:
    """Mean training loss of every few steps, all dev losses."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    every = -(-len(rows) // points) if rows else 1
    bins = [rows[start : start + every] for start in range(0, len(rows), every)]
    train = [(int(part[-1]["step"]), sum(float(row["loss"]) for row in part) / len(part)) for part in bins]
    dev = [(int(row["step"]), float(row["dev_loss"])) for row in rows if row["dev_loss"]]
    return {"every": every, "train": train, "dev": dev}
