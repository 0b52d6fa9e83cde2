"""Lists the artifacts behind every figure, with the computers and packages that made them."""

import json

from pipeline.measures.provenance_types import ArtifactRow, Environment
from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact
from pipeline.store.records import JsonObject

ENVIRONMENT_KEYS = ("python", "system", "packages", "cpu", "gpu")
"""Two artifacts with equal values here come from the same environment."""


def artifacts(cells: list[Cell]) -> tuple[list[ArtifactRow], list[Environment]]:
    """The distinct inputs, in the order of the cells and of their stages; and the distinct environments that they come from."""
    environments: dict[str, Environment] = {}
    rows: dict[str, ArtifactRow] = {}
    order = stages_of(cells)
    for cell in cells:
        for source, artifact in sorted(cell.inputs.items(), key=lambda item: order.index(item[1].stage)):
            if artifact.key not in rows:
                rows[artifact.key] = artifact_row(artifact, environments)
            rows[artifact.key]["inputs"].append(f"{cell.name}.{source}")
    return list(rows.values()), list(environments.values())


def stages_of(cells: list[Cell]) -> list[str]:
    """The stages in the order of the plan, which is that of a cell's inputs."""
    return list(dict.fromkeys(artifact.stage for cell in cells for artifact in cell.inputs.values()))


def artifact_row(artifact: Artifact, environments: dict[str, Environment]) -> ArtifactRow:
    """An artifact in report.json; a new environment is added to `environments`, whose keys are canonical JSON."""
    provenance = artifact.provenance
    canonical = json.dumps({name: provenance[name] for name in ENVIRONMENT_KEYS}, sort_keys=True)
    if canonical not in environments:
        environments[canonical] = environment_row(letters(len(environments)), provenance)
    return {
        "stage": artifact.stage,
        "folder": artifact.path.name,
        "key": artifact.key,
        "digest": artifact.digest,
        "version": artifact.version,
        "made_at": provenance["at"],
        "seconds": provenance["seconds"],
        "peak": provenance["peak"],
        "git": provenance["git"],
        "machine": provenance["machine"],
        "surroundings": environments[canonical]["name"],
        "lineage": artifact.lineage,
        "inputs": [],
    }


def environment_row(name: str, provenance: JsonObject) -> Environment:
    return {
        "name": name,
        "python": provenance["python"],
        "system": provenance["system"],
        "packages": provenance["packages"],
        "cpu": provenance["cpu"],
        "gpu": provenance["gpu"],
    }


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    return (letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def seconds_by_stage(rows: list[ArtifactRow]) -> dict[str, float]:
    """Seconds of work by stage, in the order of the rows."""
    seconds: dict[str, float] = {}
    for artifact in rows:
        seconds[artifact["stage"]] = seconds.get(artifact["stage"], 0.0) + artifact["seconds"]
    return {stage: round(total, 3) for stage, total in seconds.items()}
