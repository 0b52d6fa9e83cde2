"""Reads calls of tools between tags that name the tool: of newer Qwen and of Llama 3, and as XML.

What was cut off is no call: arguments in tags end with the tag that closes them, and JSON ends by itself.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.metrics import tool_calls
from pipeline.scoring import literals
from pipeline.store.records import reject_constant

Calls = list[tool_calls.Call | None]
DECODER = json.JSONDecoder(parse_constant=reject_constant, strict=False)
QUOTE = "[\"']?"
FUNCTION = re.compile(
    rf"<function(?:\s*=\s*{QUOTE}|\s+name\s*=\s*{QUOTE}|\()(?P<name>[^\s<>\"'(){{}}=][^<>\"'(){{}}=\n]*?){QUOTE}\)?\s*(?P<end>/?>|(?=\{{))"
)
"""Opens a call; Llama writes JSON behind it, at times without the bracket."""
OPENED = re.compile(r"<function\s*[=(]|<function\s+name\s*=")
FUNCTION_END = re.compile(r"</function>|<(?=function[=(>])")
OBJECT = re.compile(r"\s*(?=\{)")
PARAMETER = re.compile(rf"<parameter(?:=|\s+name\s*=\s*){QUOTE}([^>\n\"']+){QUOTE}>\n?(.*?)\n?</parameter>", re.DOTALL)
"""Of Qwen, which writes a tag for each argument and no type: what is JSON is read as that."""
XML = re.compile(r"<(?P<mark>[^<>\s/]*)invoke name=\"(?P<name>[^\"]+)\">")
XML_OPENED = re.compile(r"<[^<>\s/]*invoke\b")
XML_ARGUMENT = re.compile(r"<[^<>\s/]*parameter name=\"([^\"]+)\"(?: string=\"(true|false)\")?>(.*?)</[^<>\s]*parameter>", re.DOTALL)
"""DeepSeek V3.2, MiniMax and others; DeepSeek says which values are texts."""


def has_functions(text: str) -> bool:
    """Whether a text opens a call of Qwen or Llama."""
    return bool(OPENED.search(text))


def functions(text: str) -> Calls:
    """A tag for each call; None for one that has no name or no end."""
    matches = list(FUNCTION.finditer(text))
    calls = [function(match, text, start) for match, start in with_next_start(matches, text)]
    return calls + [None] * (len(OPENED.findall(text)) > len(matches))


def function(match: re.Match[str], text: str, next_start: int) -> tool_calls.Call | None:
    """The call behind its opening tag: with arguments as JSON, or a tag for each.

    Args:
        next_start: where the next call begins.
    """
    name = match["name"].strip()
    if match["end"] == "/>":
        return {"name": name, "arguments": {}}
    if start := OBJECT.match(text, match.end()):
        return call(name, json_at(text, start.end()))
    end = FUNCTION_END.search(text, match.end())
    inner = text[match.end() : end.start()] if end and end.start() <= next_start else None
    if inner is None or PARAMETER.sub("", inner).strip():
        return None
    return call(name, {key.strip(): value_of(value) for key, value in PARAMETER.findall(inner)})


def xml(text: str) -> Calls:
    """A tag for a call, and one for each argument; None for a call without its end."""
    calls = [invoked(match, text[match.end() : start]) for match, start in with_next_start(list(XML.finditer(text)), text)]
    return calls + [None] * (bool(calls) and len(XML_OPENED.findall(text)) > len(calls))


def with_next_start(matches: list[re.Match[str]], text: str) -> Iterator[tuple[re.Match[str], int]]:
    """Each match with where the next one begins, or the text ends."""
    return zip(matches, [*(match.start() for match in matches), len(text)][1:], strict=True) if matches else iter(())


def invoked(match: re.Match[str], rest: str) -> tool_calls.Call | None:
    """The call behind its opening tag, in a text up to the next one."""
    body, end, _ = rest.partition(f"</{match['mark']}invoke>")
    if not end or XML_ARGUMENT.sub("", body).strip():
        return None
    return call(match["name"], {key: value if kind == "true" else value_of(value) for key, kind, value in XML_ARGUMENT.findall(body)})


def value_of(text: str) -> Any:
    """A value without a type: what is JSON, or a word of Python, is that."""
    try:
        return json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError):
        return literals.WORDS.get(text.strip(), text)


def json_at(text: str, position: int) -> Any:
    """The JSON value that begins there; None if there is none."""
    try:
        return DECODER.raw_decode(text, position)[0]
    except (ValueError, RecursionError):
        return None


def call(name: str, arguments: Any) -> tool_calls.Call | None:
    """A call; None if the arguments are no object."""
    return {"name": name.strip(), "arguments": arguments} if isinstance(arguments, dict) else None
