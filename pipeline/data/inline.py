"""Builds tasks written inline in a recipe: a source, templates for prompt and target, and the name of a parser.

In a template `{column}` stands for a column's value, `{column[key]}` for a part of it (a key of an object or an index of a list), and
`{{` for a brace. A value that is not text is written as JSON.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from string import Formatter
from typing import Any

from pipeline import metrics
from pipeline.config.schema import Data, InlineTask
from pipeline.data import source, task
from pipeline.data.task import Row, Source, Task
from pipeline.errors import DataError, RecipeError, suggest
from pipeline.scoring import parsers
from pipeline.store.records import Example

PARSERS = {"text": parsers.text, "first_line": parsers.first_line, "choice": parsers.choice, "number": parsers.number, "json": parsers.json}


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
                source.local_file(part)
            except DataError as error:
                raise DataError(f"task '{entry.name}': {error.problem}", error.remedy) from None
    return built


def spec(entry: str | InlineTask) -> str | dict[str, Any]:
    """The entry as plain JSON values, from which a stage rebuilds the task."""
    return entry if isinstance(entry, str) else entry.model_dump(mode="json")


def from_spec(spec: str | dict[str, Any]) -> Task:
    """The task of a spec(), without a check of its data."""
    return task.find(spec) if isinstance(spec, str) else build_task(InlineTask.model_validate(spec))


def columns(spec: str | dict[str, Any]) -> dict[str, str]:
    """Columns that the templates of an inline task use, each with the first template that uses it; empty for a shipped task."""
    return {} if isinstance(spec, str) else used_columns(InlineTask.model_validate(spec))


def check_columns(spec: str | dict[str, Any], available: tuple[str, ...], location: str) -> None:
    """Check that a source has the columns that the templates use.

    Raises:
        DataError: lists every missing column, with the nearest that exists.
    """
    faults = [(template, column) for column, template in columns(spec).items() if column not in available]
    if faults:
        problem = "; ".join(f"{template} uses {{{column}}}, but {location} has no such column" for template, column in faults)
        near = [get_close_matches(column, available, n=1) for _, column in faults]
        remedy = " ".join(f"Did you mean {{{names[0]}}}?" for names in near if names)
        raise DataError(f"{problem}.", remedy if all(near) else f"{remedy} Its columns: {', '.join(available)}.".strip())


def source_of(data: Data, split: str) -> Source:
    """The source of a split: a file, unless a hub data set or a folder is named."""
    if data.hub or data.folder:
        return Source(split, hub=data.hub, config=data.config, revision=data.revision, folder=data.folder)
    return Source(path=split)


def build_task(entry: InlineTask) -> Task:
    return Task(
        name=entry.name,
        about="written in the recipe",
        train=(source_of(entry.data, entry.data.train),),
        heldout=(source_of(entry.data, entry.data.heldout),),
        example=example_maker(entry),
        answer=PARSERS[entry.answer],
        metrics=entry.metrics,
        max_new_tokens=entry.max_new_tokens,
        choices=entry.choices,
        stop=entry.stop,
        grounded="text" if entry.grounded else "",
    )


def example_maker(entry: InlineTask) -> Callable[[Row], Example]:
    """The function that turns a row into an Example with an empty id, which `prepare` fills in."""
    prompt, target, group = (Template(text, entry.labels) for text in (entry.prompt, entry.target, entry.group))

    def example(row: Row) -> Example:
        right = target.fill(row)
        if entry.choices and right and right not in entry.choices:
            raise DataError(f"the target {right!r} is not one of the choices", f"Choices: {', '.join(entry.choices)}.")
        return Example("", prompt.fill(row), right, entry.choices, group.fill(row))

    return example


class TemplateError(ValueError):
    """A template is malformed; the message names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Field:
    """`{column}` or `{column[key][key]}`."""

    column: str
    keys: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Field":
        column, *keys = text.split("[")
        if not column.strip() or not all(key.endswith("]") and len(key) > 1 for key in keys):
            raise TemplateError(f"{{{text}}} is not a column: write {{column}} or {{column[key]}}, and {{{{ for a brace")
        return cls(column, tuple(key[:-1] for key in keys))

    def value(self, row: Mapping[str, Any]) -> Any:
        """Raises KeyError if the row has no value there."""
        value = row.get(self.column)
        for key in self.keys:
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]  # type: ignore[index]
            except (LookupError, TypeError, ValueError):
                value = None
        if value is None:
            raise KeyError(f"{self.column}{''.join(f'[{key}]' for key in self.keys)}")
        return value


class Template:
    """Text with fields that are filled from a row."""

    def __init__(self, text: str, labels: Mapping[str, tuple[str, ...]]) -> None:
        """Raises ValueError: the text is no template (a TemplateError, or what string.Formatter says)."""
        self.labels = labels
        check_braces(text)
        self.parts: list[tuple[str, Field | None]] = []
        for before, name, form, conversion in Formatter().parse(text):
            if form or conversion:
                raise TemplateError(f"{{{name}}} asks for a format; leave out what follows : or !")
            self.parts.append((before, None if name is None else Field.parse(name)))

    @property
    def fields(self) -> list[Field]:
        return [field for _, field in self.parts if field is not None]

    def fill(self, row: Mapping[str, Any]) -> str:
        """The text for a row; empty if every field is blank.

        Raises:
            KeyError: the row lacks a field.
            DataError: a number has no label.
        """
        values = [self.render(field, row) for field in self.fields]
        if values and not any(value.strip() for value in values):
            return ""
        filled = iter(values)
        return "".join(before + (next(filled) if field else "") for before, field in self.parts)

    def render(self, field: Field, row: Mapping[str, Any]) -> str:
        value = field.value(row)
        if field.column in self.labels and not field.keys:
            return label_of(value, field.column, self.labels[field.column])
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def check_braces(text: str) -> None:
    """Raises TemplateError if a brace of a template has no partner."""
    for brace in re.finditer(r"\{\{|\}\}|\{[^{}]*\}|(?P<open>\{\w*)|(?P<close>\})", text):
        if brace["open"]:
            field = brace["open"] if brace["open"] != "{" else "{column"
            raise TemplateError(f"{brace['open']} is not closed: write {field}}}, or {{{{ for a brace")
        if brace["close"]:
            raise TemplateError("unmatched }: write }} for a brace")


def label_of(value: Any, column: str, names: tuple[str, ...]) -> str:
    """The label of a class number, which may be text."""
    try:
        number = int(value)
        is_whole = number == float(value)
    except (TypeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole or not 0 <= number < len(names):
        raise DataError(
            f"{column} is {value!r}, and its labels are for 0 to {len(names) - 1}",
            f"Add a name for it to labels.{column}, or take the row out.",
        )
    return names[number]


def template_problems(entry: InlineTask) -> list[str]:
    problems = []
    for name in ("prompt", "target", "group"):
        text = getattr(entry, name)
        try:
            fields = Template(text, {}).fields
        except TemplateError as error:
            problems.append(f"{name}: {error}.")
            continue
        except ValueError as error:  # of string.Formatter
            problems.append(f"{name}: {error} in {text!r}. Write {{{{ for a brace.")
            continue
        if not fields and (text or name != "group"):
            problems.append(f"{name} names no {{column}}, so it would be the same for every row (it is {text!r}).")
    return problems


def name_problems(entry: InlineTask) -> list[str]:
    """Problems with the names of metrics, labels and choices."""
    problems = [line for name in entry.metrics if (line := metric_problem(name, entry.answer))]
    used = used_columns(entry)
    problems += [f"labels.{name}: no template uses {{{name}}}. {suggest(name, used)}" for name in entry.labels if used and name not in used]
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
        return f"metrics: there is no metric '{name}'. {suggest(name, allowed)}"
    if name in metrics.READS_JSON and answer != "json":
        return f"metrics: {name} compares JSON objects, and answer is {answer}. Write answer: json, or take another metric."
    return ""


def used_columns(entry: InlineTask) -> dict[str, str]:
    used: dict[str, str] = {}
    for name in ("prompt", "target", "group"):
        try:
            fields = Template(getattr(entry, name), {}).fields
        except ValueError:
            continue
        used |= {field.column: name for field in fields if field.column not in used}
    return used


def data_problems(data: Data) -> list[str]:
    problems = []
    if data.hub and data.folder:
        problems.append("data names both a hub data set and a folder. Keep one of them.")
    if not data.hub and (data.config or data.revision):
        problems.append("data: config and revision belong to a hub data set. Leave them out, or add hub: owner/name.")
    if data.hub and Path(data.hub).suffix in (".jsonl", ".json", ".csv", ".parquet", ".gz"):
        problems.append(f"data.hub is {data.hub!r}, which looks like a file. Name files in data.train and data.heldout, without hub.")
    if data.train == data.heldout:
        problems.append(f"data.train and data.heldout are both {data.train!r}. What is compared on must not be what was trained on.")
    return problems
