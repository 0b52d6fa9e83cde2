"""Writes conversations as OpenAI's interface takes them, and answers that call tools as texts."""

import json
from typing import Any

from pipeline.store.records import TOOLS, Prompt, Turn, as_turns


def request_body(prompt: Prompt) -> dict[str, Any]:
    """`messages`, and `tools` where the prompt has any. Arguments of calls are text there, and every call has an id."""
    turns = as_turns(prompt)
    tools: list[dict[str, Any]] = next((json.loads(turn.content) for turn in turns if turn.role == TOOLS), [])
    schemas = [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]
    open_ids: list[str] = []
    """Of calls whose results have not come yet, in the order of the calls."""
    messages = []
    for index, turn in enumerate(turns):
        if turn.role == TOOLS:
            continue
        calls = [request_call(call, f"call_{index}_{number}") for number, call in enumerate(turn.calls)]
        open_ids += [call["id"] for call in calls]
        messages.append(turn.message() | ({"tool_calls": calls} if calls else {}) | result_id(turn, open_ids))
    return {"messages": messages} | ({"tools": schemas} if schemas else {})


def request_call(call: dict[str, Any], name: str) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {"id": call.get("id", name), "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def result_id(turn: Turn, open_ids: list[str]) -> dict[str, str]:
    """The id of the call that a turn of a tool answers: its own, else that of the first call without a result."""
    if turn.role != "tool":
        return {}
    name = turn.more.get("tool_call_id") or next(iter(open_ids), "call")
    if name in open_ids:
        open_ids.remove(name)
    return {"tool_call_id": name}


def answer_text(message: dict[str, Any]) -> str | None:
    """The text of an answer: its words, then a `<tool_call>` for each call of a tool. None for what is no answer."""
    content, calls = message.get("content"), message.get("tool_calls") or []
    if not isinstance(content, str | None) or not isinstance(calls, list):
        return None
    functions = [call["function"] for call in calls if isinstance(call, dict) and isinstance(call.get("function"), dict)]
    if len(functions) < len(calls):
        return None
    written = [json.dumps({name: function.get(name) for name in ("name", "arguments")}, ensure_ascii=False) for function in functions]
    return "\n".join([*([content] if content else []), *(f"<tool_call>\n{call}\n</tool_call>" for call in written)])
