"""Turns a recipe into the jobs that it needs. Read this first: plan() is the flow of the whole program, jobs_of() that of one task."""

from pathlib import Path

from pipeline import arms
from pipeline.config import smoke_test
from pipeline.config.recipe import Recipe
from pipeline.models import base_model
from pipeline.planning.arm_jobs import base_and_tuned, check_arms, debugging_jobs, other_arms, reference_predictions
from pipeline.planning.job import Job, Jobs, Params, in_dependency_order, job, with_string_names
from pipeline.planning.measure_jobs import comparison_job, other_tasks, relevance, slices, speed
from pipeline.planning.rank_jobs import cut_arms, spectra
from pipeline.planning.search_jobs import FindFolder, find_nothing
from pipeline.planning.task_plan import Lookup, Point, TaskPlan
from pipeline.store.input_names import InputName


def plan(
    recipe: Recipe, ask: bool = True, hashes: Path | None = None, limit: int | None = None, find_folder: FindFolder = find_nothing
) -> list[Job]:
    """The jobs in an order in which each comes after its inputs, none twice. The last is the report.

    Args:
        ask: ask the hub which commit of a base is meant, if this machine does not know; without it keys may not be final.
        hashes: a file that remembers the hashes of a base's large files.
        limit: examples per task, at most, of a smoke test.
        find_folder: finds what has run. Where something is tuned, a plan is final when all trials in it have; see search_jobs.py.

    Raises:
        RecipeError, ModelError, DataError: the recipe names something that is not there.
    """
    cells: list[Params] = []
    jobs: Jobs = {}
    for values, point_recipe in recipe.points():
        point = Point(point_recipe if limit is None else smoke_test.shrunk(point_recipe, limit), Lookup(ask, hashes, find_folder), recipe)
        check_arms(point)
        for task_plan in point.tasks.values():
            cell = cell_spec(task_plan, f"cell{len(cells):04}", values)
            jobs |= {name.of_cell(cell["cell"]): job for name, job in jobs_of(task_plan).items()}
            cells.append(cell)
    params = {"recipe": recipe.model_dump(mode="json"), "cells": cells, **({} if limit is None else {"limit": limit})}
    report = job("report", recipe.name, params, **with_string_names(jobs))
    return list(dict.fromkeys(in_dependency_order(report)))


def jobs_of(task_plan: TaskPlan) -> Jobs:
    """The jobs of one task at one point of a sweep, each after its inputs."""
    variant = task_plan.point.variant
    examples = {InputName("heldout"): task_plan.heldout}
    if task_plan.context.has_train and (task_plan.context.has_model or "constant" in task_plan.arms):
        examples[InputName("train")] = task_plan.train
    overlap = {InputName("overlap"): task_plan.search_overlap(variant)} if variant and variant.train else {}
    adapters = {InputName("adapter", seed=seed): adapter for seed, adapter in task_plan.adapters.items()}
    selection = {InputName("selection"): task_plan.search.selection} if task_plan.search else {}
    predictions = {**base_and_tuned(task_plan), **other_arms(task_plan)}
    predictions |= {
        InputName("predictions", arms.reference(model.name)): reference_predictions(task_plan, model)
        for model in task_plan.recipe.references
    }
    debugging = debugging_jobs(task_plan, predictions)
    measures = {**relevance(task_plan, predictions), **other_tasks(task_plan), **slices(task_plan)}
    cuts = cut_arms(task_plan)
    comparison = comparison_job(task_plan, {**predictions, **debugging, **cuts, **measures})
    return {
        **examples,
        **overlap,
        **selection,
        **adapters,
        **predictions,
        **debugging,
        **cuts,
        **spectra(task_plan),
        **measures,
        **speed(task_plan),
        InputName("comparison"): comparison,
    }


def cell_spec(task_plan: TaskPlan, cell: str, values: Params) -> Params:
    """The report's spec of a cell: a task at one point of a sweep, with the values of the swept keys."""
    variant = task_plan.point.variant
    return {
        "cell": cell,
        "task": task_plan.task.name,
        "base": task_plan.recipe.base,
        "point": values,
        "variant": variant.name if variant else None,
        "rank": None if variant else task_plan.training.rank,
        "seeds": list(task_plan.seeds),
        "paper": base_model.paper_setup(task_plan.point.model, task_plan.recipe.base),
        "constraint": task_plan.context.constraint,
        "absent": task_plan.absent,
    }
