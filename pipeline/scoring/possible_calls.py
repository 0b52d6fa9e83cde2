"""Says of a text that is read as no call whether it may be one all the same: it then is no answer in words."""

import re
from collections.abc import Collection
from typing import Any

from pipeline.scoring import literals

ON_LINE = re.compile(r"\s*([\w.-]+)[ \t]*\n\s*(?=\{)")
"""The name of a tool on the line before its arguments, as ChatGLM has it."""
FUNCTION_NAME = re.compile(r"[a-z]\w*?(?:_[a-zA-Z0-9]|[a-z][A-Z]|\.[a-z])[\w.]*")
"""No word of a language, but what programmers name functions: get_weather, getWeather, weather.get."""
POSITIONAL = re.compile(r"\s*\[?\s*([\w.]+)\(.*\)\s*\]?\s*", re.DOTALL)
NO_NAMES = ("json", "python")
"""What is left of a fence that lost its backticks."""


def may_call(text: str, tools: Collection[str]) -> bool:
    """Whether a text is the name of a tool and an object, objects alone that name a tool, or a call with arguments without names.

    Args:
        tools: names of the tools that the prompt has, where they are known.
    """
    if positional := POSITIONAL.fullmatch(text):
        return names_tool(positional[1], tools)
    name = ON_LINE.match(text)
    try:
        start = name.end() if name else len(text) - len(text.lstrip())
        value, end = literals.value_at(text, start, literals.spans(text))
    except (ValueError, RecursionError):
        return bool(name and names_tool(name[1], tools))
    if text[end:].strip():
        return False
    return stands_alone(name[1], tools) if name else any(names_tool(key, tools) for key in keys_of(value))


def stands_alone(name: str, tools: Collection[str]) -> bool:
    """Whether a name before an object may be that of a tool, be it one that the prompt does not have."""
    return name not in NO_NAMES and (name in tools or names_tool(name, ()) or (not tools and name.islower()))


def keys_of(value: Any) -> list[str]:
    """Of objects what they give as their name, and the only key of those that hold another object."""
    entries = [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]
    named = [entry["name"] for entry in entries if isinstance(entry.get("name"), str)]
    return named + [str(key) for entry in entries if len(entry) == 1 for key, inner in entry.items() if isinstance(inner, dict)]


def names_tool(name: str, tools: Collection[str]) -> bool:
    """Whether a name is that of a tool; where no tools are known, whether it looks so."""
    return name in tools if tools else bool(FUNCTION_NAME.fullmatch(name))
