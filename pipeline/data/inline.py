"""Builds tasks written inline in a recipe: a source, templates for prompt and target, and the name of a parser."""

import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pipeline import metrics
from pipeline.config.schema import Data, InlineTask, is_own_task
from pipeline.data import harness_task, inline_checks, lm_eval_samples, own_task, row_formats, source, task, thoughts
from pipeline.data.inline_fields import has_templates, label_names, may_be_empty, used_columns
from pipeline.data.make_examples import CUT
from pipeline.data.task import Row, Source, Task
from pipeline.data.templates import Field, Template
from pipeline.errors import DataError, RecipeError, suggest
from pipeline.metrics import user_metric
from pipeline.scoring import parsers
from pipeline.store.records import ACCEPTED, Example

PARSERS = {
    "text": parsers.text,
    "first_line": parsers.first_line,
    "choice": parsers.choice,
    "json": parsers.json,
    "tool_call": parsers.tool_call,
}
LATER_KEYS = ("decimal_mark", "span", "defaults", "cut", "accepted", "format", "columns", "loss", "thinking")
"""Keys that artifacts were made without; they enter a key only where they differ from their default."""


Entry = str | InlineTask | harness_task.Spec
"""The name of a shipped task, a task written in the recipe, or what the name of a task of lm-evaluation-harness was resolved to."""
Spec = str | dict[str, Any]
"""The entry as plain JSON values."""


def find(entry: Entry) -> Task:
    """The task of an entry under `tasks` in a recipe.

    Raises:
        RecipeError: there is no such task, or the entry contradicts itself; lists every mistake.
        DataError: a data file of the entry is missing.
    """
    if isinstance(entry, dict):
        return harness_task.build_task(entry)
    if isinstance(entry, str) and not is_own_task(entry):
        return task.find(entry)
    if isinstance(entry, InlineTask) and (mistakes := inline_checks.problems(entry)):
        raise RecipeError("\n".join(f"task '{entry.name}': {line}" for line in mistakes))
    built = from_spec(spec(entry))
    if isinstance(entry, InlineTask):  # its own sources remember the folder of the recipe, for messages
        bare = build_task(entry)
        built = replace(built, train=bare.train, heldout=bare.heldout)
    for part in source.local_parts((*built.train, *built.heldout)):
        try:
            source.local_files(part)
        except DataError as error:
            raise DataError(f"task '{built.name}': {error.problem}", error.remedy) from None
    return built


def spec(entry: Entry) -> Spec:
    """The entry as plain JSON values, from which a stage rebuilds the task."""
    if isinstance(entry, dict):
        return entry
    if isinstance(entry, str):
        return own_task.spec(entry) if is_own_task(entry) else entry
    defaults = {name: InlineTask.model_fields[name].default for name in LATER_KEYS}
    names, code = user_metric.split(entry.metrics, metrics.names())
    values = {name: value for name, value in entry.model_dump(mode="json").items() if name not in defaults or value != defaults[name]}
    return {**values, "metrics": list(names), "code": code} if code else values


def from_spec(spec: Spec) -> Task:
    """The task of a spec(), without a check of its data."""
    if isinstance(spec, str):
        return task.find(spec)
    if harness_task.is_spec(spec):
        return harness_task.build_task(spec)
    entry = entry_of(spec)
    if entry is None:
        return own_task.build(spec)
    return replace(build_task(entry), code=spec["code"]) if "code" in spec else build_task(entry)


def entry_of(spec: object) -> InlineTask | None:
    """The inline task of a spec(); None where it is of a shipped task, of a Python file or of lm-evaluation-harness."""
    if not isinstance(spec, dict) or own_task.OWN_TASK in spec or harness_task.is_spec(spec):
        return None
    return InlineTask.model_validate({name: value for name, value in spec.items() if name != "code"})


def columns(spec: Spec) -> dict[str, str]:
    """Columns that an inline task uses, each with the first template that does; empty where all may be: of a shipped task or a format."""
    entry = entry_of(spec)
    return used_columns(entry) if entry and has_templates(entry) else {}


def check_columns(spec: Spec, available: tuple[str, ...], location: str) -> None:
    """Check that a source has the columns that the templates use.

    Raises:
        DataError: lists every missing column, with the nearest that exists.
    """
    entry = entry_of(spec)
    if entry and not has_templates(entry):
        check_format(entry, available, location)
        return
    optional = {Field.parse(name).column for name in entry.defaults} if entry else set()
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
    for name, column in entry.columns.items():
        if column not in available:
            raise DataError(f"columns.{name} is {column!r}, and {location} has no such column.", suggest(column, available))
    try:
        row_formats.recognized(tuple(renamed(dict.fromkeys(available), entry)), entry.format)
    except DataError as error:
        raise DataError(f"{location}: {error.problem}", error.remedy) from None
    for column, key in used_columns(entry).items():
        if column not in available:
            raise DataError(f"{key} uses {{{column}}}, but {location} has no such column.", suggest(column, available))


def renamed(row: Row, entry: InlineTask) -> Row:
    """The row with the columns of a format under the format's own names; thoughts stand in the answers where the task reads them."""
    names = {column: name for name, column in entry.columns.items()}
    renamed = {names.get(column, column): value for column, value in row.items() if column in names or column not in entry.columns}
    return thoughts.folded(renamed) if entry.thinking else renamed


def thinks(entry: Entry) -> bool:
    """Whether models think before they answer the task."""
    return isinstance(entry, InlineTask) and entry.thinking


def source_of(data: Data, split: str) -> Source:
    """The source of a split: a file, unless a hub data set or a folder is named."""
    if data.hub or data.folder:
        names = data.model_dump(include={"hub", "config", "revision", "folder"})
        return Source(split, **names, recipe_folder=data.recipe_folder)
    return Source(path=split, recipe_folder=data.recipe_folder)


def build_task(entry: InlineTask) -> Task:
    heldout = source_of(entry.data, entry.data.heldout)
    if entry.format == lm_eval_samples.FORMAT:
        heldout = replace(heldout, keep=lm_eval_samples.keep(entry.metrics))
    return Task(
        name=entry.name,
        about="written in the recipe",
        train=() if entry.data.train is None else (source_of(entry.data, entry.data.train),),
        heldout=(heldout,),
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
    answer = "number" if entry.answer == "text" and set(entry.metrics) <= metrics.READS_NUMBERS else entry.answer
    parse = PARSERS.get(answer) or parsers.number_in(entry.decimal_mark)
    return parsers.or_empty(parse) if may_be_empty(entry) else parse


def example_maker(entry: InlineTask) -> Callable[[Row], Example]:
    """The function that turns a row into an Example with an empty id, which `prepare` fills in."""
    group = Template(entry.group, entry.labels, entry.defaults)
    others = Template(entry.accepted, entry.labels) if entry.accepted else None
    question_and_answer = from_templates(entry) if has_templates(entry) else from_format(entry)

    def example(row: Row) -> Example:
        bare = thoughts.apart(question_and_answer(row)) if entry.thinking else question_and_answer(row)
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


def closed_set(spec: Spec) -> tuple[str, ...]:
    """The label_names of an inline task; empty for another one."""
    return label_names(entry) if (entry := entry_of(spec)) else ()


def reads_calls(spec: Spec) -> bool:
    """Whether answers of a task are read as calls of tools."""
    entry = entry_of(spec)
    return entry is not None and entry.answer == "tool_call"
