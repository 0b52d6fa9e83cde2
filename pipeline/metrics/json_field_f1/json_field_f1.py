"""Fields of JSON objects that are right."""

import json
from typing import Any

from pipeline.metrics.base import MicroF1, json_object
from pipeline.metrics.words import composed, normalise, same_numbers

NOTHING = "\x00none"
"""No text of a JSON value, so that null differs from the text `None`."""


class JsonFieldF1(MicroF1):
    """Micro F1 over the top-level fields of JSON objects: a field is right when its name and its value are.

    Values are compared as text, case and runs of blanks aside, so 3 equals 3.0 and "3"; null, a blank text, an empty list and object
    all say that there is none. Lists and objects inside a field are compared whole. What is no JSON object is never right, also where
    an empty one is expected.
    """

    def items(self, text: str) -> set[tuple[str, str]] | None:
        value = json_object(text)
        return None if value is None else {(composed(field), as_text(item)) for field, item in value.items()}


def as_text(value: Any) -> str:
    value = same_numbers(value)
    if value in (None, [], {}) or (isinstance(value, str) and not value.strip()):
        return NOTHING
    return normalise(json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict | list) else str(value))
