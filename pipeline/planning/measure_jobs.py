"""Plans what is measured besides the score: relevance, other tasks, speed, slices, and the comparison of it all"""

from pipeline import arms
from pipeline.config.schema import COLUMN, task_name
from pipeline.config.validation_errors import nearest
from pipeline.data import file_hashes, general_text, harness_task, inline, task
from pipeline.errors import RecipeError
from pipeline.models import base_model
from pipeline.planning.job import Job, Jobs, answering, job, with_string_names
from pipeline.planning.task_plan import GENERAL_TOKENS, TaskPlan, generation_params
from pipeline.store.input_names import InputName
from pipeline.store.slice_types import SliceEntry, SliceKind

COMPARE_KEYS = {"confidence", "resamples", "interval", "seed", "liveness", "margin", "same_within"}
"""Keys of the recipe's section `compare` that are parameters of a comparison."""
SLICE_KINDS: dict[str, SliceKind] = {"length": "length", "label": "label"}
"""By entry of `compare.slices` what it slices by; any other one is a column."""
SPEED_TOKENS = 32
"""New tokens of every request whose time is taken."""


def relevance(task_plan: TaskPlan, predictions: Jobs) -> Jobs:
    """How much every arm's answers are about their prompts, under the base; of several seeds of tuned the first."""
    compare = task_plan.recipe.compare
    if not compare.relevance_examples or task_plan.task.likelihoods or not task_plan.context.has_fine_tune:
        return {}
    params = {**task_plan.loading, "examples": compare.relevance_examples, "seed": compare.seed}
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
            jobs[InputName("losses", suite=suite)] = job("general_loss", task_plan.label, params, **answering(task_plan.first_adapter))
        else:
            jobs |= other_task(task_plan, task_plan.point.task_plan(suite))
    return jobs


def other_task(task_plan: TaskPlan, other: TaskPlan) -> Jobs:
    heldout = other.prepare_heldout(task_plan.recipe.general.examples)
    base = other.generate("base-general", heldout=heldout)
    tuned = other.generate(f"by-{task_plan.task.name}", None, heldout, **answering(task_plan.first_adapter))
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
    if not task_plan.context.has_fine_tune:
        return []
    if task_plan.recipe.general.suites is None:
        return default_suite_names(task_plan)
    names = [task_name(name) for name in task_plan.recipe.general.suites]
    allowed = [general_text.PARAGRAPHS, *task_plan.point.tasks, *task.names()]
    for name in names:
        if name not in allowed and not harness_task.is_task_name(name):
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
    if not compare.speed_prompts or not context.has_fine_tune:
        return {}
    rows = [arms.find(name) for name in task_plan.arms]
    constrained = sorted((row.name for row in rows if row.constrained), key=arms.sort_key)
    has_shots = context.shots > 0 and any("shots" in row.params(context) for row in rows)
    params = {
        **task_plan.loading,
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
    inputs = {"heldout": task_plan.heldout, **answering(task_plan.first_adapter), **train}
    return {InputName("speed"): job("speed", task_plan.label, params, **inputs)}


def slices(task_plan: TaskPlan) -> Jobs:
    """The slice of every test example, where the recipe asks for slices: no other job but the comparison knows of them."""
    entries = [slice_entry(entry) for entry in task_plan.recipe.compare.slices]
    if not entries:
        return {}
    reads_rows = any(entry["kind"] == "column" for entry in entries)
    files = file_hashes.of_task(task_plan.task) if reads_rows else {}
    params = {"task": inline.spec(task_plan.entry), "files": files, "slices": entries}
    return {InputName("slices"): job("slice_examples", task_plan.task.name, params, heldout=task_plan.heldout)}


def slice_entry(entry: str) -> SliceEntry:
    """An entry of `compare.slices` as a parameter."""
    return {"by": entry.removeprefix(COLUMN), "kind": SLICE_KINDS.get(entry, "column")}


def comparison_job(task_plan: TaskPlan, inputs: Jobs) -> Job:
    """The comparison job of a task."""
    recipe = task_plan.recipe
    tasks = {name: inline.spec(task_plan.point.task_plan(name).entry) for name in suite_names(task_plan) if name != general_text.PARAGRAPHS}
    params = {"task": inline.spec(task_plan.entry), **recipe.compare.model_dump(include=COMPARE_KEYS)}
    if not task_plan.context.has_fine_tune:
        params["liveness"] = False  # there are no weights to look at
    params |= {"loss_margin": recipe.general.loss_margin, "general": tasks}
    train = {"train": task_plan.train} if "constant" in task_plan.arms else {}
    return job("compare", task_plan.label, params, heldout=task_plan.heldout, **train, **with_string_names(inputs))
