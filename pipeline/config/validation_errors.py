"""Turns validation errors into lines a user can act on: what a key must be, what it is, what to write instead."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from pipeline.config import peer_keys, spellings
from pipeline.errors import suggest

KeysAt = Callable[[tuple[Any, ...]], Mapping[str, FieldInfo]]
"""The keys allowed at a location in a recipe, with their fields."""
SECOND_NAME = (
    "Keep the data that base and fine-tuned are compared on; validation examples are drawn from data.train (prepare.dev_examples)."
)
MIN_SIMILARITY = 0.25
"""The difflib ratio from which a word is suggested for another."""


def describe_errors(errors: list[Any], raw: Mapping[str, Any], keys: KeysAt, raw_texts: Any = None) -> list[str]:
    """One line for every wrong location: what it must be, what it is, what to do.

    Args:
        errors: those of pydantic.
        raw: the recipe as it is in the file.
        raw_texts: the same with every value as its text in the file, if known.
    """
    errors_at: dict[tuple[Any, ...], list[Any]] = {}
    for error in errors:
        if error["type"] != "too_short" or not error["input"]:  # else its entries are wrong, and each has a line
            errors_at.setdefault(location_of(error, raw), []).append(error)
    inner = [
        location
        for location in errors_at
        if not any(location == other[: len(location)] for other in errors_at if len(other) > len(location))
    ]
    return list(dict.fromkeys(describe_location(location, errors_at[location], raw, keys, raw_texts) for location in inner))


def describe_location(location: tuple[Any, ...], errors: list[Any], raw: Mapping[str, Any], keys: KeysAt, raw_texts: Any = None) -> str:
    """One line per location. Several errors at one location are the branches of a union that all fail."""
    error_type = errors[0]["type"]
    value = errors[0]["input"]
    key_path = dotted_path(location, raw)
    if error_type == "extra_forbidden":
        return unknown_key(location, keys(location[:-1]), raw)
    if error_type == "missing":
        description = keys(location[:-1])[location[-1]].description
        return f"{key_path} is missing. Add it{f': {description[0].lower()}{description[1:]}' if description else '.'}"
    fault = next((error for error in errors if error["type"] == "value_error"), None)  # of a union the branch that got furthest
    if fault is not None:
        message = str(fault["msg"]).removeprefix("Value error, ") + "."
        return f"{key_path}: {message}" if message.startswith("'") else message  # of a value that says nothing of its key
    if "string_type" in {error["type"] for error in errors} and (text := text_at(raw_texts, location, value)):
        meaning = "nothing" if value is None else spell_value(value)
        return f"{key_path} must be text (YAML reads {text} as {meaning}). Put it in quotes: '{text}'."
    if value is None:
        return f"{key_path} is empty. Give it a value, or leave the line out."
    requirement = " or ".join(dict.fromkeys(requirement_of(error) for error in errors))
    return f"{key_path} must be {requirement} (it is {spell_value(value)}). {remedy(location, value, errors)}".rstrip()


def unknown_key(location: tuple[Any, ...], fields: Mapping[str, FieldInfo], raw: Mapping[str, Any]) -> str:
    """The line on a key that does not exist: the key of that meaning, the first of two names of one key, or the nearest key."""
    key_path = dotted_path(location, raw)
    name = str(location[-1])
    beside: Any = raw
    for part in location[:-1]:
        beside = beside[part]
    for field_name, field in fields.items():
        if name in (names := spellings.names_of(field)):
            first = next(other for other in names if other in beside)
            also = f", as is {first}" if first != field_name else ""
            return f"{key_path} is a second name of {location[-2]}.{field_name}{also}. {SECOND_NAME}"
    if len(location) <= 2 and (advice := peer_keys.advice(name, beside[location[-1]], beside)):
        return f"{key_path} is not a key. {advice}"
    return f"{key_path} is not a key. {remedy_for_key(location, fields)}"


def remedy_for_key(location: tuple[Any, ...], keys: Mapping[str, FieldInfo]) -> str:
    """The nearest key, or the section that has it; with the section's name in front, as a sweep and the command line need it."""
    if len(location) == 1 and (sections := [name for name in keys if location[0] in spellings.keys_of_section(keys[name])]):
        return f"Did you mean '{sections[0]}.{location[0]}'?"
    if len(location) != 2:
        return suggest(str(location[-1]), keys)
    return nearest(str(location[-1]), keys, "docs/recipes.md", f"{location[0]}.")


def nearest(word: str, words: Iterable[str], see: str, prefix: str = "") -> str:
    """A remedy for an unknown word: the nearest one, or up to five near ones, and where to see all of them.

    Args:
        see: where all words are listed.
        prefix: written before every word.
    """
    words = sorted(set(words))
    if near := get_close_matches(word, words, n=1):
        return f"Did you mean '{prefix}{near[0]}'?"
    near_words = get_close_matches(word, words, n=5, cutoff=MIN_SIMILARITY)
    if not near_words:
        return f"See {see} for all of them."
    return f"The nearest {'are' if near_words[1:] else 'is'} {', '.join(prefix + name for name in near_words)}; all: {see}."


EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "invalid_key": "text",
    "too_short": "a list with at least one entry",
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "letters, digits, '.', '_' or '-' after a letter or digit",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
}


def requirement_of(error: Any) -> str:
    template = EXPECTED.get(error["type"], str(error["msg"]).removeprefix("Input should be "))
    return template.format_map({name: f"{value:g}" if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()})


def remedy(location: tuple[Any, ...], value: Any, errors: list[Any]) -> str:
    """What to write instead; empty if that is unclear."""
    error_types = {error["type"] for error in errors}
    if isinstance(value, str) and error_types & {"int_type", "float_type"} and is_finite_number(value):
        number = float(value)
        literal = repr(int(number) if "int_type" in error_types and number.is_integer() else number)
        return f"In quotes it is text; write {literal}."
    if "literal_error" in error_types and isinstance(value, str):
        near = get_close_matches(
            value, re.findall(r"'([^']+)'", " ".join(error.get("ctx", {}).get("expected", "") for error in errors)), n=1
        )
        return f"Did you mean '{near[0]}'?" if near else ""
    if error_types & {"tuple_type", "list_type"} and location[-1] == "seeds":
        return "Write the seeds themselves, as [0, 1, 2]."  # 3 may mean three seeds or the seed 3
    if error_types & {"tuple_type", "list_type"}:
        return f"Write [{spell_value(value)}]." if not isinstance(value, dict) else "Begin each entry with a dash."
    if error_types == {"bool_type"} and isinstance(value, str):
        return "Write true or false, or yes or no, without quotes."
    if error_types == {"string_type"} and not isinstance(value, dict | list):
        return f"Put it in quotes: '{str(value).lower() if isinstance(value, bool) else value}'."
    if isinstance(value, float) and value > 0 and str(location[-1]) in ("epochs", "finetune.epochs"):
        return peer_keys.PART_OF_EPOCH
    if errors[0].get("ctx", {}).get("lt") == 1 and 2 <= value <= 100:
        return f"For {value:g} % write {value / 100:g}."
    return ""


def text_at(raw_texts: Any, location: tuple[Any, ...], value: Any) -> str:
    """The text of the recipe that YAML reads as `value`, if it is written differently; else empty."""
    for part in location:
        try:
            raw_texts = raw_texts[part]
        except (LookupError, TypeError):
            return ""
    try:
        if not isinstance(raw_texts, str) or not raw_texts.strip() or yaml.safe_load(raw_texts) != value:
            return ""
    except yaml.YAMLError:
        return ""  # the value comes from the command line, and the file has a text here
    return raw_texts if value is None or raw_texts != spell_value(value) else ""


def dotted_path(location: tuple[Any, ...], raw: Mapping[str, Any]) -> str:
    """A location as users write it: dotted keys, and a task by its name."""
    parts = [str(part) for part in location[:1]]
    for part in location[1:]:
        entry = raw[parts[0]][part] if parts in (["tasks"], ["references"], ["variants"]) and isinstance(part, int) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        parts.append(name if isinstance(name, str) else f"[{part}]" if isinstance(part, int) else str(part))
    return ".".join(parts).replace(".[", "[")


def spell_value(value: Any) -> str:
    """A value as JSON, cut to 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def location_of(error: Any, raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a mistake is in the recipe: the parts of a pydantic location that the recipe holds, and a missing key.

    Other parts name branches of a union (`int`, `literal['a','b']`) or wrappers.
    """
    location: list[Any] = []
    value: Any = raw
    for part in error["loc"]:
        if (isinstance(value, Mapping) and part in value) or (isinstance(value, list | tuple) and isinstance(part, int)):
            location, value = [*location, part], value[part]
    return (*location, error["loc"][-1]) if error["type"] == "missing" else tuple(location)


def is_finite_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False
