"""Fields of JSON objects that are right."""

import json
import re
from typing import Any

from pipeline.metrics.base import MicroF1, json_object
from pipeline.metrics.words import composed, normalise, same_numbers

NOTHING = "\x00none"
"""No text of a JSON value, so that null differs from the text `None`."""

DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
"""A number as JSON has it, unlike 007 and 029.90."""


class JsonFieldF1(MicroF1):
    """Micro F1 over the top-level fields of JSON objects: a field is right when its name and its value are.

    Values are compared as text, case and runs of blanks aside, so 3 equals 3.0, "3" and "3.0", while of two texts "3" and "3.0" differ,
    as versions do; null, a blank text, an empty list and object all say that there is none. Lists and objects inside a field are compared
    whole. What is no JSON object is never right, also where an empty one is expected.
    """

    def items(self, text: str) -> set[tuple[str, str]] | None:
        value = json_object(text)
        return None if value is None else {(composed(field), as_text(item)) for field, item in value.items()}

    def statistics(self, prediction: str, reference: str) -> list[float]:
        return super().statistics(with_numbers(prediction, reference), with_numbers(reference, prediction))


def with_numbers(text: str, other: str) -> str:
    """An object in which texts such as "29.90" are numbers, where another object has a number in that field; else the text itself."""
    own, others = json_object(text), json_object(other)
    fields = {name: value for name, value in (own or {}).items() if isinstance(value, str) and DECIMAL.fullmatch(value.strip())}
    numbers = {name: json.loads(value) for name, value in fields.items() if type((others or {}).get(name)) in (int, float)}
    return json.dumps(own | numbers, ensure_ascii=False) if own and numbers else text


def as_text(value: Any) -> str:
    value = same_numbers(value)
    if value in (None, [], {}) or (isinstance(value, str) and not value.strip()):
        return NOTHING
    return normalise(json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict | list) else str(value))
