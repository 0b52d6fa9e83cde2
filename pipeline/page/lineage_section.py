"""Where every figure comes from: artifacts, and the computers and packages that made them."""

import json
from typing import Any

from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact

ORDER = ("prepare", "finetune", "generate", "refer", "relate", "forget", "speed", "compare")
ALIKE = ("python", "system", "packages", "cpu", "gpu")
"""What two artifacts made in the same surroundings share."""


def artifacts(cells: list[Cell]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All inputs, each once, in the order of the cells; and the distinct surroundings that they were made in."""
    surroundings: dict[str, dict[str, Any]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        for source, artifact in sorted(cell.inputs.items(), key=lambda item: ORDER.index(item[1].stage)):
            if artifact.key not in rows:
                rows[artifact.key] = row(artifact, surroundings)
            rows[artifact.key]["inputs"].append(f"{cell.name}.{source}")
    return list(rows.values()), list(surroundings.values())


def row(artifact: Artifact, surroundings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    made = artifact.made
    found = {name: made[name] for name in ALIKE}
    spelled = json.dumps(found, sort_keys=True)
    if spelled not in surroundings:
        surroundings[spelled] = {"name": letters(len(surroundings)), **found}
    return {
        "stage": artifact.stage,
        "folder": artifact.path.name,
        "key": artifact.key,
        "digest": artifact.digest,
        "version": artifact.version,
        "at": made["at"],
        "seconds": made["seconds"],
        "peak": made["peak"],
        "git": made["git"],
        "machine": made["machine"],
        "surroundings": surroundings[spelled]["name"],
        "lineage": artifact.lineage,
        "inputs": [],
    }


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    return (letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def costs(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds by stage."""
    there = {made["stage"] for made in rows}
    return {stage: round(sum(made["seconds"] for made in rows if made["stage"] == stage), 3) for stage in ORDER if stage in there}
