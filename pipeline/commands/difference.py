"""Finds where two JSON values, or two texts, first differ."""

import json
import math
import re
from typing import Any

from pipeline.store.records import is_number

TOLERANCE = 1e-9
"""Relative and absolute tolerance of numbers, since processors differ in the order of additions."""


def first_difference(expected: Any, actual: Any, location: str = "") -> tuple[str, Any, Any] | None:
    """The first location where two JSON values differ by more than rounding, with both values there."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            unpaired = sorted(expected.keys() ^ actual.keys())[0]
            return f"{location}.{unpaired}", expected.get(unpaired, "nothing"), actual.get(unpaired, "nothing")
        differences = (first_difference(expected[key], actual[key], f"{location}.{key}") for key in expected)
        return next((difference for difference in differences if difference), None)
    if isinstance(expected, list) and isinstance(actual, list):
        pairs = enumerate(zip(expected, actual, strict=False))
        differences = (first_difference(one, other, f"{location}[{number}]") for number, (one, other) in pairs)
        if difference := next((difference for difference in differences if difference), None):
            return difference
        return None if len(expected) == len(actual) else (f"{location}, its length", len(expected), len(actual))
    return None if is_equal(expected, actual) else (location, expected, actual)


def is_equal(expected: Any, actual: Any) -> bool:
    if is_number(expected) and is_number(actual):
        return math.isclose(expected, actual, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (math.isnan(expected) and math.isnan(actual))
    return type(expected) is type(actual) and bool(expected == actual)


def count_numbers(value: Any) -> int:
    """How many numbers a JSON value holds."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return is_number(value) + sum(map(count_numbers, inner))


def first_text_difference(expected: str, actual: str) -> tuple[str, str, str] | None:
    """The first location where two texts differ (its line and the last id before it), with both texts there, from tag to tag."""
    if expected == actual:
        return None
    pairs = enumerate(zip(expected, actual, strict=False))
    position = next((number for number, (one, other) in pairs if one != other), min(len(expected), len(actual)))
    ids = re.findall(r'\bid="([\w.-]+)"', expected[:position])
    location = f"line {expected[:position].count(chr(10)) + 1}" + (f", behind #{ids[-1]}" if ids else "")
    return location, around(expected, position), around(actual, position)


def around(text: str, position: int) -> str:
    """The text between two tags around a position, at most 60 characters to either side."""
    start = max(text.rfind(">", 0, position), text.rfind("\n", 0, position), position - 60) + 1
    ends = [end for end in (text.find("<", position), text.find("\n", position), position + 60) if end >= 0]
    return text[start : max(position + 1, min(ends))].strip()


def abbreviated(value: object) -> str:
    """A value for a message, cut to 80 characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}'" if len(text) <= 80 else f"'{text[:77]}...'"
