"""Finds what contradicts itself in a task written inline, in lines a user can act on."""

from collections.abc import Sequence

from pipeline import metrics
from pipeline.config.schema import HARNESS, INSPECT, Data, InlineTask
from pipeline.data import inspect_logs, lm_eval_samples, row_formats
from pipeline.data.files import is_known
from pipeline.data.inline_fields import fields_of, has_templates, is_judged_elsewhere, may_be_empty, used_columns
from pipeline.data.templates import Template, TemplateError
from pipeline.errors import UserError, suggest
from pipeline.metrics import user_metric

FAMILIAR_METRICS = {
    "f1": "Take macro_f1 for classes, token_f1 for short texts, or set_f1 for lists.",
    "rouge": "Take rougeL, rouge1 or rouge2.",
    "em": "Take exact_match.",
    "acc": "Take accuracy.",
    "acc_norm": "Take accuracy; choices are ranked in the arm base_constrained.",
    "mae": "Take mae_similarity.",
    "pass@1": "Take a shipped task of programs, as mbpp; an inline task cannot run tests.",
}
"""What to take for a metric that other programs call so."""

OWN_SCORES = {lm_eval_samples.FORMAT: HARNESS, inspect_logs.FORMAT: INSPECT}
"""Formats whose rows hold scores of their own, whatever they are called there, to what begins the names of these."""


def problems(entry: InlineTask) -> list[str]:
    """Every mistake in an entry, a line each."""
    return [*template_problems(entry), *thinking_problems(entry), *name_problems(entry), *data_problems(entry.data)]


def template_problems(entry: InlineTask) -> list[str]:
    problems = template_free_problems(entry)
    pair = {"prompt": entry.prompt, "target": entry.target}
    if len(missing := [name for name, text in pair.items() if not text]) == 1:
        problems.append(f"{missing[0]} is missing. Write prompt and target, or neither where the columns of the rows say what is what.")
    names = (*(name for name, text in pair.items() if text), "group")
    for name in names:
        text = getattr(entry, name)
        try:
            fields = Template(text, {}).fields
        except TemplateError as error:
            problems.append(f"{name}: {error}.")
            continue
        if not fields and (text or name != "group"):
            problems.append(f"{name} names no {{column}}, so it would be the same for every row (it is {text!r}).")
    return [*problems, *accepted_problems(entry), *empty_problems(entry)]


def template_free_problems(entry: InlineTask) -> list[str]:
    """Keys that contradict templates, or their absence."""
    if has_templates(entry):
        keys = [name for name in ("format", "columns") if getattr(entry, name)] + (["loss"] if entry.loss != "last" else [])
        return [f"{name} belongs to rows that are read without templates. Leave out {name}, or prompt and target." for name in keys]
    keys = [name for name in ("labels", "defaults", "cut") if getattr(entry, name)]
    problems = [f"{name} belongs to templates. Write prompt and target, as prompt: '{{column}}', or leave {name} out." for name in keys]
    names = row_formats.known_columns()
    unknown = [name for name in entry.columns if name not in names]
    return [*problems, *(f"columns.{name}: no format has such a column. {suggest(name, names)}" for name in unknown)]


def thinking_problems(entry: InlineTask) -> list[str]:
    """Problems of a task whose models think before they answer."""
    if not entry.thinking:
        return []
    problems = []
    if entry.max_new_tokens == InlineTask.model_fields["max_new_tokens"].default:
        problems.append("max_new_tokens is not set, and thinking needs room. Set it to what a thought and its answer take, such as 1024.")
    if entry.loss == "assistant":
        problems.append("loss: assistant contradicts thinking, since chat templates drop earlier thoughts. Write loss: last.")
    return problems


def accepted_problems(entry: InlineTask) -> list[str]:
    """Problems with several right answers to a row."""
    if not entry.accepted:
        return []
    try:
        count = len(Template(entry.accepted, {}).fields)
    except TemplateError as error:
        return [f"accepted: {error}."]
    problems = [
        f"metrics: {name} knows one right answer to a row, and accepted names more. Take another metric, or leave accepted out."
        for name in entry.metrics
        if name in metrics.ONE_RIGHT_ANSWER
    ]
    if count != 1:
        problems.append(f"accepted must name one {{column}}, which holds a list of right answers (it is {entry.accepted!r}).")
    return problems


def empty_problems(entry: InlineTask) -> list[str]:
    """Problems with targets that may be empty."""
    if not may_be_empty(entry) or is_judged_elsewhere(entry):
        return []
    cause = f"the defaults of {entry.target} make empty targets"
    able = ", ".join(metrics.TAKES_EMPTY)
    unable = [name for name in entry.metrics if name in metrics.inline_names() and name not in metrics.TAKES_EMPTY]
    problems = [f"metrics: {name} cannot score an empty target as right, and {cause}. Take {able}." for name in unable]
    if entry.choices or entry.answer in ("choice", "json"):
        kind = f"answer: {entry.answer}" if entry.answer in ("choice", "json") else "choices"
        default = "{}" if entry.answer == "json" else "none"
        problems.append(f"defaults: {cause}, and {kind} allows none. Give a default that is an answer, such as {default!r}.")
    return problems


def name_problems(entry: InlineTask) -> list[str]:
    """Problems with the names of metrics, labels and choices."""
    prefix = OWN_SCORES.get(entry.format or "")
    ours = [name for name in entry.metrics if not (prefix and name.startswith(prefix))]
    problems = [line for name in ours if (line := metric_problem(name, entry.answer))] + own_metric_problems(entry.metrics)
    used = used_columns(entry)
    problems += [f"labels.{name}: no template uses {{{name}}}. {suggest(name, used)}" for name in entry.labels if used and name not in used]
    whole = {
        field.column for text in (entry.prompt, entry.target, entry.accepted, entry.group) for field in fields_of(text) if not field.keys
    }
    problems += [
        f"labels.{name}: it names the numbers of a whole column, and the templates use only parts of {{{name}}}. Leave it out."
        for name in entry.labels
        if name in used and name not in whole
    ]
    fields = {field.name for text in (entry.prompt, entry.target, entry.group) for field in fields_of(text)}
    problems += [f"defaults: no template uses {{{n}}}. {suggest(n, fields)}" for n in entry.defaults if fields and n not in fields]
    prompt_columns = [field.column for field in fields_of(entry.prompt)]
    if entry.cut and (times := prompt_columns.count(entry.cut)) != 1:
        problems.append(f"cut: the prompt must use {{{entry.cut}}} once (it does {times} times). {suggest(entry.cut, prompt_columns)}")
    if entry.answer == "choice" and not entry.choices:
        problems.append("answer: choice needs the choices. Add them, as choices: [negative, positive].")
    if any(not name.strip() for name in entry.choices) or len(set(entry.choices)) < len(entry.choices):
        problems.append(f"choices must differ, and none may be empty (they are {', '.join(map(repr, entry.choices))}).")
    return problems


def metric_problem(name: str, answer: str) -> str:
    """Why a task written in a recipe cannot have a metric; empty if it can."""
    allowed = metrics.inline_names()
    if user_metric.is_path(name):
        return ""
    if name in metrics.NEEDS_FIELDS:
        return f"metrics: {name} needs {metrics.NEEDS_FIELDS[name]}, which only a shipped task has. See docs/recipes.md for the others."
    if name not in allowed:
        return f"metrics: there is no metric '{name}'. {FAMILIAR_METRICS.get(name.lower()) or suggest(name, allowed)}"
    if name in metrics.READS_JSON and answer != "json":
        return f"metrics: {name} compares JSON objects, and answer is {answer}. Write answer: json, or take another metric."
    if name in metrics.READS_CALLS and answer != "tool_call":
        return f"metrics: {name} compares calls of tools, and answer is {answer}. Write answer: tool_call, or take another metric."
    return ""


def own_metric_problems(names: Sequence[str]) -> list[str]:
    """Why a task written in a recipe cannot have these metrics, as far as they are the user's own."""
    try:
        _, code = user_metric.split(names, metrics.names())
        kinds = {name: user_metric.find(bundle) for name, bundle in code.items()}
    except UserError as error:
        return [f"metrics: {error.problem} {error.remedy}"]
    return [
        f"metrics: {name} reads {kind.reads}, which only a task in Python has. Let it read answer or text."
        for name, kind in kinds.items()
        if kind.reads not in ("answer", "text")
    ]


def data_problems(data: Data) -> list[str]:
    problems = []
    if data.hub and data.folder:
        problems.append("data names both a hub data set and a folder. Keep one of them.")
    if not data.hub and (data.config or data.revision):
        problems.append("data: config and revision belong to a hub data set. Leave them out, or add hub: owner/name.")
    if data.hub and is_known(data.hub):
        problems.append(f"data.hub is {data.hub!r}, which looks like a file. Name files in data.train and data.test, without hub.")
    if data.train == data.heldout:
        problems.append(f"data.train and data.test are both {data.train!r}. The test set must not be the training data.")
    return problems
