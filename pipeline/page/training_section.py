"""Builds the table of training: the loss curve of each adapter, thinned for display, and its cost."""

import csv
from pathlib import Path
from typing import Any

from pipeline.page.cells import Cell, short
from pipeline.store.artifact import Artifact
from pipeline.store.folders import AdapterFolder

POINTS = 4000
"""Points of all curves of one task together."""
LINE_POINTS = 160


def adapters(cells: list[Cell]) -> dict[str, dict[str, Any]]:
    """By short key, every adapter once, though several cells may share it."""
    per_task = {cell.task: sum(len(other.seeds) for other in cells if other.task == cell.task) for cell in cells}
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        points = max(20, min(LINE_POINTS, POINTS // per_task[cell.task]))
        for seed, adapter in zip(cell.seeds, cell.adapters, strict=True):
            if short(adapter) not in rows:
                rows[short(adapter)] = {"seed": seed, **price(adapter), "curve": curve(AdapterFolder(adapter.path).curve_file, points)}
    return rows


def price(adapter: Artifact) -> dict[str, Any]:
    """What training took: steps, tokens, seconds, and the size of the adapter."""
    facts = adapter.facts
    required = {name: facts[name] for name in ("trainable_parameters", "adapter_bytes", "steps")}
    optional = {name: facts.get(name) for name in ("kept_step", "dev_loss", "target_tokens", "tokens_per_second")}
    return required | optional | {"seconds": facts["train_seconds"]}


def curve(path: Path, points: int) -> dict[str, Any]:
    """Mean training loss of every few steps, all dev losses.

    Returns:
        {"every": steps a point, "train": [[last step, loss], ...], "dev": [[step, loss], ...]}
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    every = -(-len(rows) // points) if rows else 1
    bins = [rows[start : start + every] for start in range(0, len(rows), every)]
    train = [[int(part[-1]["step"]), sum(float(row["loss"]) for row in part) / len(part)] for part in bins]
    dev = [[int(row["step"]), float(row["dev_loss"])] for row in rows if row["dev_loss"]]
    return {"every": every, "train": train, "dev": dev}
