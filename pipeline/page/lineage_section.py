"""Lists the artifacts behind every figure, with the computers and packages that made them."""

import json
from typing import Any

from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact

ALIKE = ("python", "system", "packages", "cpu", "gpu")
"""What two artifacts made in the same surroundings share."""


def artifacts(cells: list[Cell]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All inputs, each once, in the order of the cells and of their stages; and the distinct surroundings that they were made in."""
    surroundings: dict[str, dict[str, Any]] = {}
    rows: dict[str, dict[str, Any]] = {}
    order = stages_of(cells)
    for cell in cells:
        for source, artifact in sorted(cell.inputs.items(), key=lambda item: order.index(item[1].stage)):
            if artifact.key not in rows:
                rows[artifact.key] = row(artifact, surroundings)
            rows[artifact.key]["inputs"].append(f"{cell.name}.{source}")
    return list(rows.values()), list(surroundings.values())


def stages_of(cells: list[Cell]) -> list[str]:
    """The stages as the plan has them, since a cell names its inputs in the order of the plan."""
    return list(dict.fromkeys(artifact.stage for cell in cells for artifact in cell.inputs.values()))


def row(artifact: Artifact, surroundings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    provenance = artifact.provenance
    shared = {name: provenance[name] for name in ALIKE}
    spelled = json.dumps(shared, sort_keys=True)
    if spelled not in surroundings:
        surroundings[spelled] = {"name": letters(len(surroundings)), **shared}
    return {
        "stage": artifact.stage,
        "folder": artifact.path.name,
        "key": artifact.key,
        "digest": artifact.digest,
        "version": artifact.version,
        "at": provenance["at"],
        "seconds": provenance["seconds"],
        "peak": provenance["peak"],
        "git": provenance["git"],
        "machine": provenance["machine"],
        "surroundings": surroundings[spelled]["name"],
        "lineage": artifact.lineage,
        "inputs": [],
    }


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    return (letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def costs(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds by stage, in the order of the rows."""
    seconds: dict[str, float] = {}
    for artifact in rows:
        seconds[artifact["stage"]] = seconds.get(artifact["stage"], 0.0) + artifact["seconds"]
    return {stage: round(total, 3) for stage, total in seconds.items()}
