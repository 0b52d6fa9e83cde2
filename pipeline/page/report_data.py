"""Builds report.json: everything on the page, except the texts of the examples."""

from collections.abc import Container

from pipeline.measures import names
from pipeline.measures.cell_types import CellRow, ExamplesRow, SlicingRow
from pipeline.measures.preliminary_types import Preliminary
from pipeline.measures.report_types import Report
from pipeline.page import (
    arms_section,
    checks_section,
    claims_section,
    classes_section,
    cost_section,
    debugging_section,
    endpoint_section,
    examples_section,
    fmt,
    lineage_section,
    matrix_section,
    opening_section,
    other_tasks_section,
    pairs_section,
    predictions_section,
    published_section,
    rank_section,
    setup_section,
    size_section,
    slices_section,
    sweep_section,
    training_section,
    tuning_section,
)
from pipeline.page.cells import Cell, short_key
from pipeline.page.claims_section import Judged
from pipeline.scoring.verdict import NO_VERDICT, effect_verdicts
from pipeline.store.artifact import canonical
from pipeline.store.records import JsonObject

SCHEMA = 6
"""Raised when a key of report.json changes its meaning or goes away."""


def source_of(cell: Cell) -> str:
    """What the test examples of a cell were read from: a file by its hash, or a hub split; else each task is its own."""
    source = cell.inputs["heldout"].facts.get("source") or {}
    return str(source.get("sha256") or (canonical(source) if source.get("hub") else cell.name))


def report(recipe: JsonObject, cells: list[Cell], embedded_ids: Container[str], not_final: Preliminary | None = None) -> Report:
    """report.json.

    Args:
        embedded_ids: ids of the files that the page embeds.
        not_final: why it has no verdict, as preliminary.of() says.
    """
    correction = claims_section.correction_of(recipe, not_final)
    judged = claims_section.judge(cells, recipe, not_final)
    comparisons, claims = judged.comparisons, judged.claims
    examples = {cell.name: examples_section.section(cell, comparisons[cell.name][0], embedded_ids) for cell in cells}
    slicings, cells = slices_section.judge(cells, recipe, not_final), by_task(cells)
    rows = [cell_row(cell, judged, examples[cell.name], slicings[cell.name], recipe) for cell in cells]
    (artifacts, environments), adapters = lineage_section.artifacts(cells), training_section.adapters(cells)
    verdicts: list[str] = [row["headline"]["verdict"] for row in rows]
    conclusions = claims_section.section(cells, rows, claims, adapters, correction, not_final)
    together = None if not_final else opening_section.overview_of(rows, recipe, len(claims), list(map(source_of, cells)))
    learning = [] if not_final else size_section.section(cells, comparisons, recipe)
    return {
        "schema": SCHEMA,
        "name": recipe["name"],
        "title": recipe["question"] or f"What did fine-tuning change? ({recipe['name']})",
        "bases": list(dict.fromkeys(cell.base for cell in cells)),
        "made_at": max(artifact["made_at"] for artifact in artifacts),
        "preliminary": not_final,
        "setup": setup_section.section(cells, adapters, recipe),
        "confidence": recipe["compare"]["confidence"],
        "correction": correction,
        "family": len(claims),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in ((NO_VERDICT,) if not_final else effect_verdicts(verdicts))},
        "warnings": checks_section.warnings(cells, recipe),
        "notes": checks_section.notes(cells, recipe),
        **conclusions,
        "summary": [*opening_section.section(rows, together, learning), *conclusions["summary"]],
        "overview": together,
        "cells": rows,
        **published_section.section(cells, comparisons, recipe, is_smoke_test=not_final is not None and not_final["limit"] is not None),
        "other_tasks": matrix_section.section(rows, claims_section.suite_verdicts(conclusions)),
        "variants": [] if not_final else pairs_section.section(cells, comparisons, recipe),
        "tuning": tuning_section.section(cells),
        "sweep": sweep_section.section(recipe, rows, adapters),
        "learning": learning,
        "adapters": adapters,
        "data": checks_section.data_sets(cells),
        "recipe": recipe,
        "artifacts": artifacts,
        "surroundings": environments,
        "seconds": lineage_section.seconds_by_stage(artifacts),
    }


def by_task(cells: list[Cell]) -> list[Cell]:
    """The cells of a task one after the other, tasks in the order of the recipe."""
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    return sorted(cells, key=lambda cell: tasks.index(cell.task))


def cell_row(cell: Cell, judged: Judged, examples: ExamplesRow, slices: list[SlicingRow], recipe: JsonObject) -> CellRow:
    """A cell's own part of report.json."""
    comparisons = judged.comparisons[cell.name]
    primary = comparisons[0]
    headline = claims_section.headline(cell, judged)
    measured = arms_section.measured_arms(cell, comparisons)
    tokens = cost_section.tokens(cell, measured, recipe)
    cost = None if tokens is None else cost_section.account(cell, measured, tokens, recipe)
    arms = cost_section.with_costs(measured, tokens or {}, cost["arms"] if cost else {})
    return {
        "cell": cell.name,
        "task": cell.task,
        "base": cell.base,
        "point": cell.point,
        "coordinates": cell.coordinates,
        "label": cell.label,
        "constraint": cell.constraint,
        "variant": cell.variant,
        "fine_tune": cell.fine_tune,
        "rank": cell.rank,
        "seeds": cell.seeds,
        "headline": headline,
        "sentence": fmt.headline(cell.label, headline, names.arm(headline["baseline"], cell.constraint), judged.correction),
        "comparisons": comparisons,
        "arms": arms,
        "absent": arms_section.absent_arms(cell),
        "constant_answer": arms_section.constant_answer(cell, primary["metric"], arms),
        "decomposition": other_tasks_section.decomposition(cell, primary["metric"]),
        "lenient": cell.comparison.lenient(),
        "hallucination": other_tasks_section.hallucination_kind(cell),
        "forgetting": other_tasks_section.suites(cell),
        "speed": arms_section.speed(cell),
        "cost": cost,
        "answers": checks_section.answers(cell),
        "liveness": checks_section.liveness(cell),
        "adapters": [short_key(adapter) for adapter in cell.adapters],
        "predictions": predictions_section.section(cell),
        "endpoint": endpoint_section.section(cell),
        "inputs": {source: short_key(artifact) for source, artifact in cell.inputs.items()},
        "classes": classes_section.section(cell, comparisons, headline["baseline"]),
        "slices": slices,
        "debugging": debugging_section.section(cell, recipe),
        "rank_use": rank_section.section(cell, primary, recipe),
        "examples": examples,
    }
