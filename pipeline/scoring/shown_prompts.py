"""Writes prompts and targets for a reader: text as it is, a conversation turn by turn."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.store.records import CALLS, Example, Turn
from pipeline.store.score_types import ShownPrompt, ShownTurn


def prompt(example: Example) -> ShownPrompt:
    """The prompt: text, or the turns of a conversation."""
    return example.prompt if isinstance(example.prompt, str) else [message(turn) for turn in example.prompt]


def target_turn(example: Example) -> ShownTurn | None:
    """The target as a turn, where it calls tools; its text is in the form of a chat template."""
    return message(example.answer_turn) if CALLS in example.extra else None


def message(turn: Turn) -> ShownTurn:
    """A turn as OpenAI's interface has it. Arguments of calls are JSON text: a browser would round long numbers."""
    more = {name: [written_call(call) for call in value] if name == "tool_calls" else text(value) for name, value in turn.more.items()}
    return {"role": turn.role, "content": turn.content, **more}


def written_call(call: Any) -> Any:
    """A call with its arguments as JSON text; what has no function, as a task of a user may write it, as JSON text itself."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return text(call)
    written = {"name": text(function.get("name", "")), "arguments": text(function.get("arguments", {}))}
    ids = {"id": text(call["id"])} if call.get("id") else {}
    return {**ids, "type": "function", "function": written}


def text(value: Any) -> str:
    """A text as it is, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
