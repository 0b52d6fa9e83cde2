"""Builds report.json: everything on the page, except the texts of the examples."""

from pipeline.measures.claims import Claim
from pipeline.page import (
    arms_section,
    checks_section,
    claims_section,
    cost_section,
    fmt,
    lineage_section,
    other_tasks_section,
    published_section,
    size_section,
    sweep_section,
    training_section,
)
from pipeline.page.cells import Cell, short
from pipeline.scoring.verdict import VERDICTS
from pipeline.store.records import JsonObject

SCHEMA = 3
"""Raised when a key of report.json changes its meaning or goes away."""


def report(
    recipe: JsonObject, cells: list[Cell], comparisons: dict[str, list[JsonObject]], claims: list[Claim], examples: dict[str, JsonObject]
) -> JsonObject:
    """report.json.

    Args:
        comparisons: by cell, primary first.
        claims: the family, with verdicts.
        examples: by cell, what `examples.read` found.
    """
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    cells = sorted(cells, key=lambda cell: tasks.index(cell.task))
    rows = [described(cell, comparisons[cell.name], recipe) | {"examples": examples[cell.name]} for cell in cells]
    artifacts, surroundings = lineage_section.artifacts(cells)
    trained = training_section.adapters(cells)
    verdicts = [claim.verdict for claim in claims if claim.kind == "lift"]
    return {
        "schema": SCHEMA,
        "name": recipe["name"],
        "title": recipe["question"] or f"What did fine-tuning change? ({recipe['name']})",
        "bases": list(dict.fromkeys(cell.base for cell in cells)),
        "at": max(made["at"] for made in artifacts),
        "confidence": recipe["compare"]["confidence"],
        "correction": recipe["compare"]["correction"],
        "family": len(claims),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
        "warnings": checks_section.warnings(cells, recipe),
        "notes": checks_section.notes(cells, recipe),
        **claims_section.section(cells, rows, claims),
        "cells": rows,
        "published": published_section.published_rows(cells, comparisons),
        "references": published_section.reference_rows(cells, recipe),
        "sweep": sweep_section.section(recipe, rows, trained),
        "learning": size_section.section(cells, comparisons, recipe),
        "adapters": trained,
        "data": checks_section.data_sets(cells),
        "recipe": recipe,
        "artifacts": artifacts,
        "surroundings": surroundings,
        "seconds": lineage_section.seconds_by_stage(artifacts),
    }


def described(cell: Cell, comparisons: list[JsonObject], recipe: JsonObject) -> JsonObject:
    """A cell's own part of report.json."""
    corrected = recipe["compare"]["correction"]
    scored = arms_section.rows(cell, comparisons)
    return {
        "cell": cell.name,
        "task": cell.task,
        "base": cell.base,
        "where": cell.where,
        "coordinates": cell.coordinates,
        "label": cell.label,
        "rank": cell.rank,
        "seeds": cell.seeds,
        "sentence": fmt.sentence(cell.label, comparisons[0], corrected),
        "comparisons": comparisons,
        "arms": scored,
        "absent": cell.absent,
        "floor": arms_section.floor(cell, comparisons[0]["metric"], scored),
        "decomposition": other_tasks_section.decomposition(cell, comparisons[0]["metric"]),
        "lenient": cell.comparison.lenient(),
        "grounding": other_tasks_section.grounding_kind(cell),
        "forgetting": other_tasks_section.suites(cell),
        "speed": arms_section.speed(cell),
        "cost": cost_section.account(cell, scored, recipe),
        "answers": checks_section.answers(cell),
        "liveness": checks_section.liveness(cell),
        "adapters": [short(adapter) for adapter in cell.adapters],
        "inputs": {source: short(artifact) for source, artifact in cell.inputs.items()},
    }
