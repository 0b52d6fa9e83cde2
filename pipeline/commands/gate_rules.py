"""Reads the rules of a gate file, and refuses those that ask for what a recipe will not measure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from pipeline.commands.gate_figures import DROPS, FORGETTING, NAMES
from pipeline.commands.power import has_baseline
from pipeline.config import recipe_files
from pipeline.config.recipe import Recipe
from pipeline.config.schema import Section, task_name
from pipeline.config.spellings import understood
from pipeline.config.validation_errors import describe_errors
from pipeline.data import inline, task
from pipeline.errors import RecipeError, suggest
from pipeline.measures.speed_summary import MIN_REQUESTS_OF_P95
from pipeline.planning.job import Job
from pipeline.store import input_names
from pipeline.store.input_names import InputName

TIMED_FIGURES = ("request_cost", "latency_p50", "latency_p95", "overhead")
PRICED_FIGURES = ("request_cost", "training_cost")
Tier = Literal["critical", "supporting", "advisory"]
CRITICAL: Final = "critical"
SUPPORTING: Final = "supporting"


class Rule(Section):
    """One figure with its limits, for one task or for every one."""

    figure: str
    """What is looked at: a name of `loralift compare --help`, or docs/report.md."""
    task: str | None = None
    """The task that it is asked of; unset: every one that has the figure."""
    suite: str | None = None
    """The other-task suite, for forgetting; unset: every one."""
    at_least: float | None = None
    at_most: float | None = None
    max_relative_drop: Annotated[float, Field(gt=0)] | None = None
    """For lift, training_effect and forgetting: the largest drop, as a share of what it is a drop from. Instead of the other limits."""
    relative_from: Annotated[float, Field(gt=0)] = 0.05
    """Of less than this a share says little: where a drop is from less, max_relative_drop is not testable."""
    tier: Tier = CRITICAL
    """critical: a failure fails the gate. supporting: no more than supporting_may_fail may fail. advisory: printed, and nothing more."""


class Gate(Section):
    """What a gate file holds."""

    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1)]
    """The rules."""
    supporting_may_fail: Annotated[int, Field(ge=0)] = 0
    """How many results of supporting rules may fail; a rule has one for each task (and suite) that it is about."""
    required: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Tasks that the report must have: the gate fails if one was not run."""


def load(path: Path, gated_recipe: Recipe, report: Job) -> Gate:
    """The rules of a file, checked against what a recipe will measure, before anything is run.

    Args:
        report: the last job of the recipe's plan, whose inputs say what will be measured.

    Raises:
        RecipeError: the file cannot be read, or a rule asks for what does not exist or will not be measured.
    """
    raw = understood(recipe_files.read(path, "gate file", "docs/report.md"), [Gate])
    try:
        gate = Gate.model_validate(raw)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{path}: {line}" for line in describe_errors(error.errors(), raw, keys_at))) from None
    tasks = list(map(task_name, gated_recipe.tasks))
    check_required(gate, tasks, path)
    for number, rule in enumerate(gate.rules):
        location = f"{path}: rules[{number}]"
        check_limits(rule, location)
        if rule.task not in tasks and rule.task in gate.required:
            continue  # the gate fails for it, once the rest is judged
        check_scope(rule, tasks, location)
        if why := not_measured_reason(rule, gated_recipe, report):
            raise RecipeError(f"{location}: {rule.figure} will not be measured{scope_text(rule)}: {why[0]}.", why[1])
    return gate


def keys_at(location: tuple[Any, ...]) -> Mapping[str, FieldInfo]:
    return Rule.model_fields if len(location) > 1 else Gate.model_fields


def check_required(gate: Gate, tasks: Sequence[str], path: Path) -> None:
    """Raises RecipeError for a required task that is neither in the recipe nor a shipped one, which must be a misspelling."""
    names = [*tasks, *task.names()]
    for name in gate.required:
        if name not in names:
            raise RecipeError(f"{path}: required: there is no task '{name}', in the recipe or shipped.", suggest(name, names))


def check_limits(rule: Rule, location: str) -> None:
    """Raises RecipeError if a rule has an unknown figure or limits that make no sense for it."""
    if rule.figure not in NAMES:
        more = " There are two: request_cost and training_cost." if rule.figure == "cost" else ""
        raise RecipeError(f"{location}: there is no figure '{rule.figure}'.{more}", suggest(rule.figure, NAMES))
    if rule.max_relative_drop is not None:
        check_relative(rule, location)
    elif rule.at_least is None and rule.at_most is None:
        raise RecipeError(f"{location}: {rule.figure} has no limit.", "Add at_least or at_most.")
    if rule.at_least is not None and rule.at_most is not None and rule.at_least > rule.at_most:
        raise RecipeError(f"{location}: at_least {rule.at_least:g} is more than at_most {rule.at_most:g}.", "Take one of them out.")


def check_relative(rule: Rule, location: str) -> None:
    if rule.figure not in DROPS:
        raise RecipeError(f"{location}: {rule.figure} is no change, so it has no relative drop.", f"It is for {', '.join(DROPS)}.")
    if rule.at_least is not None or rule.at_most is not None:
        raise RecipeError(f"{location}: max_relative_drop stands beside another limit.", "Write a rule of its own for each of them.")


def check_scope(rule: Rule, tasks: Sequence[str], location: str) -> None:
    """Raises RecipeError if a rule names a task that the recipe does not have, or a suite of a figure without suites."""
    if rule.task is not None and rule.task not in tasks:
        raise RecipeError(f"{location}: the recipe has no task '{rule.task}'.", suggest(rule.task, tasks))
    if rule.suite is not None and rule.figure != FORGETTING:
        raise RecipeError(f"{location}: {rule.figure} has no suites.", "Take suite out, or use the figure `forgetting`.")


def not_measured_reason(rule: Rule, gated_recipe: Recipe, report: Job) -> tuple[str, str] | None:
    """Why a recipe does not measure a figure for any task that the rule is about, and the remedy; None where it may."""
    if gated_recipe.base_predictions is not None and rule.figure in (*TIMED_FIGURES, *PRICED_FIGURES, "relevance", FORGETTING):
        return "the recipe compares predictions, and no model is loaded", "Take the rule out."
    if rule.figure in PRICED_FIGURES and gated_recipe.cost.gpu_hour is None:
        return "the price of an hour is not set", "Set cost.gpu_hour to the machine's price per hour in US dollars."
    cells = [cell["cell"] for cell in report.params["cells"] if rule.task in (None, cell["task"])]
    inputs = {name.of_cell("") for name in map(input_names.parse, dict(report.inputs)) if name.cell in cells}
    if rule.figure in TIMED_FIGURES and InputName("speed") not in inputs:
        return "compare.speed_prompts is 0", "Set it to 16, or take the rule out."
    if rule.figure == "latency_p95" and gated_recipe.compare.speed_prompts < MIN_REQUESTS_OF_P95:
        return (
            f"compare.speed_prompts is {gated_recipe.compare.speed_prompts}, and a 95th percentile needs {MIN_REQUESTS_OF_P95}",
            f"Set it to {MIN_REQUESTS_OF_P95}, or look at latency_p50.",
        )
    if rule.figure == "relevance" and InputName("relevance", "tuned") not in inputs:
        return "compare.relevance_examples is 0", "Set it to 200, or take the rule out."
    if rule.figure == "training_effect" and not any(has_baseline(comparison_of(report, cell)) for cell in cells):
        has_models = gated_recipe.base_predictions is None
        remedy = "Add constant to compare.arms." if has_models else "Write figure: lift; without a model there is no other baseline."
        return "no baseline besides the base is compared", remedy
    if rule.figure == "hallucination" and not any(is_grounded(report, cell) for cell in cells):
        return (
            "its answers may say what the prompt does not",
            "Take the rule out, or name a task whose answers are grounded in its prompts.",
        )
    suites = {name.suite for name in inputs if name.suite}
    if rule.figure == FORGETTING and not suites:
        return "general.suites is empty", "Add paragraphs to it."
    if rule.suite is not None and rule.suite not in suites:
        return f"the general suites are {', '.join(sorted(suites))}", suggest(rule.suite, suites)
    return None


def is_grounded(report: Job, cell: str) -> bool:
    return bool(inline.from_spec(comparison_of(report, cell).params["task"]).grounded)


def comparison_of(report: Job, cell: str) -> Job:
    return dict(report.inputs)[str(InputName("comparison", cell=cell))]


def scope_text(rule: Rule) -> str:
    return "".join(f" for the {kind} {name}" for kind, name in (("task", rule.task), ("suite", rule.suite)) if name)
