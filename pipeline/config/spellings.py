"""Reads the plain words of a YAML file as their keys ask: `2e-4` as a number, `yes` as a boolean, both as text where text is expected."""

import re
from collections.abc import Iterable
from decimal import Decimal
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from pipeline.config.yaml_text import SCIENTIFIC, PlainWord

UNKNOWN = (float, int, bool)
"""The types of a key that does not exist: a message shows what the value most likely means."""


def understood(value: Any, types: Iterable[Any]) -> Any:
    """The value with every plain word in it read as one of the types of its key: a number, a boolean, or the text as it is written."""
    branches = [branch for hint in types for branch in branches_of(hint)]
    if isinstance(value, PlainWord):
        return read_word(value, branches)
    if isinstance(value, dict):
        return {plain_key(key): understood(entry, types_of_key(key, branches)) for key, entry in value.items()}
    if isinstance(value, list):
        entries = [part for branch in branches if get_origin(branch) in (tuple, list) for part in get_args(branch) if part is not ...]
        return [understood(entry, entries or UNKNOWN) for entry in value]
    return value


def read_word(word: PlainWord, branches: list[Any]) -> Any:
    """A plain word as a boolean or a number where its key expects one; else as text."""
    if not re.fullmatch(SCIENTIFIC, word):
        return word.lower() in ("yes", "on") if bool in branches else str(word)
    if not ({int, float} & set(branches) and isfinite(float(word))):
        return str(word)
    exact = Decimal(word)
    return int(exact) if int in branches and exact == int(exact) else float(word)


def branches_of(hint: Any) -> list[Any]:
    """The types that a hint allows, without their constraints."""
    if get_origin(hint) is Annotated:
        return branches_of(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [branch for part in get_args(hint) for branch in branches_of(part)]
    return [hint]


def types_of_key(key: Any, branches: list[Any]) -> Iterable[Any]:
    """The types of what a mapping holds under a key."""
    types = [get_args(branch)[1] for branch in branches if get_origin(branch) is dict]
    sections = [branch for branch in branches if isinstance(branch, type) and issubclass(branch, BaseModel)]
    fields = [field_at(section, key) for section in sections]
    return [*types, *(field.annotation for field in fields if field)] or UNKNOWN


def field_at(section: type[BaseModel], key: Any) -> FieldInfo | None:
    """The field of a section that a key names, under any of its names."""
    return next((field for name, field in section.model_fields.items() if key == name or key in names_of(field)), None)


def keys_of_section(field: FieldInfo) -> Iterable[str]:
    """The keys of a section; none of a field that is no section."""
    section = field.annotation
    return section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else ()


def names_of(field: FieldInfo) -> list[str]:
    """The names that a field has in a recipe besides its own, and its own."""
    alias = field.validation_alias
    return [name for name in alias.choices if isinstance(name, str)] if isinstance(alias, AliasChoices) else []


def plain_key(key: Any) -> Any:
    return str(key) if isinstance(key, PlainWord) else key


def understood_sweep(sweep: Any, recipe: type[BaseModel]) -> Any:
    """The values of a sweep, each read as the dotted key of the recipe that it is for."""
    if isinstance(sweep, list):
        return [understood_point(point, recipe) for point in sweep]
    if not isinstance(sweep, dict):
        return understood(sweep, UNKNOWN)
    read = {}
    for key, values in sweep.items():
        types = types_at(key, recipe)
        if isinstance(values, list):
            read[plain_key(key)] = [understood(value, types) for value in values]
        else:
            read[plain_key(key)] = understood(values, UNKNOWN if isinstance(values, dict) else types)
    return read


def understood_point(point: Any, recipe: type[BaseModel]) -> Any:
    """The values of one point of a sweep."""
    if not isinstance(point, dict):
        return understood(point, UNKNOWN)
    return {plain_key(key): understood(value, types_at(key, recipe)) for key, value in point.items()}


def types_at(dotted: Any, recipe: type[BaseModel]) -> Iterable[Any]:
    """The types of a dotted key of a recipe."""
    types: Iterable[Any] = [recipe]
    for part in str(dotted).split("."):
        types = types_of_key(part, [branch for hint in types for branch in branches_of(hint)])
    return types


def is_whole(dotted: str, recipe: type[BaseModel]) -> bool:
    """Whether a dotted key takes whole numbers and no others."""
    branches = [branch for hint in types_at(dotted, recipe) for branch in branches_of(hint)]
    return int in branches and float not in branches
