"""Plans what `loralift advise` rests on: the base's answers to a sample of validation examples, without training, and the forecast"""

from dataclasses import dataclass
from pathlib import Path

from pipeline import arms
from pipeline.config.recipe import Recipe
from pipeline.errors import RecipeError
from pipeline.planning.job import Job, Params, in_dependency_order, job, with_string_names
from pipeline.planning.task_plan import Lookup, Point, TaskPlan
from pipeline.store.input_names import InputName

EXAMPLES = 50
"""Examples that are answered."""
WITHOUT_TRAINING = ("base", "base_fewshot", "base_constrained", "constant")
"""The arms that fine-tuning has to beat, whatever `compare.arms` of the recipe names."""


@dataclass(frozen=True)
class Advised:
    """A task on a base, with the job that forecasts its lift, and the trainings that it is about."""

    task: str
    base: str
    forecast: Job
    trainings: tuple[Job, ...]
    """By every point of a sweep with this base and data, and every training seed."""


def advised(recipe: Recipe, ask: bool = True, hashes: Path | None = None) -> list[Advised]:
    """Every task on every base of a recipe, once.

    Args:
        ask, hashes: as of plan().

    Raises:
        RecipeError: the recipe trains nothing, or a task's training rows cannot be scored.
    """
    if not recipe.trains:
        raise RecipeError(f"{recipe.name}: it trains nothing, so there is no lift to forecast.", "Run loralift compare on it instead.")
    rows: dict[Job, Advised] = {}
    for _, point_recipe in recipe.points():
        point = Point(point_recipe, Lookup(ask, hashes), recipe)
        if point.variant:
            continue
        for task_plan in point.tasks.values():
            forecast = forecast_job(task_plan)
            before = rows[forecast].trainings if forecast in rows else ()
            trainings = dict.fromkeys((*before, *task_plan.adapters.values()))
            rows[forecast] = Advised(task_plan.task.name, point_recipe.base, forecast, tuple(trainings))
    return list(rows.values())


def forecast_job(task_plan: TaskPlan) -> Job:
    """The forecast of a task, which has every job that it needs as an input.

    Raises:
        RecipeError: the task is one of lm-evaluation-harness, which scores its own test documents alone.
    """
    if task_plan.task.harness:
        raise RecipeError(
            f"{task_plan.task.name}: lm-evaluation-harness scores its own test documents, so training rows of it cannot be scored.",
            "Leave the task out: advise forecasts shipped tasks, and those that are written inline.",
        )
    available, absent = arms.available_arms(WITHOUT_TRAINING, task_plan.context)
    sample = sample_job(task_plan)
    rows = [arms.find(name) for name in available]
    predictions = {InputName("predictions", row.name): answers(task_plan, row, sample) for row in rows if row.is_generated}
    compare = task_plan.recipe.compare
    params: Params = {
        "task": task_plan.heldout.params["task"],
        "model": task_plan.model_spec,
        "constant": "constant" in available,
        "absent": absent,
        "seeds": len(task_plan.seeds),
        **compare.model_dump(include={"confidence", "resamples", "seed"}),
    }
    inputs = {"heldout": task_plan.heldout, "train": task_plan.train, "sample": sample, **with_string_names(predictions)}
    return job("forecast", task_plan.label, params, **inputs)


def sample_job(task_plan: TaskPlan) -> Job:
    params = {"examples": EXAMPLES, "shots": task_plan.context.shots, "shots_seed": task_plan.context.shots_seed}
    return job("sample_validation", task_plan.task.name, params, train=task_plan.train, heldout=task_plan.heldout)


def answers(task_plan: TaskPlan, arm: arms.ArmSpec, sample: Job) -> Job:
    """An arm's answers to the sample, as to the test examples."""
    train = {"train": task_plan.train} if arm.reads_train(task_plan.context) else {}
    return task_plan.generate(f"{arm.name}-sample", arm.params(task_plan.context), sample, **train)


def jobs_of(rows: list[Advised]) -> list[Job]:
    """The forecasts with all that they need, each after its inputs, none twice."""
    return list(dict.fromkeys(needed for row in rows for needed in in_dependency_order(row.forecast)))


def jobs_if_any(recipe: Recipe, hashes: Path | None) -> list[Job]:
    """The same for a recipe that may have nothing to forecast; asks no hub."""
    try:
        return jobs_of(advised(recipe, ask=False, hashes=hashes))
    except RecipeError:
        return []
