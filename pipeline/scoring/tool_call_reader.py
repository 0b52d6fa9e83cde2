"""Reads which tools a text calls: in the forms of Qwen and Hermes, Llama 3 and Mistral, as JSON, and in those of `tool_call_forms`."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.metrics import tool_calls
from pipeline.scoring import literals, possible_calls, tool_call_forms, tool_call_tags
from pipeline.store.records import TOOLS, Prompt

TAGGED = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
"""Qwen, Hermes and GLM; the last one may lack its end."""
MARK = re.compile(r"\[TOOL_CALLS\]|<\|python_tag\|>|<functioncall>")
"""Stands before calls in Mistral's and Llama 3's templates, and in Glaive's data. Control tokens are no part of a generated text."""
NAMED = re.compile(r"\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?(?=\{)")
"""The name of a tool right before its arguments, as in Mistral's newer templates."""
FENCE = re.compile(r"\A\s*```(?:json|python|tool_code)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
KEYS = rf"[\"'](?:{'|'.join(tool_calls.NAMES)})[\"']\s*:"
CUT = re.compile(rf"{KEYS}.*[\"'](?:{'|'.join(tool_calls.ARGUMENTS)})[\"']\s*:|\A[\s\[]*\{{\s*{KEYS}[^}}]*\Z", re.DOTALL)
"""A call in a text in which no whole one stands, or the start of one."""
BETWEEN = re.compile(r"[\s;,]*")


def read(text: str, tools: Collection[str] = ()) -> str | None:
    """The calls of a text as tool_calls.canonical() has them, `[]` for an answer in words; None for a blank text, a broken call, and JSON
    that may be a call in a form of its own.

    Args:
        tools: names of the tools that the prompt has, where they are known.
    """
    if not text.strip():
        return None
    if bodies := TAGGED.findall(text):
        return listed([call for body, end in bodies for call in tagged(body, bool(end))])
    if tool_call_tags.has_functions(text):
        return listed(tool_call_tags.functions(text))
    if mark := MARK.search(text):
        return listed(sequence(MARK.sub(" ", text[mark.end() :]), tools))
    fenced = FENCE.match(text)
    bare = fenced[1] if fenced else text
    whole = sequence(bare, tools)
    if None not in whole:
        return listed(whole)
    if (others := tool_call_forms.read(bare)) is not None:
        return listed(others)
    if calls := list(inside(text, tools)):
        return None if is_cut(text, calls) else tool_calls.canonical(call.value for call in calls)
    return None if CUT.search(bare) or tool_call_forms.has_marks(text) or possible_calls.may_call(bare, tools) else "[]"


def listed(calls: list[tool_calls.Call | None]) -> str | None:
    """The calls in one spelling; None if one of them is broken."""
    return tool_calls.canonical([call for call in calls if call]) if None not in calls else None


def tagged(body: str, has_end: bool = True) -> list[tool_calls.Call | None]:
    """The calls between two tags; has_end: whether the second one is there."""
    if tool_call_tags.has_functions(body):
        return tool_call_tags.functions(body)
    glm = tool_call_forms.glm(body, has_end)
    return [glm] if glm else sequence(body) or [None]


def sequence(text: str, tools: Collection[str] = ()) -> list[tool_calls.Call | None]:
    """The calls of a text that holds nothing else, with None for what is no call."""
    calls: list[tool_calls.Call | None] = []
    ends = literals.spans(text)
    position = BETWEEN.match(text).end()  # type: ignore[union-attr]
    while position < len(text):
        name = NAMED.match(text, position) or possible_calls.ON_LINE.match(text, position)
        if name and name.re is possible_calls.ON_LINE and not possible_calls.names_tool(name[1], tools):
            name = None
        try:
            value, end = literals.value_at(text, name.end() if name else position, ends)
        except (ValueError, RecursionError):
            return [*calls, None]
        entries = [{"name": name[1], "arguments": value}] if name else value if isinstance(value, list) else [value]
        calls += [tool_calls.call_of(call) for entry in entries for call in wrapped(entry, tools)]
        position = BETWEEN.match(text, end).end()  # type: ignore[union-attr]
    return calls


def wrapped(value: Any, tools: Collection[str] = ()) -> list[Any]:
    """The calls of a message as OpenAI has it, `{"tool_calls": [...]}` or `{"function_call": {...}}`, or of an object with tools as its
    keys; else the value itself."""
    if not isinstance(value, dict):
        return [value]
    if value and all(key in tools and isinstance(inner, dict) for key, inner in value.items()):
        return [{"name": key, "arguments": inner} for key, inner in value.items()]
    calls = value.get("tool_calls")
    if isinstance(calls, list) and calls:
        return calls
    return [value["function_call"]] if isinstance(value.get("function_call"), dict) else [value]


class Found(NamedTuple):
    """A call among words, and where its object stands."""

    value: tool_calls.Call
    start: int
    end: int


def inside(text: str, tools: Collection[str]) -> Iterator[Found]:
    """The whole calls among the words of a text, which have arguments or the name of a tool."""
    ends = literals.spans(text)
    position = text.find("{")
    while position >= 0:
        try:
            value, end = literals.value_at(text, position, ends)
        except (ValueError, RecursionError):
            value, end = None, position + 1
        for entry in wrapped(value, tools):
            if (call := tool_calls.call_of(entry)) and (tool_calls.has_arguments(entry) or call["name"] in tools):
                yield Found(call, position, end)
        position = text.find("{", end)


def is_cut(text: str, calls: Sequence[Found]) -> bool:
    """Whether more calls begin behind these, or the list that they stand in has no end."""
    before, rest = text[: calls[0].start].rstrip(), text[calls[-1].end :]
    return bool(re.search(KEYS, rest)) or (before.endswith("[") and "]" not in rest)


@lru_cache(maxsize=1024)
def tools_of(prompt: Prompt) -> frozenset[str]:
    """The names of the tools of a prompt; none where it has them in its text alone."""
    turns = () if isinstance(prompt, str) else prompt
    schemas = [schema for turn in turns if turn.role == TOOLS for schema in json.loads(turn.content)]
    return frozenset(schema.get("function", schema)["name"] for schema in schemas)


def names(text: str) -> list[str] | None:
    """The names of the tools that a text calls, sorted; None where it cannot be read."""
    calls = read(text)
    return None if calls is None else sorted(call["name"] for call in json.loads(calls))
