"""Turns a recipe into the jobs that it needs. Read this first: plan() is the flow of the whole program, jobs_of() that of one task."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pipeline import arms
from pipeline.config import smoke_test
from pipeline.config.recipe import Recipe
from pipeline.config.schema import InlineTask, Reference
from pipeline.config.validation_errors import nearest
from pipeline.data import file_hashes, general_text, inline, task
from pipeline.errors import RecipeError
from pipeline.models import base_model
from pipeline.store.artifact import canonical
from pipeline.store.input_names import InputName

Jobs = dict[InputName, "Job"]
"""The jobs of a task by what they are to its comparison and to the report."""
Params = dict[str, Any]
"""Parameters of a stage, as JSON values."""

COMPARE_KEYS = {"confidence", "resamples", "interval", "seed", "liveness", "margin"}
"""Keys of the recipe's section `compare` that are parameters of a comparison."""
GENERAL_TOKENS = 512
"""Longest prompt with its answer, at least, of another task that the recipe does not train on."""
BUNDLED_TASKS = ("shop_sentiment", "shop_extraction")
"""Tasks that need no network: the placebo where a recipe has one task only, and the default other tasks."""
SPEED_TOKENS = 32
"""New tokens of every request whose time is taken."""


@dataclass(frozen=True)
class Job:
    """One call of one stage. Equal jobs are the same job, so a sweep shares its work."""

    stage: str
    label: str = field(compare=False)
    params_json: str
    """The parameters as canonical JSON."""
    inputs: tuple[tuple[str, "Job"], ...] = ()

    @cached_property
    def params(self) -> Params:
        return cast(Params, json.loads(self.params_json))


def job(stage: str, label: str, params: Params, **inputs: Job) -> Job:
    return Job(stage, label, canonical(params), tuple(inputs.items()))


def plan(recipe: Recipe, ask: bool = True, hashes: Path | None = None, limit: int | None = None) -> list[Job]:
    """The jobs in an order in which each comes after its inputs, none twice. The last is the report.

    Args:
        ask: ask the hub which commit of a base is meant, if this machine does not know; without it keys may not be final.
        hashes: a file that remembers the hashes of a base's large files.
        limit: examples per task, at most, of a smoke test.

    Raises:
        RecipeError, ModelError, DataError: the recipe names something that is not there.
    """
    cells: list[Params] = []
    jobs: Jobs = {}
    for values, point_recipe in recipe.points():
        point = Point(point_recipe if limit is None else smoke_test.shrunk(point_recipe, limit), ask, hashes)
        check_arms(point)
        for task_plan in point.tasks.values():
            cell = cell_spec(task_plan, f"cell{len(cells):04}", values)
            jobs |= {name.of_cell(cell["cell"]): job for name, job in jobs_of(task_plan).items()}
            cells.append(cell)
    params = {"recipe": recipe.model_dump(mode="json"), "cells": cells, **({} if limit is None else {"limit": limit})}
    report = job("report", recipe.name, params, **with_string_names(jobs))
    return list(dict.fromkeys(in_dependency_order(report)))


def in_dependency_order(job: Job) -> Iterator[Job]:
    """All that a job needs, each after what it needs itself, and the job."""
    for _, source in job.inputs:
        yield from in_dependency_order(source)
    yield job


def with_string_names(jobs: Jobs) -> dict[str, Job]:
    return {str(name): job for name, job in jobs.items()}


def jobs_of(task_plan: "TaskPlan") -> Jobs:
    """The jobs of one task at one point of a sweep, each after its inputs."""
    examples = {InputName("heldout"): task_plan.heldout, InputName("train"): task_plan.train}
    adapters = {InputName("adapter", seed=seed): adapter for seed, adapter in task_plan.adapters.items()}
    predictions = {**base_and_tuned(task_plan), **other_arms(task_plan)}
    predictions |= {
        InputName("predictions", arms.reference(model.name)): reference_predictions(task_plan, model)
        for model in task_plan.recipe.references
    }
    measures = {**relevance(task_plan, predictions), **other_tasks(task_plan)}
    comparison = comparison_job(task_plan, {**predictions, **measures})
    return {**examples, **adapters, **predictions, **measures, **speed(task_plan), InputName("comparison"): comparison}


class Point:
    """One point of a sweep: its recipe, its base, and its tasks."""

    def __init__(self, recipe: Recipe, ask: bool, hashes: Path | None) -> None:
        self.recipe = recipe
        self.model = base_model.find(recipe)
        self.model_spec = self.model.spec(ask, hashes)
        self.loading: Params = {**recipe.generate.model_dump(include={"quantization", "compute"}), "model": self.model_spec}
        """How the base is loaded where it answers or is measured."""
        self.tasks = {inline.find(entry).name: TaskPlan(self, entry) for entry in recipe.tasks}
        """Of the recipe, by name."""
        self.shipped: dict[str, TaskPlan] = {}
        """Those that the recipe does not name, and a placebo or a suite of other tasks needs."""

    def task_plan(self, name: str) -> "TaskPlan":
        """The plan of a task of the recipe, or of a shipped one that it does not name."""
        if name in self.tasks:
            return self.tasks[name]
        if name not in self.shipped:
            self.shipped[name] = TaskPlan(self, name)
        return self.shipped[name]


class TaskPlan:
    """One task at one point: its examples, its adapters and how it is answered, each job made once.

    Args:
        entry: under `tasks` in the recipe, or the name of a shipped task.
    """

    def __init__(self, point: Point, entry: str | InlineTask) -> None:
        self.point = point
        self.recipe = point.recipe
        self.entry = entry
        self.task = inline.find(entry)
        self.label = f"{base_model.folder_prefix(self.recipe.base)}--{self.task.name}"
        compare = self.recipe.compare
        quantized = self.recipe.generate.quantization != "none"
        self.context = arms.ArmContext(quantized, self.task.constraint, compare.shots, compare.shots_seed, self.task.runs_programs)
        self.arms, self.absent = arms.available_arms(compare.arms, self.context)
        self.first_seed = self.recipe.finetune.seeds[0]

    @cached_property
    def prepare_params(self) -> Params:
        """What both splits are prepared by."""
        prepare = self.recipe.prepare
        params: Params = {
            "task": inline.spec(self.entry),
            "model": self.point.model_spec,
            "files": file_hashes.of_task(self.entry, self.task),
            "max_new_tokens": self.recipe.generate.max_new_tokens or self.task.max_new_tokens,
        }
        params |= prepare.model_dump(include={"seed", "max_tokens", "long_prompts", "max_bad_rows"})
        if self.task.name not in self.point.tasks:  # a limit that suits the recipe's own tasks must not drop every row of another one
            params["max_tokens"] = max(prepare.max_tokens, GENERAL_TOKENS)
        return params

    @cached_property
    def heldout(self) -> Job:
        return self.prepare_heldout(self.recipe.prepare.heldout_examples)

    def prepare_heldout(self, examples: int) -> Job:
        prepare = self.recipe.prepare
        name = "heldout" if examples == prepare.heldout_examples else "general"
        params = {"split": "heldout", "examples": examples, "order": prepare.heldout_order}
        return job("prepare", f"{self.task.name}--{name}", {**self.prepare_params, **params})

    @cached_property
    def train(self) -> Job:
        """The training examples, without what is held out."""
        prepare = self.recipe.prepare
        params = {"split": "train", "examples": prepare.train_examples, **prepare.model_dump(include={"dev_examples", "near_duplicates"})}
        return job("prepare", f"{self.task.name}--train", {**self.prepare_params, **params}, avoid=self.heldout)

    @cached_property
    def adapters(self) -> dict[int, Job]:
        """By training seed."""
        return {seed: self.finetune(seed) for seed in self.recipe.finetune.seeds}

    @property
    def first_adapter(self) -> Job:
        """The adapter of the first training seed, where one must do."""
        return self.adapters[self.first_seed]

    def finetune(self, seed: int, placebo: str = "") -> Job:
        section = self.recipe.finetune
        params = {"model": self.point.model_spec, **section.model_dump(mode="json", exclude={"seeds", "alpha"}), "seed": seed}
        if section.targets == "qv":
            params["targets"] = list(base_model.qv_targets(self.point.model))  # as this base calls them
        label = f"{self.label}--r{section.rank}-s{seed}"
        if placebo:
            return job("finetune", f"{label}-{placebo}", {**params, "placebo": placebo}, train=self.train)
        return job("finetune", label, params, train=self.train)

    def generate(self, name: str, params: Params | None = None, heldout: Job | None = None, **inputs: Job) -> Job:
        """The predictions of an arm.

        Args:
            name: ends the job's label.
            params: that make it another arm than base.
            heldout: other examples than this task's own.
            inputs: `adapter`; `train`, whose examples go into the prompts.
        """
        params = {"model": self.point.model_spec, **generation_params(self.recipe, self.task), **(params or {})}
        return job("generate", f"{self.label}--{name}", params, heldout=heldout or self.heldout, **inputs)

    def neighbours(self) -> "list[TaskPlan]":
        """The other tasks of the recipe from the next one on, or embedded ones where there is no other."""
        names = list(self.point.tasks)
        own = names.index(self.task.name)
        others = [*names[own + 1 :], *names[:own]] or [name for name in BUNDLED_TASKS if name != self.task.name]
        return [self.point.task_plan(name) for name in others]


def base_and_tuned(task_plan: TaskPlan) -> Jobs:
    jobs: Jobs = {InputName("predictions", "base"): task_plan.generate("base")}
    for seed, adapter in task_plan.adapters.items():
        name = f"r{task_plan.recipe.finetune.rank}-s{seed}"
        jobs[InputName("predictions", "tuned", seed=seed)] = task_plan.generate(name, adapter=adapter)
    return jobs


def other_arms(task_plan: TaskPlan) -> Jobs:
    rows = [arms.find(name) for name in task_plan.arms if name not in ("base", "tuned")]
    return {InputName("predictions", row.name): predictions_of(task_plan, row) for row in rows if row.is_generated}


def predictions_of(task_plan: TaskPlan, arm: arms.ArmSpec) -> Job:
    inputs = {}
    if arm.adapter:
        inputs["adapter"] = adapter_of(task_plan, arm.adapter)
    if arm.reads_train(task_plan.context):
        inputs["train"] = task_plan.train
    return task_plan.generate(arm.name, arm.params(task_plan.context), **inputs)


def adapter_of(task_plan: TaskPlan, adapter: arms.Adapter) -> Job:
    """The adapter of an arm; of several training seeds the first."""
    if adapter == "tuned":
        return task_plan.first_adapter
    if adapter == "unrelated":
        return unrelated_task(task_plan).adapters[task_plan.first_seed]
    return task_plan.finetune(task_plan.first_seed, placebo=adapter)


def unrelated_task(task_plan: TaskPlan) -> TaskPlan:
    """The task whose adapter is the placebo. Raises RecipeError if it is the task itself."""
    name = task_plan.recipe.compare.unrelated
    if name == task_plan.task.name:
        raise RecipeError(
            f"compare.unrelated: {name} is a task of this recipe, and its own adapter is no placebo.",
            "Name a task that is not compared, or leave it out: then each task gets the adapter of the next one.",
        )
    return task_plan.point.task_plan(name) if name else task_plan.neighbours()[0]


def reference_predictions(task_plan: TaskPlan, reference: Reference) -> Job:
    """The predictions of a model behind an endpoint. Its key, price and pace change no answer, so they are no parameters."""
    tokens = reference.max_new_tokens or task_plan.recipe.generate.max_new_tokens or task_plan.task.max_new_tokens
    params = {"endpoint": reference.endpoint, "model": reference.model, "max_new_tokens": tokens, "stop": list(task_plan.task.stop)}
    return job("reference", f"{task_plan.task.name}--{reference.name}", params, heldout=task_plan.heldout)


def relevance(task_plan: TaskPlan, predictions: Jobs) -> Jobs:
    """How much every arm's answers are about their prompts, under the base; of several seeds of tuned the first."""
    compare = task_plan.recipe.compare
    if not compare.relevance_examples:
        return {}
    params = {**task_plan.point.loading, "examples": compare.relevance_examples, "seed": compare.seed}
    one_per_arm = {name.arm: answers for name, answers in predictions.items() if name.seed in (None, task_plan.first_seed)}
    return {
        InputName("relevance", arm): job("relevance", f"{task_plan.label}--{arm}", params, heldout=task_plan.heldout, predictions=answers)
        for arm, answers in one_per_arm.items()
    }


def other_tasks(task_plan: TaskPlan) -> Jobs:
    """Base and tuned on what the adapter was not trained for: other tasks, and paragraphs of plain English."""
    jobs: Jobs = {}
    for suite in suite_names(task_plan):
        if suite == general_text.PARAGRAPHS:
            params = {**task_plan.point.loading, "text": general_text.digest()}
            jobs[InputName("losses", suite=suite)] = job("general_loss", task_plan.label, params, adapter=task_plan.first_adapter)
        else:
            jobs |= other_task(task_plan, task_plan.point.task_plan(suite))
    return jobs


def other_task(task_plan: TaskPlan, other: TaskPlan) -> Jobs:
    heldout = other.prepare_heldout(task_plan.recipe.general.examples)
    base = other.generate("base-general", heldout=heldout)
    tuned = other.generate(f"by-{task_plan.task.name}", heldout=heldout, adapter=task_plan.first_adapter)
    suite = other.task.name
    return {
        InputName("heldout", suite=suite): heldout,
        InputName("predictions", "base", suite=suite): base,
        InputName("predictions", "tuned", suite=suite): tuned,
    }


def suite_names(task_plan: TaskPlan) -> list[str]:
    """The names of a task's suites of other tasks.

    Raises:
        RecipeError: one is neither `paragraphs` nor a task, or all that were asked for is the task itself.
    """
    names = task_plan.recipe.general.suites
    if names is None:
        return default_suite_names(task_plan)
    allowed = [general_text.PARAGRAPHS, *task_plan.point.tasks, *task.names()]
    for name in names:
        if name not in allowed:
            raise RecipeError(f"general.suites: there is no suite or task '{name}'.", nearest(name, allowed, "`loralift ls tasks`"))
    others = [name for name in names if name != task_plan.task.name]
    if names and not others:
        problem = f"general.suites: {names[0]} alone shows no regression of the adapter for {task_plan.task.name}, which is trained on it."
        raise RecipeError(problem, f"Add another, as [{general_text.PARAGRAPHS}, {names[0]}], or write [] to measure nothing.")
    return others


def default_suite_names(task_plan: TaskPlan) -> list[str]:
    window = base_model.context_window(task_plan.point.model_spec)
    is_short = window is not None and window < GENERAL_TOKENS  # an embedded task might not fit, and nobody asked for it
    others = [other.task.name for other in task_plan.neighbours()[:2]]
    return [general_text.PARAGRAPHS, *(name for name in others if name in task_plan.point.tasks or not is_short)]


def speed(task_plan: TaskPlan) -> Jobs:
    compare = task_plan.recipe.compare
    context = task_plan.context
    if not compare.speed_prompts:
        return {}
    rows = [arms.find(name) for name in task_plan.arms]
    constrained = sorted((row.name for row in rows if row.constrained), key=arms.sort_key)
    has_shots = context.shots > 0 and any("shots" in row.params(context) for row in rows)
    params = {
        **task_plan.point.loading,
        "prompts": compare.speed_prompts,
        "new_tokens": SPEED_TOKENS,
        "answer_tokens": generation_params(task_plan.recipe, task_plan.task)["max_new_tokens"],  # what the arms' prompts leave room for
        "shots": context.shots if has_shots else 0,
        "shots_seed": context.shots_seed if has_shots else 0,
        "constrained": constrained,
        "constrain": context.constraint if constrained else "",
        "dense": context.quantized and any(row.timed_as == arms.UNQUANTIZED for row in rows),
    }
    train = {"train": task_plan.train} if has_shots or params["constrain"] == "keys" else {}
    return {InputName("speed"): job("speed", task_plan.label, params, heldout=task_plan.heldout, adapter=task_plan.first_adapter, **train)}


def comparison_job(task_plan: TaskPlan, inputs: Jobs) -> Job:
    """The comparison job of a task."""
    recipe = task_plan.recipe
    tasks = {name: inline.spec(task_plan.point.task_plan(name).entry) for name in suite_names(task_plan) if name != general_text.PARAGRAPHS}
    params = {"task": inline.spec(task_plan.entry), **recipe.compare.model_dump(include=COMPARE_KEYS)}
    params |= {"loss_margin": recipe.general.loss_margin, "general": tasks}
    train = {"train": task_plan.train} if "constant" in task_plan.arms else {}
    return job("compare", task_plan.label, params, heldout=task_plan.heldout, **train, **with_string_names(inputs))


def cell_spec(task_plan: TaskPlan, cell: str, values: Params) -> Params:
    """The report's spec of a cell: a task at one point of a sweep, with the values of the swept keys."""
    finetune = task_plan.recipe.finetune
    return {
        "cell": cell,
        "task": task_plan.task.name,
        "base": task_plan.recipe.base,
        "point": values,
        "rank": finetune.rank,
        "seeds": list(finetune.seeds),
        "paper": base_model.paper_setup(task_plan.point.model, task_plan.recipe.base),
        "constraint": task_plan.context.constraint,
        "absent": task_plan.absent,
    }


def generation_params(recipe: Recipe, answered_task: task.Task) -> Params:
    """What `generate` must know of the task, so that it depends on no task file; random answers are of use to code tasks only."""
    samples = recipe.generate.samples and "pass_at_1" in answered_task.metrics
    params = recipe.generate.model_dump(exclude=set() if samples else {"samples", "temperature", "top_p", "seed"})
    return {**params, "max_new_tokens": recipe.generate.max_new_tokens or answered_task.max_new_tokens, "stop": list(answered_task.stop)}


def check_arms(point: Point) -> None:
    """Raise RecipeError for an arm that no task can have, or more few-shot examples than there are training examples."""
    compare = point.recipe.compare
    available = point.recipe.prepare.train_examples
    arms.check(compare.arms, {name: task_plan.context for name, task_plan in point.tasks.items()})
    is_too_many = "shots" in compare.model_fields_set and available is not None and compare.shots > available
    if is_too_many and "base_fewshot" in (compare.arms or arms.DEFAULT):
        raise RecipeError(
            f"compare.shots: there are no {compare.shots} examples to show: prepare.train_examples is {available}.",
            f"Take compare.shots of at most {available}, or leave base_fewshot out of compare.arms.",
        )
