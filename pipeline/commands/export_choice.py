"""Chooses the adapter that is exported: a task and a training seed of a recipe, with its answers, made where they are missing"""

from dataclasses import replace

from pipeline import arms
from pipeline.commands.call import Call, carry_out, find_artifact, make_report, unfinished
from pipeline.commands.export_options import Choice
from pipeline.config.data_paths import without_folders
from pipeline.data import inline
from pipeline.errors import ArtifactError, RecipeError, suggest
from pipeline.export.fine_tuned import FineTuned
from pipeline.machine import Work
from pipeline.page.cells import Cell, open_cells
from pipeline.page.model_card import TrainedAdapter
from pipeline.planning.cell_jobs import jobs_of
from pipeline.planning.job import Job, Params
from pipeline.store.artifact import Artifact
from pipeline.store.input_names import InputName
from pipeline.store.result_folders import ReportFolder


def with_cut(arguments: list[str], choice: Choice) -> list[str]:
    """The recipe with its overrides, and the cut that is exported as one more arm."""
    return arguments if choice.rank is None else [*arguments, f"compare.rank_cuts=[{choice.rank}]"]


def find(call: Call, choice: Choice, command: str) -> FineTuned:
    """The adapter with its answers to the test examples, which are generated if need be.

    Args:
        command: the recipe with its overrides, as typed.

    Raises:
        RecipeError: the recipe has no such adapter, or several.
        ArtifactError: it is not trained yet.
    """
    spec = cell_of(call, choice)
    seed = seed_of(spec, choice)
    jobs = jobs_of(call.jobs[-1], spec["cell"])
    adapter = jobs.get(InputName("adapter", seed=seed))
    refuse_without_adapter(spec, adapter)
    assert adapter is not None  # refused above
    cut = cut_of(choice, spec, jobs, seed)
    if adapter.stage == "finetune" and unfinished(call, {adapter}):
        raise ArtifactError(
            f"{spec['task']}, seed {seed}: its adapter is not trained yet, or not in {call.site.store.checkpoints}",
            f"Run: loralift finetune {command}",
        )
    carry_out(call, {cut or jobs[InputName("predictions", "tuned", seed=seed)]})
    report = None if cut or unfinished(call) else make_report(call)
    inputs = {name: artifact for name, job in jobs.items() if (artifact := find_artifact(call, job))}
    if cut:
        return cut_fine_tuned(call, spec, seed, inputs, cut)
    cell = open_cell(call, {**spec, "seeds": [seed]} if report is None else spec, inputs)
    trained = TrainedAdapter(cell, seed, inputs[InputName("adapter", seed=seed)])
    data = None if report is None else ReportFolder(report.path).data()
    heldout = jobs[InputName("heldout")]
    return FineTuned(call.recipe, inline.from_spec(task_of(heldout)), trained, data)


def cut_of(choice: Choice, spec: Params, jobs: dict[InputName, Job], seed: int) -> Job | None:
    """The answers of the adapter cut to a rank; None where none is asked for.

    Raises:
        RecipeError: there is no such cut.
    """
    if choice.rank is None:
        return None
    if spec["variant"]:
        raise RecipeError(f"--rank {choice.rank}: {spec['variant']} was trained elsewhere.", "Adapters that are trained here can be cut.")
    if seed != spec["seeds"][0]:
        raise RecipeError(
            f"--rank {choice.rank}: of several training seeds the first is cut.", f"Leave --seed out, or name {spec['seeds'][0]}."
        )
    job = jobs.get(InputName("predictions", arms.cut_to(choice.rank)))
    if job is None:
        raise RecipeError(f"--rank {choice.rank}: the adapter has rank {spec['rank']}.", "Name a smaller rank, or leave it out.")
    return job


def cut_fine_tuned(call: Call, spec: Params, seed: int, inputs: dict[InputName, Artifact], answers: Job) -> FineTuned:
    """The cut adapter in the place of the whole one, with its own answers and rank, and the training of the whole one."""
    whole, adapter = inputs[InputName("adapter", seed=seed)], find_artifact(call, dict(answers.inputs)["adapter"])
    cut_answers = find_artifact(call, answers)
    assert adapter is not None  # both were made just now
    assert cut_answers is not None
    rank = adapter.params["rank"]
    adapter = replace(adapter, params={**whole.params, "rank": rank}, facts={**whole.facts, **adapter.facts})
    cell = open_cell(call, {**spec, "seeds": [seed], "rank": rank}, inputs)
    cell = replace(cell, inputs={**cell.inputs, str(InputName("predictions", "tuned", seed=seed)): cut_answers})
    task = inline.from_spec(task_of(dict(answers.inputs)["heldout"]))
    return FineTuned(call.recipe, task, TrainedAdapter(cell, seed, adapter), cut_from=spec["rank"])


def task_of(heldout: Job) -> Params:
    """The spec of the task that the test examples were prepared for."""
    spec: Params = heldout.params["task"]
    return spec


def cell_of(call: Call, choice: Choice) -> Params:
    """The spec of the task at the one point that is meant."""
    cells: list[Params] = call.jobs[-1].params["cells"]
    tasks = list(dict.fromkeys(cell["task"] for cell in cells))
    if choice.task is None and len(tasks) > 1:
        raise RecipeError(f"--task is missing: {call.recipe.name} has {len(tasks)} tasks.", f"Name one: {', '.join(tasks)}.")
    if choice.task is not None and choice.task not in tasks:
        raise RecipeError(f"--task {choice.task}: {call.recipe.name} has no such task.", suggest(choice.task, tasks))
    cells = [cell for cell in cells if cell["task"] == (choice.task or tasks[0])]
    variants = [cell["variant"] for cell in cells if cell["variant"]]
    if choice.variant is not None:
        if choice.variant not in variants:
            remedy = suggest(choice.variant, variants) if variants else "Leave it out: the recipe trains its adapters itself."
            raise RecipeError(f"--variant {choice.variant}: {call.recipe.name} has no such variant.", remedy)
        cells = [cell for cell in cells if cell["variant"] == choice.variant]
    if len(cells) > 1 and len(set(variants)) > 1:
        raise RecipeError(f"--variant is missing: {call.recipe.name} has {len(variants)}.", f"Name one: {', '.join(variants)}.")
    if len(cells) > 1:
        values = " ".join(f"{key}={value}" for key, value in cells[0]["point"].items())
        raise RecipeError(f"{call.recipe.name} sweeps {len(cells)} points.", f"Name one behind the recipe, as: 'sweep={{}}' {values}")
    return cells[0]


def seed_of(spec: Params, choice: Choice) -> int:
    """The training seed; the first where none is named."""
    seeds: list[int] = spec["seeds"]
    if choice.seed is not None and choice.seed not in seeds:
        raise RecipeError(f"--seed {choice.seed}: {spec['task']} has no such seed.", f"Known: {', '.join(map(str, seeds))}.")
    return seeds[0] if choice.seed is None else choice.seed


def refuse_without_adapter(spec: Params, job: Job | None) -> None:
    """Raise RecipeError for a whole model, or where predictions alone are compared."""
    if job is None:
        raise RecipeError(f"{spec['task']}: no adapter to export, since its fine-tuned answers come from files or an endpoint.")
    if job.stage == "import_model":
        raise RecipeError(
            f"--variant {spec['variant']}: it is a whole model, without an adapter to export.", "Its folder is what others load already."
        )


def open_cell(call: Call, spec: Params, inputs: dict[InputName, Artifact]) -> Cell:
    """The cell with what there is of it, as a report has it: without paths of this machine."""
    folders = {str(name.of_cell(spec["cell"])): artifact.path for name, artifact in inputs.items()}
    root = call.site.store.data
    params = without_folders({"recipe": call.jobs[-1].params["recipe"], "cells": [spec]})
    (cell,) = open_cells(Work(params, folders, root, root))
    return cell
