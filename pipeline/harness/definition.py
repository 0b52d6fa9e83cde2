"""Defines a task of lm-evaluation-harness from its configuration alone: how it is answered and scored, and what it was read from.

A definition is plain JSON, enters the keys of what is made from it, and is all that planning, training and the page need: lm-eval itself
is loaded to write it, to read documents and to score answers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from pipeline.errors import RecipeError
from pipeline.harness import library

Role = Literal["task", "suite"]
SCORED = ("multiple_choice", "loglikelihood")
"""Output types whose answers are log-likelihoods of given texts, not generated."""
DEFAULT_TOKENS = 256
"""New tokens of an answer where the configuration names none, as lm-eval's own."""
OTHER = "Take another task."
TOKEN_KEYS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names that lm-eval takes for the new tokens of an answer, the first of them first."""


class Documents(TypedDict):
    """Where one task's documents come from."""

    path: str
    """Id of a hub data set, or the kind of local files."""
    files: list[str]
    """Local data files."""
    revision: str
    """Commit that the configuration names, if any."""
    heldout: str
    """The split that is answered: test, else validation."""
    train: str
    """Empty: there is none."""


class Definition(TypedDict):
    """A task, or a group of tasks that is scored as one."""

    lm_eval: str
    """Its name."""
    version: str
    """Of lm-eval."""
    config: str
    """SHA-256 of the configurations, functions by their source."""
    include: str
    """The user's folder of task YAML; empty: none."""
    output_type: str
    metrics: list[str]
    """As metric, or `metric,filter` where there are filters; the first is primary."""
    max_new_tokens: int
    stop: list[str]
    num_fewshot: int | None
    """The task's own number of few-shot examples."""
    tasks: dict[str, Documents]
    """By name: itself, or the tasks of the group."""


def define(name: str, role: Role, include: str = "", metric: str = "") -> Definition:
    """The definition of a task or, as a suite, of a group.

    Args:
        name: without PREFIX.
        role: a `task` is fine-tuned and needs training documents; a `suite` is only answered.
        include: a folder of task YAML.
        metric: the primary one; empty: the first of the configuration.

    Raises:
        RecipeError: there is no such task, or it is none that can be run here; says why.
        MachineError: lm-eval is not installed.
    """
    index = library.index_of(name, include)
    names = task_names(name, index, role)
    parsed = {task: parsed_configuration(task, index) for task in names}
    for task, config in parsed.items():
        if why := obstacle(config, role):
            raise RecipeError(f"{library.PREFIX}{task} {why[0]}.", why[1])
    first = next(iter(parsed.values()))
    same = ("output_type", "generation_kwargs")
    if odd := [task for task, config in parsed.items() if any(config[key] != first[key] for key in same)]:
        problem = f"{library.PREFIX}{name} mixes tasks that are answered in different ways: {names[0]} and {odd[0]}."
        raise RecipeError(problem, "Name tasks of it one by one under general.suites.")
    settings = dict(first.generation_kwargs or {}) if first.output_type == "generate_until" else {}
    until = settings.get("until") or []
    return {
        "lm_eval": name,
        "version": library.version(),
        "config": fingerprint(parsed, include),
        "include": include,
        "output_type": first.output_type,
        "metrics": metrics_of(name, parsed, index[name].cfg or {}, metric),
        "max_new_tokens": next((int(settings[key]) for key in TOKEN_KEYS if settings.get(key) is not None), DEFAULT_TOKENS),
        "stop": stop_strings([until] if isinstance(until, str) else until),
        "num_fewshot": first.num_fewshot,
        "tasks": {task: documents_of(config) for task, config in parsed.items()},
    }


def task_names(name: str, index: library.Index, role: Role) -> list[str]:
    """The tasks that a name stands for, in lm-eval's order.

    Raises:
        RecipeError: it names a tag, or a group where one task is meant.
    """
    kind = index[name].kind.name
    inside = library.members(index[name])
    listed = ", ".join(library.PREFIX + member for member in inside[:3]) + (", ..." if inside[3:] else "")
    if kind == "TAG":
        raise RecipeError(f"{library.PREFIX}{name} is a tag, which lm-eval gives no score.", f"Name its tasks: {listed}.")
    if kind != "GROUP":
        return [name]
    if role == "task":
        problem = f"tasks: {library.PREFIX}{name} is a group of tasks, and an adapter is trained on one."
        raise RecipeError(problem, f"Name one of its tasks ({listed}), or put the group under general.suites.")
    return list(dict.fromkeys(leaves(name, index)))


def leaves(name: str, index: library.Index) -> Iterator[str]:
    """The tasks of a group, and of the groups and tags in it."""
    inside = library.members(index[name])
    if not inside:
        yield name
    for member in inside:
        yield from leaves(member, index)


def parsed_configuration(name: str, index: library.Index) -> Any:
    """The lm_eval TaskConfig of a task.

    Raises:
        RecipeError: the task is code of its own, or its code needs a package that is missing.
    """
    raw = index[name].cfg or {}
    if raw.get("unsafe_code"):
        raise RecipeError(
            f"{library.PREFIX}{name} runs programs that the model wrote, outside of a sandbox.", "Take the shipped task mbpp."
        )
    if "class" in raw:
        problem = f"{library.PREFIX}{name} is written in Python, without prompt, target and metrics in its YAML."
        raise RecipeError(problem, OTHER)
    try:
        return library.task_configuration(library.configuration(name, index))
    except Exception as error:  # whatever the task's own code raises
        reason = " ".join(str(error).split())[:200]
        raise RecipeError(f"{library.PREFIX}{name} cannot be read: {reason}.", "Install what it needs, or mend its YAML.") from None


def obstacle(config: Any, role: Role) -> tuple[str, str] | None:
    """Why a task cannot be run here, and what to do; None if it can."""
    repeats = int(config.repeats or 1)
    settings = config.generation_kwargs or {}
    reasons = {
        "scores the likelihood of whole texts (loglikelihood_rolling), which is no answer to a prompt": (
            config.output_type == "loglikelihood_rolling",
            "General text is measured by general.suites: [paragraphs].",
        ),
        "shows the model images or sound": (config.doc_to_image is not None or config.doc_to_audio is not None, OTHER),
        f"asks for {repeats} answers to each question": (repeats > 1, "Take its variant with one answer."),
        "asks for sampled answers, and arms are compared on greedy ones": (bool(settings.get("do_sample")), OTHER),
        "has no training documents, so nothing can be fine-tuned on it": (
            role == "task" and not config.training_split,
            f"Put it under general.suites: [{library.PREFIX}{config.task}].",
        ),
        "has no test or validation documents": (not (config.test_split or config.validation_split), OTHER),
    }
    return next(((why, remedy) for why, (holds, remedy) in reasons.items() if holds), None)


def metrics_of(name: str, parsed: Mapping[str, Any], group: Mapping[str, Any], chosen: str) -> list[str]:
    """The metrics that all tasks have and whose score is a mean over documents, the primary one first.

    Raises:
        RecipeError: the primary metric is none of them, or a group is not scored as one set of documents.
    """
    aggregates = group.get("aggregate_metric_list") if "group" in group else None
    if "group" in group and not aggregates:
        raise RecipeError(f"{library.PREFIX}{name} is a group that lm-eval gives no score of its own.", "Name its tasks one by one.")
    rules = aggregates if isinstance(aggregates, list) else [aggregates] if aggregates else []
    uneven = [rule["metric"] for rule in rules if not rule.get("weight_by_size", True) and len(parsed) > 1]
    tables = [metric_table(config) for config in parsed.values()]
    usable = [metric for metric in tables[0] if all(table.get(metric) == "" for table in tables)]
    named = [metric for metric in tables[0] if not rules or metric.partition(",")[0] == rules[0]["metric"]]
    primary = next((metric for metric in tables[0] if chosen in (metric, metric.partition(",")[0])), chosen) if chosen else named[0]
    if primary not in usable:
        why = tables[0].get(primary) or "not a metric of all its tasks"
        remedy = f"Choose another, as lm_eval: {{metrics: {{{name}: {usable[0]!r}}}}}." if usable else OTHER
        raise RecipeError(f"{library.PREFIX}{name}: {primary} is {why}.", remedy)
    if primary.partition(",")[0] in uneven:
        problem = f"{library.PREFIX}{name} weights its tasks equally, whatever their size, and here every document counts the same."
        raise RecipeError(problem, "Name its tasks one by one under general.suites.")
    return [primary, *(metric for metric in usable if metric != primary)]


def metric_table(config: Any) -> dict[str, str]:
    """By metric and filter, why its score cannot be compared here; empty if it can."""
    with library.quiet():
        from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY

    listed = config.metric_list or [{"metric": name} for name in DEFAULT_METRIC_REGISTRY[config.output_type]]
    filters = [str(entry["name"]) for entry in config.filter_list or ()] or ["none"]
    table = {}
    for entry in listed:
        name = entry["metric"] if isinstance(entry["metric"], str) else entry["metric"].__name__
        for filter_name in filters:
            table[name if filters == ["none"] else f"{name},{filter_name}"] = metric_obstacle(name, entry)
    return table


def metric_obstacle(name: str, entry: Mapping[str, Any]) -> str:
    """Why the score of a metric cannot be compared here: not a mean over documents, or less is better; empty if it can."""
    with library.quiet():
        from lm_eval.api.metrics import mean
        from lm_eval.api.registry import get_metric_aggregation, is_higher_better

        aggregation = entry.get("aggregation") or get_metric_aggregation(name)
        higher = entry.get("higher_is_better", is_higher_better(name))
    if aggregation not in ("mean", mean):
        word = aggregation if isinstance(aggregation, str) else getattr(aggregation, "__name__", "")
        return f"aggregated over all documents at once ({word}), not a mean of their scores"
    return "" if higher is not False else "better where it is lower, and a lift is a gain"


def stop_strings(until: list[str]) -> list[str]:
    """The strings that end an answer. lm-eval cuts at one after the other, so one that contains an earlier one never cuts."""
    strings = [string for string in until if string]
    return [string for number, string in enumerate(strings) if not any(earlier in string for earlier in strings[:number])]


def documents_of(config: Any) -> Documents:
    kwargs = config.dataset_kwargs or {}
    return {
        "path": str(config.dataset_path or ""),
        "files": sorted(data_files(kwargs.get("data_files"))),
        "revision": str(kwargs.get("revision") or ""),
        "heldout": str(config.test_split or config.validation_split),
        "train": str(config.training_split or ""),
    }


def data_files(value: Any) -> list[str]:
    """The files in `data_files` of a configuration: one, a list, or either by split."""
    if isinstance(value, dict):
        return [file for entry in value.values() for file in data_files(entry)]
    return [file for entry in value for file in data_files(entry)] if isinstance(value, list) else [str(value)] if value else []


def fingerprint(parsed: Mapping[str, Any], include: str) -> str:
    """SHA-256 of the tasks' configurations, and of all YAML and Python files in the user's folder, whose functions may call each other."""
    configs = {name: config.to_dict() for name, config in parsed.items()}
    for config in configs.values():
        (config.get("metadata") or {}).pop("config_source", None)  # where lm-eval lies on this machine
    whole = hashlib.sha256(json.dumps(configs, sort_keys=True, default=repr).encode())
    folder = Path(include).expanduser() if include else None
    for path in sorted(folder.rglob("*")) if folder else []:
        if path.suffix in (".yaml", ".py") and "__pycache__" not in path.parts:
            whole.update(path.relative_to(str(folder)).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()
