"""Calls of tools as values: one spelling for calls that ask for the same."""

import json
from collections.abc import Iterable
from typing import Any

from pipeline.metrics import words

Call = dict[str, Any]
"""{name, arguments}"""
BESIDE = ("name", "type", "id", "index", "call_id", "tool_call_id")
"""Keys of a call without arguments; an object with a name and others, such as a person's age, is no call."""
NAMES = ("name", "function", "tool", "tool_name", "function_name", "action")
ARGUMENTS = ("arguments", "parameters", "args", "input", "action_input", "tool_input")


def call_of(value: Any) -> Call | None:
    """A call from JSON: {name, arguments}, Llama 3's {name, parameters}, either as OpenAI's `function`, or with the keys of NAMES and
    ARGUMENTS that untuned models write; None if it is no call.

    Arguments may be JSON in a text; a call without any has an empty object.
    """
    function = function_of(value)
    if function is None:
        return None
    key = next((key for key in NAMES if isinstance(function.get(key), str) and function[key].strip()), None)
    if key is None or not (has_arguments(function) or (key == "name" and function.keys() <= set(BESIDE))):
        return None
    arguments: Any = next((function[name] for name in ARGUMENTS if name in function), {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return None
    return {"name": function[key].strip(), "arguments": arguments or {}} if isinstance(arguments or {}, dict) else None


def function_of(value: Any) -> dict[str, Any] | None:
    """The object with the name of a call, which may stand in another as its `function`; None if there is none."""
    function = value.get("function", value) if isinstance(value, dict) else None
    function = value if isinstance(function, str) else function
    return function if isinstance(function, dict) else None


def has_arguments(value: Any) -> bool:
    """Whether an object names arguments, be it none."""
    return any(name in (function_of(value) or {}) for name in ARGUMENTS)


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
