"""Reads which tools a text calls: in the forms of Qwen and Hermes, Llama 3 and Mistral, as JSON, and in those of `tool_call_forms`."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.metrics import tool_calls
from pipeline.scoring import tool_call_forms
from pipeline.store.records import reject_constant

TAGGED = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
"""Qwen, Hermes and GLM; the last one may lack its end."""
FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
"""Newer Qwen, which writes a tag for each argument and no type: what is JSON is read as that."""
MARK = re.compile(r"\[TOOL_CALLS\]|<\|python_tag\|>")
"""Stands before calls in Mistral's and Llama 3's templates. As control tokens they are no part of a generated text."""
NAMED = re.compile(r"\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?(?=\{)")
"""The name of a tool right before its arguments, as in Mistral's newer templates."""
FENCE = re.compile(r"\A\s*```(?:json|python|tool_code)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
CUT = re.compile(r"\"name\"\s*:.*\"(?:arguments|parameters)\"\s*:", re.DOTALL)
"""A call in a text in which no whole one stands."""
BETWEEN = re.compile(r"[\s;,]*")
DECODER = json.JSONDecoder(parse_constant=reject_constant, strict=False)


def read(text: str) -> str | None:
    """The calls of a text as tool_calls.canonical() has them, `[]` for an answer in words; None for a blank text or a broken call."""
    if not text.strip():
        return None
    if bodies := TAGGED.findall(text):
        return listed([call for body, end in bodies for call in tagged(body, bool(end))])
    if FUNCTION.search(text):
        return listed(tagged(text))
    if mark := MARK.search(text):
        return listed(sequence(MARK.sub(" ", text[mark.end() :])))
    fenced = FENCE.match(text)
    bare = fenced[1] if fenced else text
    whole = sequence(bare)
    if None not in whole:
        return listed(whole)
    if (others := tool_call_forms.read(bare)) is not None:
        return listed(others)
    if calls := list(inside(text)):
        return tool_calls.canonical(calls)
    return None if CUT.search(text) or tool_call_forms.has_marks(text) else "[]"


def listed(calls: list[tool_calls.Call | None]) -> str | None:
    """The calls in one spelling; None if one of them is broken."""
    return tool_calls.canonical([call for call in calls if call]) if None not in calls else None


def tagged(body: str, has_end: bool = True) -> list[tool_calls.Call | None]:
    """The calls between two tags; has_end: whether the second one is there."""
    functions = FUNCTION.findall(body)
    if not functions:
        glm = tool_call_forms.glm(body, has_end)
        return [glm] if glm else sequence(body) or [None]
    return [
        {"name": name.strip(), "arguments": {key: tool_call_forms.value_of(text) for key, text in PARAMETER.findall(inner)}}
        for name, inner in functions
    ]


def sequence(text: str) -> list[tool_calls.Call | None]:
    """The calls of a text that holds nothing else, with None for what is no call."""
    calls: list[tool_calls.Call | None] = []
    position = BETWEEN.match(text).end()  # type: ignore[union-attr]
    while position < len(text):
        name = NAMED.match(text, position)
        try:
            value, end = DECODER.raw_decode(text, name.end() if name else position)
        except (ValueError, RecursionError):
            return [*calls, None]
        entries = [{"name": name[1], "arguments": value}] if name else value if isinstance(value, list) else [value]
        calls += [tool_calls.call_of(call) for entry in entries for call in wrapped(entry)]
        position = BETWEEN.match(text, end).end()  # type: ignore[union-attr]
    return calls


def wrapped(value: Any) -> list[Any]:
    """The calls of a message as OpenAI has it, `{"tool_calls": [...]}`; else the value itself."""
    calls = value.get("tool_calls") if isinstance(value, dict) else None
    return calls if isinstance(calls, list) and calls else [value]


def inside(text: str) -> Iterator[tool_calls.Call]:
    """The whole calls among the words of a text."""
    position = text.find("{")
    while position >= 0:
        try:
            value, end = DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            value, end = None, position + 1
        yield from filter(None, map(tool_calls.call_of, wrapped(value)))
        position = text.find("{", end)


def names(text: str) -> list[str] | None:
    """The names of the tools that a text calls, sorted; None where it cannot be read."""
    calls = read(text)
    return None if calls is None else sorted(call["name"] for call in json.loads(calls))
