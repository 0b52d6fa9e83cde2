"""Templates of inline tasks: text with fields that a row fills.

`{column}` stands for a column's value, `{column[key]}` for a part of it (a key of an object, or an index of a list, from the end if it
is negative), and `{{` for a brace. Text, dates and decimals stand as they are; any other value is written as JSON.
"""

import datetime
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.config.schema import Labels
from pipeline.errors import DataError

TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}|(?P<open>\{\w*)|(?P<close>\})")
WHOLE_NUMBER = re.compile(r"\s*[-+]?[0-9]+(?:\.0*)?\s*")
"""A whole number as text, with or without the zeros that a column with gaps gives it."""
TEXT_TYPES = (Decimal, datetime.date, datetime.time, datetime.timedelta)
"""Types that JSON lacks and that have one usual spelling; a datetime is a date."""
ASKING_ROLES = ("system", "developer", "user", "human", "tool", "function")
"""Roles of a conversation whose turns are no answers."""


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

    @property
    def name(self) -> str:
        """As a template spells it, without the braces."""
        return f"{self.column}{''.join(f'[{key}]' for key in self.keys)}"

    def value(self, row: Mapping[str, Any]) -> Any:
        """The value in a row; None if it has none there."""
        value = row.get(self.column)
        for key in self.keys:
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]  # type: ignore[index]
            except (LookupError, TypeError, ValueError):
                return None
        return None if is_missing(value) else value

    def turns(self, row: Mapping[str, Any]) -> list[str]:
        """The roles of the conversation that the field picks a turn of; empty if it is none."""
        turns = row.get(self.column) if self.turn is not None else None
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            return []
        roles = [str(turn.get("role") or turn.get("from") or "") for turn in turns]
        return roles if all(roles) else []

    def asking_role(self, row: Mapping[str, Any]) -> str:
        """The role of the turn that the field picks, if such a turn is not an answer; else empty."""
        roles, turn = self.turns(row), self.turn
        role = roles[turn] if turn is not None and -len(roles) <= turn < len(roles) else ""
        return role if role.lower() in ASKING_ROLES else ""

    @property
    def turn(self) -> int | None:
        """The index of the list's entry that the field picks."""
        return int(self.keys[0]) if self.keys and re.fullmatch(r"-?[0-9]+", self.keys[0]) else None


class Template:
    """Text with fields that are filled from a row.

    Args:
        labels: names for the numbers in a column, by column.
        defaults: what stands for a field that is missing or blank, by the field's name.
    """

    def __init__(self, text: str, labels: Mapping[str, Labels], defaults: Mapping[str, str] | None = None) -> None:
        """Raises TemplateError: the text is no template."""
        self.labels, self.defaults = labels, defaults or {}
        self.parts = parse(text)

    @property
    def fields(self) -> list[Field]:
        return [part for part in self.parts if isinstance(part, Field)]

    def fill(self, row: Mapping[str, Any]) -> str:
        """The text for a row; empty if every field is blank.

        Raises:
            KeyError: the row lacks a field.
            DataError: a value cannot be written, or a number has no label.
        """
        filled = [self.render(part, row) if isinstance(part, Field) else part for part in self.parts]
        values = [text for part, text in zip(self.parts, filled, strict=True) if isinstance(part, Field)]
        return "" if values and not any(value.strip() for value in values) else "".join(filled)

    def span(self, row: Mapping[str, Any], column: str) -> list[int]:
        """Start and end, in the text for a row, of what a column fills in first."""
        position = 0
        for part in self.parts:
            length = len(self.render(part, row) if isinstance(part, Field) else part)
            if isinstance(part, Field) and part.column == column:
                return [position, position + length]
            position += length
        raise KeyError(column)

    def render(self, field: Field, row: Mapping[str, Any]) -> str:
        value = field.value(row)
        if field.name in self.defaults and is_blank(value):
            return self.defaults[field.name]
        if value is None:
            raise KeyError(field.name)
        return self.spelled(field, value)

    def spelled(self, field: Field, value: Any) -> str:
        if field.column in self.labels and not field.keys:
            return label_of(value, field.column, self.labels[field.column])
        return value_text(value, field.name)

    def fill_each(self, row: Mapping[str, Any]) -> list[str]:
        """The text for each entry of the list that the only field holds; none for a list that is missing, nothing for a missing entry.

        Raises DataError if the field holds no list, or an entry cannot be written.
        """
        (field,) = self.fields
        entries = [entry for entry in listed_values(field.value(row), field.name) if not is_missing(entry)]
        return ["".join(self.spelled(field, entry) if isinstance(part, Field) else part for part in self.parts) for entry in entries]


def listed_values(value: Any, name: str) -> list[Any]:
    """The entries of a list, which may be text in JSON, as CSV files hold it. Raises DataError if the value is none."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if value is not None and not isinstance(value, list | tuple):
        raise DataError(f"{name} is {value!r}, where a list of right answers is expected")
    return list(value or ())


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_blank(value: Any) -> bool:
    """Whether a default stands in for a value: it is missing, or text without a letter."""
    return value is None or (isinstance(value, str) and not value.strip())


def parse(text: str) -> list[str | Field]:
    """The plain parts and the fields of a template, in order."""
    parts: list[str | Field] = []
    end = 0
    for token in TOKEN.finditer(text):
        if token["open"]:
            field = token["open"] if token["open"] != "{" else "{column"
            raise TemplateError(f"{token['open']} is not closed: write {field}}}, or {{{{ for a brace")
        if token["close"]:
            raise TemplateError("unmatched }: write }} for a brace")
        parts += [text[end : token.start()], token["brace"][0] if token["brace"] else Field.parse(token["field"])]
        end = token.end()
    return [*parts, text[end:]]


def value_text(value: Any, name: str) -> str:
    """A value as text. Raises DataError if it has no spelling."""
    if isinstance(value, str):
        return value
    if isinstance(value, TEXT_TYPES):
        return str(value)
    if isinstance(value, bytes) or (isinstance(value, float) and math.isinf(value)):
        raise DataError(f"{name} is {'binary' if isinstance(value, bytes) else value}, which is neither text nor a number")
    return json.dumps(value, ensure_ascii=False, default=json_value)


def json_value(value: Any) -> float | str:
    """A value that JSON lacks, inside of one that it has."""
    return float(value) if isinstance(value, Decimal) and Decimal(repr(float(value))) == value else str(value)


def label_of(value: Any, column: str, names: Labels) -> str:
    """The label of a class number, which may be text, or of another value that a mapping names."""
    number = whole_number(value)
    if not isinstance(names, tuple):
        spellings = (value_text(value, column), str(number))
        if name := next((names[text] for text in spellings if text in names), None):
            return name
        raise DataError(
            f"{column} is {value!r}, and its labels are for {', '.join(names)}",
            f"Add a name for it to labels.{column}, or take the row out.",
        )
    if number is None or not 0 <= number < len(names):
        raise DataError(
            f"{column} is {value!r}, and its labels are for 0 to {len(names) - 1}",
            f"Add a name for it to labels.{column}, or take the row out.",
        )
    return names[number]


def whole_number(value: Any) -> int | None:
    """The integer that a value is, as `1`, `1.0`, `"1"` and `"1.0"` are; None for any other value."""
    if isinstance(value, str):
        return int(float(value)) if WHOLE_NUMBER.fullmatch(value) else None
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value == int(value) else None
