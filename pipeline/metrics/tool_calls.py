"""Calls of tools as values: one spelling for calls that ask for the same."""

import json
from collections.abc import Iterable
from typing import Any

from pipeline.metrics import words

Call = dict[str, Any]
"""{name, arguments}"""


def call_of(value: Any) -> Call | None:
    """A call from JSON: {name, arguments}, Llama 3's {name, parameters}, or either as OpenAI's `function`; None if it is no call.

    Arguments may be JSON in a text; a call without any has an empty object.
    """
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"].strip():
        return None
    arguments: Any = next((function[key] for key in ("arguments", "parameters") if key in function), {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return None
    return {"name": function["name"].strip(), "arguments": arguments or {}} if isinstance(arguments or {}, dict) else None


def canonical(calls: Iterable[Call]) -> str:
    """Calls as JSON in one order: of their keys, and of the calls themselves; 3.0 is 3, and true is not 1."""
    spelled = sorted(json.dumps(words.same_numbers(call), ensure_ascii=False, sort_keys=True) for call in calls)
    return f"[{', '.join(spelled)}]"


def parsed(text: str) -> str | None:
    """The canonical() text of a JSON list of calls; None if it is none."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return None
    calls = [call_of(entry) for entry in entries] if isinstance(entries, list) else [None]
    return canonical([call for call in calls if call]) if None not in calls else None
