"""Finds what a chat template leaves out of a conversation without a word, such as tools, their calls and their results."""

import json
from functools import lru_cache
from typing import Any

from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import TOOLS_REMEDY, TURNS_REMEDY, ChatTemplateError
from pipeline.store.records import TOOLS, Prompt, Turn, as_turns

CALL_ID = "call00000"
"""Nine letters and digits, as Mistral's templates ask for."""
Shape = tuple[tuple[str, bool, int], ...]
"""Of each turn its role, whether it has words, and how many tools it calls: all that decides what a template leaves out."""


def check(render: Renderer, prompt: Prompt, answer: Turn) -> None:
    """Check that the chat template shows the model every turn of a conversation.

    Raises:
        ChatTemplateError: a turn, the tools or a call is not in what the template writes; or a call spells a control token.
    """
    if not render.chat:
        return
    turns = (*as_turns(prompt), answer)
    for turn in turns:
        if turn.calls and render.control.search(json.dumps(turn.more, ensure_ascii=False)):
            raise ChatTemplateError("a call of a tool spells a control token of the tokenizer", "Leave the row out.")
    if (len(turns) > 2 or answer.calls) and (
        problem := left_out(render, tuple((turn.role, bool(turn.content.strip()), len(turn.calls)) for turn in turns))
    ):
        is_tool = any(turn.role in (TOOLS, "tool") or turn.calls for turn in turns)
        raise ChatTemplateError(problem, TOOLS_REMEDY if is_tool else TURNS_REMEDY)


@lru_cache(maxsize=4096)
def left_out(render: Renderer, shape: Shape) -> str:
    """What the template leaves out of a conversation of this shape; empty if it is nothing, or if the template refuses the shape."""
    turns = [probe_turn(*turn, index) for index, turn in enumerate(shape)]
    try:
        text = render.conversation(turns[:-1], turns[-1])
    except ChatTemplateError:
        return ""  # which the conversation itself then says
    for index, turn in enumerate(turns):
        if any(word not in text for word in (turn.content,) if turn.role != TOOLS):
            return f"the chat template leaves out turn {index} ({turn.role})"
        if turn.role == TOOLS and tool_name(index) not in text:
            return "the chat template leaves out the tools"
        if any(word not in text for call in turn.calls for word in (call["function"]["name"], *call["function"]["arguments"].values())):
            return f"the chat template leaves out calls of turn {index} ({turn.role})"
    return ""


def probe_turn(role: str, has_words: bool, calls: int, index: int) -> Turn:
    """A turn of made-up words that stand nowhere else."""
    if role == TOOLS:
        schema = {"name": tool_name(index), "description": "x", "parameters": {"type": "object", "properties": {}}}
        return Turn(role, json.dumps([{"type": "function", "function": schema}]))
    more: dict[str, Any] = {"tool_call_id": CALL_ID, "name": tool_name(index)} if role == "tool" else {}
    if calls:
        more["tool_calls"] = [probe_call(f"probe{index}call{number}") for number in range(calls)]
    return Turn(role, f"probe{index}words" if has_words else "", more)


def probe_call(name: str) -> dict[str, Any]:
    return {"id": CALL_ID, "type": "function", "function": {"name": name, "arguments": {"key": f"{name}value"}}}


def tool_name(index: int) -> str:
    return f"probe{index}tool"
