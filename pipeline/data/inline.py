"""Builds tasks written inline in a recipe: a source, templates for prompt and target, and the name of a parser."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from pipeline import metrics
from pipeline.config.schema import Data, InlineTask
from pipeline.data import row_formats, source, task
from pipeline.data.files import is_known
from pipeline.data.make_examples import CUT
from pipeline.data.task import Row, Source, Task
from pipeline.data.templates import Field, Template, TemplateError
from pipeline.errors import DataError, RecipeError, suggest
from pipeline.scoring import parsers
from pipeline.store.records import ACCEPTED, Example

PARSERS = {"text": parsers.text, "first_line": parsers.first_line, "choice": parsers.choice, "json": parsers.json}
LATER_KEYS = ("decimal_mark", "span", "defaults", "cut", "accepted", "format", "columns", "loss")
"""Keys that artifacts were made without; they enter a key only where they differ from their default."""

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


def find(entry: str | InlineTask) -> Task:
    """The task of an entry under `tasks` in a recipe.

    Raises:
        RecipeError: there is no such task, or the entry contradicts itself; lists every mistake.
        DataError: a data file of the entry is missing.
    """
    if isinstance(entry, str):
        return task.find(entry)
    if mistakes := [*template_problems(entry), *name_problems(entry), *data_problems(entry.data)]:
        raise RecipeError("\n".join(f"task '{entry.name}': {line}" for line in mistakes))
    built = build_task(entry)
    if entry.data.hub is None:
        for part in (*built.train, *built.heldout):
            try:
                source.local_files(part)
            except DataError as error:
                raise DataError(f"task '{entry.name}': {error.problem}", error.remedy) from None
    return built


def spec(entry: str | InlineTask) -> str | dict[str, Any]:
    """The entry as plain JSON values, from which a stage rebuilds the task."""
    if isinstance(entry, str):
        return entry
    defaults = {name: InlineTask.model_fields[name].default for name in LATER_KEYS}
    return {name: value for name, value in entry.model_dump(mode="json").items() if name not in defaults or value != defaults[name]}


def from_spec(spec: str | dict[str, Any]) -> Task:
    """The task of a spec(), without a check of its data."""
    return task.find(spec) if isinstance(spec, str) else build_task(InlineTask.model_validate(spec))


def columns(spec: str | dict[str, Any]) -> dict[str, str]:
    """Columns that an inline task uses, each with the first template that does; empty where all may be: of a shipped task or a format."""
    entry = None if isinstance(spec, str) else InlineTask.model_validate(spec)
    return used_columns(entry) if entry and has_templates(entry) else {}


def check_columns(spec: str | dict[str, Any], available: tuple[str, ...], location: str) -> None:
    """Check that a source has the columns that the templates use.

    Raises:
        DataError: lists every missing column, with the nearest that exists.
    """
    if not isinstance(spec, str) and not has_templates(entry := InlineTask.model_validate(spec)):
        check_format(entry, available, location)
        return
    optional = set() if isinstance(spec, str) else {Field.parse(name).column for name in spec.get("defaults", {})}
    faults = [(template, column) for column, template in columns(spec).items() if column not in available and column not in optional]
    for template, column in faults:
        name, *form = re.split("[:!]", column, maxsplit=1)
        if form and name in available:
            raise DataError(f"{template}: {{{name}}} asks for a format; leave out what follows : or !.", f"Write {{{name}}}.")
    if faults:
        problem = "; ".join(f"{template} uses {{{column}}}, but {location} has no such column" for template, column in faults)
        near = [get_close_matches(column, available, n=1) for _, column in faults]
        remedy = " ".join(f"Did you mean {{{names[0]}}}?" for names in near if names)
        raise DataError(f"{problem}.", remedy if all(near) else f"{remedy} Its columns: {', '.join(available)}.".strip())


def check_format(entry: InlineTask, available: tuple[str, ...], location: str) -> None:
    """Check that a source has the columns of a format, and those that the task names besides.

    Raises:
        DataError: it has not; names what is there.
    """
    try:
        row_formats.recognized(tuple(renamed(dict.fromkeys(available), entry)), entry.format)
    except DataError as error:
        raise DataError(f"{location}: {error.problem}", error.remedy) from None
    for column, key in used_columns(entry).items():
        if column not in available:
            raise DataError(f"{key} uses {{{column}}}, but {location} has no such column.", suggest(column, available))


def renamed(row: Row, entry: InlineTask) -> Row:
    """The row with the columns of a format under the format's own names."""
    names = {column: name for name, column in entry.columns.items()}
    return {names.get(column, column): value for column, value in row.items() if column in names or column not in entry.columns}


def has_templates(entry: InlineTask) -> bool:
    """Whether templates make prompt and target; else the columns of the rows say what is what."""
    return bool(entry.prompt or entry.target)


def source_of(data: Data, split: str) -> Source:
    """The source of a split: a file, unless a hub data set or a folder is named."""
    if data.hub or data.folder:
        names = data.model_dump(include={"hub", "config", "revision", "folder"})
        return Source(split, **names, recipe_folder=data.recipe_folder)
    return Source(path=split, recipe_folder=data.recipe_folder)


def build_task(entry: InlineTask) -> Task:
    return Task(
        name=entry.name,
        about="written in the recipe",
        train=(source_of(entry.data, entry.data.train),),
        heldout=(source_of(entry.data, entry.data.heldout),),
        example=example_maker(entry),
        answer=parser_of(entry),
        metrics=entry.metrics,
        max_new_tokens=entry.max_new_tokens,
        choices=entry.choices,
        stop=entry.stop,
        decimal_mark=entry.decimal_mark,
        span=entry.span or Task.span,
        grounded="text" if entry.grounded else "",
        accepted=accepted if entry.accepted else None,
        may_be_empty=may_be_empty(entry),
    )


def accepted(example: Example) -> list[str]:
    return list(example.right_answers[1:])


def parser_of(entry: InlineTask) -> Callable[[str, Example], str | None]:
    """The parser that the entry names; where no answer is a right one, it reads a blank text as that."""
    parse = PARSERS.get(entry.answer) or parsers.number_in(entry.decimal_mark)
    return parsers.or_empty(parse) if may_be_empty(entry) else parse


def may_be_empty(entry: InlineTask) -> bool:
    """Whether the recipe says that a target may be empty: it consists of fields of which each has an empty default."""
    fields = fields_of(entry.target)
    rest = Template(entry.target, {}).parts if fields else []
    is_bare = not any(isinstance(part, str) and part.strip() for part in rest)
    return bool(fields) and is_bare and not any(entry.defaults.get(field.name, "-").strip() for field in fields)


def example_maker(entry: InlineTask) -> Callable[[Row], Example]:
    """The function that turns a row into an Example with an empty id, which `prepare` fills in."""
    group = Template(entry.group, entry.labels, entry.defaults)
    others = Template(entry.accepted, entry.labels) if entry.accepted else None
    question_and_answer = from_templates(entry) if has_templates(entry) else from_format(entry)

    def example(row: Row) -> Example:
        bare = question_and_answer(row)
        right = bare.target
        also = others_of(right, others.fill_each(row), may_be_empty(entry)) if others else []
        for answer in (right, *also):
            if entry.choices and answer and answer not in entry.choices:
                raise DataError(f"the target {answer!r} is not one of the choices", f"Choices: {', '.join(entry.choices)}.")
        extra = bare.extra | ({ACCEPTED: also} if also else {})
        return Example("", bare.prompt, right, entry.choices, group_of(group, row), extra)

    return example


def from_templates(entry: InlineTask) -> Callable[[Row], Example]:
    """The function that fills the templates of prompt and target from a row."""
    prompt, target = (Template(text, entry.labels, entry.defaults) for text in (entry.prompt, entry.target))

    def example(row: Row) -> Example:
        check_turns(target, row)
        extra = {CUT: prompt.span(row, entry.cut)} if entry.cut else {}
        return Example("", prompt.fill(row), target.fill(row), extra=extra)

    return example


def from_format(entry: InlineTask) -> Callable[[Row], Example]:
    """The function that reads prompt and target from a row whose columns say what is what."""

    def example(row: Row) -> Example:
        return row_formats.read(renamed(row, entry), entry.format).example(entry.loss)

    return example


def others_of(right: str, entries: list[str], may_be_empty: bool) -> list[str]:
    """The right answers besides the target, in their order, once; blank ones count only where no answer may be right."""
    stripped = [entry if entry.strip() else "" for entry in entries]
    return [entry for entry in dict.fromkeys(stripped) if entry != right and (entry or may_be_empty)]


def check_turns(target: Template, row: Row) -> None:
    """Raises DataError if the target is a turn of a conversation that is no answer: rows with a system turn shift the others."""
    for field in target.fields:
        if role := field.asking_role(row):
            last = Field(field.column, ("-1", *field.keys[1:])).name
            raise DataError(f"target {{{field.name}}} is a turn of '{role}'; count turns from the end, as {{{last}}}")


def group_of(group: Template, row: Row) -> str:
    """The source document of a row; empty, and so a group of its own, if the row names none."""
    try:
        return group.fill(row)
    except KeyError:
        return ""


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
    if not may_be_empty(entry):
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
    problems = [line for name in entry.metrics if (line := metric_problem(name, entry.answer))]
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
    if name in metrics.NEEDS_FIELDS:
        return f"metrics: {name} needs {metrics.NEEDS_FIELDS[name]}, which only a shipped task has. See docs/recipes.md for the others."
    if name not in allowed:
        return f"metrics: there is no metric '{name}'. {FAMILIAR_METRICS.get(name.lower()) or suggest(name, allowed)}"
    if name in metrics.READS_JSON and answer != "json":
        return f"metrics: {name} compares JSON objects, and answer is {answer}. Write answer: json, or take another metric."
    return ""


def shared_fields(entry: InlineTask) -> list[str]:
    """Fields of the target that the prompt shows, in whole or in part, as the prompt names them."""
    answers = [*fields_of(entry.target), *fields_of(entry.accepted)]
    pairs = [(one, other) for one in fields_of(entry.prompt) for other in answers if one.column == other.column]
    nested = [one.name for one, other in pairs if all(key == same for key, same in zip(one.keys, other.keys, strict=False))]
    return list(dict.fromkeys(nested))


def label_names(entry: InlineTask) -> tuple[str, ...]:
    """The closed set of targets: the choices, or the labels of the column that is the target; empty if there is none."""
    fields = fields_of(entry.target)
    is_column = len(fields) == 1 and entry.target.strip() == f"{{{fields[0].column}}}"
    return entry.choices or (entry.labels.get(fields[0].column, ()) if is_column else ())


def closed_set(spec: str | dict[str, Any]) -> tuple[str, ...]:
    """The label_names of an inline task; empty for a shipped one."""
    return () if isinstance(spec, str) else label_names(InlineTask.model_validate(spec))


def used_columns(entry: InlineTask) -> dict[str, str]:
    """The columns that the templates use, each with the first template that does."""
    columns: dict[str, str] = {}
    for name in ("prompt", "target", "accepted", "group"):
        text = getattr(entry, name)
        columns |= {field.column: name for field in fields_of(text) if field.column not in columns}
    return columns


def fields_of(text: str) -> list[Field]:
    """The fields of a template; none of one that is malformed."""
    try:
        return Template(text, {}).fields
    except TemplateError:
        return []


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
