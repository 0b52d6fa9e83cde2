"""Mistakes in a recipe as lines that a person can act on: what a place must be, what it is, what to write instead."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any

from pydantic.fields import FieldInfo

from pipeline.errors import suggest

Keys = Callable[[tuple[Any, ...]], Mapping[str, FieldInfo]]
"""The keys that a place of a recipe may hold, with what is known of each."""
FAR = 0.25
"""Ratio of difflib below which two words are too unlike for one to be named for the other."""


def mistakes(errors: list[Any], raw: Mapping[str, Any], keys: Keys) -> list[str]:
    """One line for each place that is wrong: what it must be, what it is, what to do.

    Args:
        errors: what pydantic found.
        raw: the recipe as it was written.
    """
    places: dict[tuple[Any, ...], list[Any]] = {}
    for error in errors:
        if error["type"] != "too_short" or not error["input"]:  # else its entries are wrong, and each has a line
            places.setdefault(place_of(error, raw), []).append(error)
    inner = [place for place in places if not any(place == other[: len(place)] for other in places if len(other) > len(place))]
    return list(dict.fromkeys(say(place, places[place], raw, keys) for place in inner))


def say(place: tuple[Any, ...], errors: list[Any], raw: Mapping[str, Any], keys: Keys) -> str:
    """One line for one place. Several errors there are the branches of a union, none of which fits."""
    kind, given, at = errors[0]["type"], errors[0]["input"], address(place, raw)
    if kind == "extra_forbidden":
        return f"{at} is not a key. {remedy_for_key(place, keys(place[:-1]))}"
    if kind == "missing":
        said = keys(place[:-1])[place[-1]].description
        return f"{at} is missing. Add it{f': {said[0].lower()}{said[1:]}' if said else '.'}"
    if kind == "value_error":
        return str(errors[0]["msg"]).removeprefix("Value error, ") + "."
    if given is None:
        return f"{at} is empty. Give it a value, or leave the line out."
    wanted = " or ".join(dict.fromkeys(expected(error) for error in errors))
    return f"{at} must be {wanted} (it is {spelled(given)}). {remedy(place, given, errors)}".rstrip()


def remedy_for_key(place: tuple[Any, ...], known: Iterable[str]) -> str:
    """The key that was meant; in a section of the recipe with the section's name, as a sweep and the command line need it."""
    if len(place) != 2:
        return suggest(str(place[-1]), known)
    return nearest(str(place[-1]), known, "docs/recipes.md", f"{place[0]}.")


def nearest(word: str, known: Iterable[str], see: str, before: str = "") -> str:
    """A remedy for a word of many: the one that was meant, or up to five that are near, and where all of them are to be seen.

    Args:
        see: where all known words stand.
        before: what is written before each of them.
    """
    known = sorted(set(known))
    if near := get_close_matches(word, known, n=1):
        return f"Did you mean '{before}{near[0]}'?"
    five = get_close_matches(word, known, n=5, cutoff=FAR)
    if not five:
        return f"See {see} for all of them."
    return f"The nearest {'are' if five[1:] else 'is'} {', '.join(before + name for name in five)}; all: {see}."


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
    "string_pattern_mismatch": "letters, digits, '.', '_' or '-' after a letter or digit",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
}


def expected(error: Any) -> str:
    said = EXPECTED.get(error["type"], str(error["msg"]).removeprefix("Input should be "))
    return said.format_map({name: f"{value:g}" if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()})


def remedy(place: tuple[Any, ...], given: Any, errors: list[Any]) -> str:
    """What to write instead, where that can be told."""
    kinds = {error["type"] for error in errors}
    if isinstance(given, str) and kinds & {"int_type", "float_type"} and is_number(given):
        value = float(given)
        plain = repr(int(value) if "int_type" in kinds and value.is_integer() else value)
        if "." not in plain:
            plain = plain.replace("e", ".0e")  # without the dot YAML reads text again
        return f"YAML reads {given} as text; write {plain}."
    if "literal_error" in kinds and isinstance(given, str):
        near = get_close_matches(
            given, re.findall(r"'([^']+)'", " ".join(error.get("ctx", {}).get("expected", "") for error in errors)), n=1
        )
        return f"Did you mean '{near[0]}'?" if near else ""
    if kinds & {"tuple_type", "list_type"} and place[-1] == "seeds":
        return "Write the seeds themselves, as [0, 1, 2]."  # 3 may mean three seeds or the seed 3
    if kinds & {"tuple_type", "list_type"}:
        return f"Write [{spelled(given)}]." if not isinstance(given, dict) else "Begin each entry with a dash."
    if kinds == {"bool_type"} and isinstance(given, str):
        return "Write true or false, without quotes."
    if kinds == {"string_type"} and not isinstance(given, dict | list):
        return f"Put it in quotes: '{given}'."
    if errors[0].get("ctx", {}).get("lt") == 1 and 2 <= given <= 100:
        return f"For {given:g} % write {given / 100:g}."
    return ""


def address(place: tuple[Any, ...], raw: Mapping[str, Any]) -> str:
    """A place as a person finds it: keys with dots between, and a task by its name."""
    parts = [str(part) for part in place[:1]]
    for part in place[1:]:
        entry = raw[parts[0]][part] if parts in (["tasks"], ["references"]) and isinstance(part, int) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        parts.append(name if isinstance(name, str) else f"[{part}]" if isinstance(part, int) else str(part))
    return ".".join(parts).replace(".[", "[")


def spelled(value: Any) -> str:
    """A value as YAML and JSON write it, not too much of it."""
    said = json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= 60 else f"{said[:57]}..."


def place_of(error: Any, raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a mistake stands in the recipe: of a pydantic location the parts that the recipe holds, and a key that is missing.

    The others name branches of a union (`int`, `literal['a','b']`) or wrappers.
    """
    place: list[Any] = []
    value: Any = raw
    for part in error["loc"]:
        if (isinstance(value, Mapping) and part in value) or (isinstance(value, list | tuple) and isinstance(part, int)):
            place, value = [*place, part], value[part]
    return (*place, error["loc"][-1]) if error["type"] == "missing" else tuple(place)


def is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False
