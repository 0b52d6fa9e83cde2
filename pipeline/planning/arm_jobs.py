"""Plans the predictions of the arms: base, tuned, placebos, merged and few-shot arms, and references"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline import arms
from pipeline.config.schema import Reference
from pipeline.errors import RecipeError
from pipeline.planning.job import Job, Jobs, answering, job
from pipeline.planning.task_plan import Point, TaskPlan
from pipeline.store.input_names import InputName


def base_and_tuned(task_plan: TaskPlan) -> Jobs:
    if not task_plan.context.has_model:
        return imported(task_plan)
    jobs: Jobs = {InputName("predictions", "base"): task_plan.generate("base")}
    variant = task_plan.point.variant
    if variant and variant.reference:
        jobs[InputName("predictions", "tuned", seed=task_plan.first_seed)] = reference_predictions(task_plan, variant.reference)
    for seed, adapter in task_plan.adapters.items():
        name = task_plan.numbered(variant.name, seed) if variant else f"r{task_plan.training.rank}-s{seed}"
        jobs[InputName("predictions", "tuned", seed=seed)] = task_plan.generate(name, None, None, **answering(adapter))
    return jobs


def imported(task_plan: TaskPlan) -> Jobs:
    """The predictions of base and of a variant, one file for each of its training seeds."""
    variant = task_plan.point.variant
    assert variant is not None  # the recipe was checked
    jobs: Jobs = {InputName("predictions", "base"): task_plan.import_predictions("base", str(task_plan.recipe.base_predictions), "base")}
    for seed, path in enumerate(variant.prediction_files):
        jobs[InputName("predictions", "tuned", seed=seed)] = task_plan.import_predictions(
            task_plan.numbered(variant.name, seed), path, variant.name
        )
    return jobs


def other_arms(task_plan: TaskPlan) -> Jobs:
    rows = [arms.find(name) for name in task_plan.arms if name not in ("base", "tuned")]
    return {InputName("predictions", row.name): predictions_of(task_plan, row) for row in rows if row.is_generated}


def predictions_of(task_plan: TaskPlan, arm: arms.ArmSpec) -> Job:
    inputs: dict[str, Job] = {}
    if task_plan.task.harness and arm.step == "few-shot":
        return task_plan.generate(arm.name, heldout=task_plan.heldout_with_shots)
    if arm.adapter:
        inputs |= answering(adapter_of(task_plan, arm.adapter))
    if arm.reads_train(task_plan.context):
        inputs["train"] = task_plan.train
    return task_plan.generate(arm.name, arm.params(task_plan.context), **inputs)


def debugging_jobs(task_plan: TaskPlan, predictions: Jobs) -> Jobs:
    """The programs of arms after debugging.

    Args:
        predictions: of all arms; of several training seeds the first is debugged.
    """
    recipe = task_plan.recipe
    if not task_plan.context.runs_programs:
        return {}
    programs = {name.arm: job for name, job in predictions.items() if name.seed in (None, task_plan.first_seed)}
    references = [model.name for model in recipe.references]
    names = [arms.reference(name) if name in references else name for name in recipe.debug.arms]
    rows = [arms.find(name + arms.DEBUGGED) for name in names]
    return {InputName("predictions", row.name): debugging_job(task_plan, row, programs[row.debugs]) for row in rows}


def debugging_job(task_plan: TaskPlan, arm: arms.ArmSpec, programs: Job) -> Job:
    """The debugging of an arm's programs, by the model that wrote them or by `debug.by`."""
    debug = task_plan.recipe.debug
    params = debug.model_dump(include={"level", "rounds", "max_new_tokens", "seed"})
    inputs = {"heldout": task_plan.heldout, "programs": programs}
    endpoint = {name: programs.params.get(name) for name in ("endpoint", "model")} if programs.stage == "reference" else {}
    if debug.by:
        by = next(model for model in task_plan.recipe.references if model.name == debug.by)
        endpoint = {"endpoint": by.endpoint, "model": by.model}
    if endpoint:
        return job("debug_by_endpoint", f"{task_plan.task.name}--{arm.name}", params | endpoint, **inputs)
    own = {name: source for name, source in programs.inputs if name in ("adapter", "model")}
    return job("debug", f"{task_plan.label}--{arm.name}", {**params, **task_plan.loading}, **inputs, **own)


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


def check_arms(point: Point) -> None:
    """Raise RecipeError for an arm that no task can have, or more few-shot examples than there are training examples."""
    compare = point.recipe.compare
    if silent := [task_plan.task.name for task_plan in point.tasks.values() if task_plan.task.likelihoods and point.recipe.endpoints]:
        raise RecipeError(
            f"{point.recipe.endpoints[0].name}: {silent[0]} is scored by the likelihoods of given texts, which no endpoint tells.",
            "Leave the task or the endpoint out.",
        )
    if point.recipe.base_predictions is not None:
        return  # what needs a model is left out, and said to be
    available = point.recipe.prepare.train_examples
    # arms that need weights are absent where a variant is behind an endpoint, as another variant may have them
    check_constrained(compare.arms, {name: replace(task_plan.context, behind_endpoint=False) for name, task_plan in point.tasks.items()})
    is_too_many = "shots" in compare.model_fields_set and available is not None and compare.shots > available
    if is_too_many and "base_fewshot" in (compare.arms or arms.DEFAULT):
        raise RecipeError(
            f"compare.shots: there are no {compare.shots} examples to show: prepare.train_examples is {available}.",
            f"Take compare.shots of at most {available}, or leave base_fewshot out of compare.arms.",
        )


def check_constrained(requested: Iterable[str] | None, contexts: Mapping[str, arms.ArmContext]) -> None:
    """Raise RecipeError for an arm held to its form that was requested by name but that no task of the recipe can have.

    Args:
        requested: `compare.arms` of the recipe.
        contexts: by the name of the task.
    """
    for row in (arms.find(name) for name in requested or () if arms.find(name).constrained):
        obstacles = [(task, why) for task, context in contexts.items() if (why := row.obstacle(context))]
        if len(obstacles) == len(contexts):
            task, why = obstacles[0]
            raise RecipeError(
                f"compare.arms: {task} cannot have the arm {row.name}: {why}.", f"Take {row.name} out, or add a task that can have it."
            )
