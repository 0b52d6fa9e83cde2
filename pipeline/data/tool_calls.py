"""Reads the calls of tools in the turns of a conversation, and the schemas of its tools, as the spellings that people have them in."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pipeline.errors import DataError
from pipeline.store.records import RepeatedKeyError, Turn, unrepeated

CALL_FORM = "{type: function, function: {name, arguments}}"
TOOLS_REMEDY = "Write a list of schemas, as OpenAI has it: [{type: function, function: {name, description, parameters}}]."
CALLS_REMEDY = f"Write a list of calls, as OpenAI has it: [{CALL_FORM}], with the arguments as a JSON object."


def quoted(value: Any) -> str:
    """A value for a message, on one line and not too long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def decoded(text: str, location: str, remedy: str) -> Any:
    """The value of a text in JSON. Raises DataError if it is none, or holds a key twice."""
    try:
        return json.loads(text, object_pairs_hook=unrepeated)
    except json.JSONDecodeError as error:
        raise DataError(f"{location} is no JSON ({error.msg} at character {error.pos + 1}): {quoted(text)}", remedy) from None
    except (RepeatedKeyError, RecursionError) as error:
        raise DataError(f"{location} cannot be read ({error}): {quoted(text)}", remedy) from None


def calls(value: Any, location: str) -> list[dict[str, Any]]:
    """The calls of a turn as chat templates expect them: each with `function`, whose arguments are an object.

    Args:
        value: one call or a list of them, or their JSON: OpenAI's `tool_calls`, its older `function_call`, ShareGPT's `function_call`.

    Raises:
        DataError: it is no call, or its arguments are no JSON object.
    """
    read = decoded(value, location, CALLS_REMEDY) if isinstance(value, str) else value
    entries = read if isinstance(read, list) else [read]
    if not entries:
        raise DataError(f"{location} is {quoted(value)}, where calls are expected", CALLS_REMEDY)
    return [call(entry, f"{location}[{index}]" if isinstance(read, list) else location) for index, entry in enumerate(entries)]


def call(entry: Any, location: str) -> dict[str, Any]:
    """One call; it keeps its id, if it has one."""
    function = entry.get("function", entry) if isinstance(entry, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise DataError(f"{location} is {quoted(entry)}, which names no function", CALLS_REMEDY)
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments.strip():
        arguments = decoded(arguments, f"{location}.arguments", CALLS_REMEDY)
    if not isinstance(arguments or {}, Mapping):
        raise DataError(f"{location}.arguments is {quoted(arguments)}, where a JSON object is expected", CALLS_REMEDY)
    named = {"id": entry["id"]} if entry.get("id") else {}
    return {**named, "type": "function", "function": {"name": function["name"], "arguments": arguments or {}}}


def schemas(value: Any, location: str) -> list[dict[str, Any]]:
    """The schemas of tools, which may be JSON in a text; none for a value that is missing or empty. Raises DataError if they are none."""
    read = decoded(value, location, TOOLS_REMEDY) if isinstance(value, str) and value.strip() else value
    if read is None or read in ("", [], {}) or (isinstance(read, float) and math.isnan(read)):
        return []
    if not isinstance(read, list):
        raise DataError(f"{location} is {quoted(read)}, where a list of schemas is expected", TOOLS_REMEDY)
    for index, entry in enumerate(read):
        function = entry.get("function", entry) if isinstance(entry, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise DataError(f"{location}[{index}] is {quoted(entry)}, which names no function", TOOLS_REMEDY)
    return read


def text(turn: Turn) -> str:
    """The answer of a turn that calls tools, in the form that most chat templates have: its words, then a `<tool_call>` for each call."""
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in turn.calls]
    return "\n".join([*([turn.content] if turn.content.strip() else []), *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)])
