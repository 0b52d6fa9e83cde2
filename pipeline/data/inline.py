"""Tasks written inline in a recipe: a source, templates for prompt and target, and the name of a parser.

A template says `{column}` where a column's value is to stand, `{column[key]}` for a part of it (a key of an object or a place in a
list), and `{{` for a brace. A value that is not text is spelled as in JSON.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from string import Formatter
from typing import Any

from pipeline.config.schema import Data, InlineTask
from pipeline.data import source, task
from pipeline.data.task import Row, Source, Task
from pipeline.errors import DataError, RecipeError, suggest
from pipeline.scoring import parsers
from pipeline.store.records import Example

PARSERS = {"text": parsers.text, "first_line": parsers.first_line, "choice": parsers.choice, "number": parsers.number, "json": parsers.json}


def find(given: str | InlineTask) -> Task:
    """The task that a recipe's `tasks` entry means.

    Raises:
        RecipeError: there is no such task, or the entry contradicts itself; every mistake in it is said.
        DataError: a data file of the entry is not there.
    """
    if isinstance(given, str):
        return task.find(given)
    if mistakes := [*template_mistakes(given), *name_mistakes(given), *data_mistakes(given.data)]:
        raise RecipeError("\n".join(f"task '{given.name}': {line}" for line in mistakes))
    made = built(given)
    if given.data.hub is None:
        for place in (*made.train, *made.heldout):
            try:
                source.file_of(place)
            except DataError as error:
                raise DataError(f"task '{given.name}': {error.problem}", error.remedy) from None
    return made


def spec(given: str | InlineTask) -> str | dict[str, Any]:
    """What a stage needs to build the task again, as plain JSON values."""
    return given if isinstance(given, str) else given.model_dump(mode="json")


def of_spec(spec: str | dict[str, Any]) -> Task:
    """The task of a spec(), without looking at its data."""
    return task.find(spec) if isinstance(spec, str) else built(InlineTask.model_validate(spec))


def columns(spec: str | dict[str, Any]) -> dict[str, str]:
    """Every column that the templates of an inline task use, with the name of the first template that does; empty for a shipped task."""
    return {} if isinstance(spec, str) else used_columns(InlineTask.model_validate(spec))


def check_columns(spec: str | dict[str, Any], known: tuple[str, ...], where: str) -> None:
    """Compare the templates with a source's columns before a row is drawn.

    Raises:
        DataError: a template names a column that the source does not have; every such one, with the nearest.
    """
    faults = [(template, column) for column, template in columns(spec).items() if column not in known]
    if faults:
        said = "; ".join(f"{template} uses {{{column}}}, but {where} has no such column" for template, column in faults)
        near = [get_close_matches(column, known, n=1) for _, column in faults]
        remedy = " ".join(f"Did you mean {{{found[0]}}}?" for found in near if found)
        raise DataError(f"{said}.", remedy if all(near) else f"{remedy} Its columns: {', '.join(known)}.".strip())


def origin(data: Data, split: str) -> Source:
    """Where the rows of a split are, which is a file unless a hub data set or a folder is named."""
    if data.hub or data.folder:
        return Source(split, hub=data.hub, config=data.config, revision=data.revision, folder=data.folder)
    return Source(path=split)


def built(given: InlineTask) -> Task:
    return Task(
        name=given.name,
        about="written in the recipe",
        train=(origin(given.data, given.data.train),),
        heldout=(origin(given.data, given.data.heldout),),
        example=example_maker(given),
        answer=PARSERS[given.answer],
        metrics=given.metrics,
        max_new_tokens=given.max_new_tokens,
        choices=given.choices,
        stop=given.stop,
        grounded="text" if given.grounded else "",
    )


def example_maker(given: InlineTask) -> Callable[[Row], Example]:
    """The function that makes an Example of a row; its id is left empty, for `prepare` to fill in."""
    prompt, target, group = (Template(text, given.labels) for text in (given.prompt, given.target, given.group))

    def example(row: Row) -> Example:
        right = target.fill(row)
        if given.choices and right and right not in given.choices:
            raise DataError(f"the target {right!r} is not one of the choices", f"Choices: {', '.join(given.choices)}.")
        return Example("", prompt.fill(row), right, given.choices, group.fill(row))

    return example


@dataclass(frozen=True, slots=True)
class Field:
    """`{column}` or `{column[key][key]}`."""

    column: str
    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Field":
        column, *keys = text.split("[")
        if not column.strip() or not all(key.endswith("]") and len(key) > 1 for key in keys):
            raise ValueError(f"{{{text}}} is no column: write {{column}} or {{column[key]}}, and {{{{ for a brace")
        return cls(column, tuple(key[:-1] for key in keys))

    def value(self, row: Mapping[str, Any]) -> Any:
        """Raises KeyError where the row has nothing there."""
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
    """Text with fields to be filled from a row."""

    def __init__(self, text: str, labels: Mapping[str, tuple[str, ...]]) -> None:
        """Raises ValueError: the text is no template."""
        self.labels = labels
        check_braces(text)
        self.parts: list[tuple[str, Field | None]] = []
        for before, name, form, conversion in Formatter().parse(text):
            if form or conversion:
                raise ValueError(f"{{{name}}} asks for a format; leave out what follows : or !")
            self.parts.append((before, None if name is None else Field.of(name)))

    @property
    def fields(self) -> list[Field]:
        return [field for _, field in self.parts if field is not None]

    def fill(self, row: Mapping[str, Any]) -> str:
        """The text for a row; empty where every field is blank, whatever stands around them.

        Raises:
            KeyError: the row lacks a field.
            DataError: a number has no label.
        """
        values = [self.spelled(field, row) for field in self.fields]
        if values and not any(value.strip() for value in values):
            return ""
        filled = iter(values)
        return "".join(before + (next(filled) if field else "") for before, field in self.parts)

    def spelled(self, field: Field, row: Mapping[str, Any]) -> str:
        value = field.value(row)
        if field.column in self.labels and not field.keys:
            return labelled(value, field.column, self.labels[field.column])
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def check_braces(text: str) -> None:
    """Raises ValueError, if a brace of a template stands alone."""
    for found in re.finditer(r"\{\{|\}\}|\{[^{}]*\}|(?P<open>\{\w*)|(?P<close>\})", text):
        if found["open"]:
            raise ValueError(f"{found['open']} is not closed: write {found['open']}}}, or {{{{ for a brace")
        if found["close"]:
            raise ValueError("a } stands without its {: write }} for a brace")


def labelled(value: Any, column: str, names: tuple[str, ...]) -> str:
    """The name of a number, which may stand there as text."""
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


def template_mistakes(given: InlineTask) -> list[str]:
    said = []
    for name in ("prompt", "target", "group"):
        text = getattr(given, name)
        try:
            fields = Template(text, {}).fields
        except ValueError as error:
            said.append(f"{name}: {error}." if "{" in str(error) else f"{name}: {error} in {text!r}. Write {{{{ for a brace.")
            continue
        if not fields and (text or name != "group"):
            said.append(f"{name} names no {{column}}, so it would be the same for every row (it is {text!r}).")
    return said


def name_mistakes(given: InlineTask) -> list[str]:
    """Names that fit no metric, no label and no choice."""
    from pipeline import metrics

    known = metrics.names()
    said = [f"metrics: there is no metric '{name}'. {suggest(name, known)}" for name in given.metrics if name not in known]
    used = used_columns(given)
    said += [f"labels.{name}: no template uses {{{name}}}. {suggest(name, used)}" for name in given.labels if used and name not in used]
    if given.answer == "choice" and not given.choices:
        said.append("answer: choice needs the choices. Add them, as choices: [negative, positive].")
    if any(not name.strip() for name in given.choices) or len(set(given.choices)) < len(given.choices):
        said.append(f"choices must differ, and none may be empty (they are {', '.join(map(repr, given.choices))}).")
    return said


def used_columns(given: InlineTask) -> dict[str, str]:
    used: dict[str, str] = {}
    for name in ("prompt", "target", "group"):
        try:
            fields = Template(getattr(given, name), {}).fields
        except ValueError:
            continue
        used |= {field.column: name for field in fields if field.column not in used}
    return used


def data_mistakes(data: Data) -> list[str]:
    said = []
    if data.hub and data.folder:
        said.append("data names both a hub data set and a folder. Keep one of them.")
    if not data.hub and (data.config or data.revision):
        said.append("data: config and revision belong to a hub data set. Leave them out, or add hub: owner/name.")
    if data.hub and Path(data.hub).suffix in (".jsonl", ".json", ".csv", ".parquet", ".gz"):
        said.append(f"data.hub is {data.hub!r}, which looks like a file. Name files in data.train and data.heldout, without hub.")
    if data.train == data.heldout:
        said.append(f"data.train and data.heldout are both {data.train!r}. What is compared on must not be what was trained on.")
    return said
