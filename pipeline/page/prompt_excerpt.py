"""Shortens prompts for the cell of a table: of a conversation the last question and what follows it stay, each turn with its role."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pipeline.store.records import LEAD_ROLES, TOOLS
from pipeline.store.score_types import ShownPrompt, ShownTurn

ROLE_NAMES = {TOOLS: "Tools", "system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool result"}
"""Roles as the page calls them; conversation.js has the same."""
MAX_LETTERS = 240
"""Letters of a text."""
MAX_LETTERS_BESIDE = 80
"""Letters of a turn beside the last question."""
LAST_TURNS = 2
"""Turns at the end of a conversation that are shown whatever their role."""


def excerpt(prompt: ShownPrompt) -> list[tuple[str, str]]:
    """The parts of a prompt for a reader, each with the name of its role; "" for text that is no turn."""
    if isinstance(prompt, str):
        return [("", shortened(prompt))]
    question = max((index for index, turn in enumerate(prompt) if turn["role"] == "user"), default=len(prompt) - 1)
    parts: list[tuple[str, str]] = []
    hidden = 0
    for index, turn in enumerate(prompt):
        if not (turn["role"] in LEAD_ROLES or index == question or index >= len(prompt) - LAST_TURNS):
            hidden += 1
            continue
        parts += gap(hidden)
        hidden = 0
        limit = MAX_LETTERS if index == question else MAX_LETTERS_BESIDE
        role: str = turn["role"]
        parts.append((ROLE_NAMES.get(role, role), shortened(turn_text(turn), limit)))
    return parts


def gap(turns: int) -> Sequence[tuple[str, str]]:
    """Stands for turns that are left out."""
    return [("", f"[{turns} turn{'s' if turns > 1 else ''}]")] if turns else []


def turn_text(turn: ShownTurn) -> str:
    """What a turn says and which tools it calls; of schemas the names of the tools."""
    if turn["role"] == TOOLS:
        return tool_names(turn["content"])
    return " ".join([*([turn["content"]] if turn["content"].strip() else []), *map(call_text, turn.get("tool_calls", ()))])


def call_text(call: Any) -> str:
    """A call on one line."""
    return f"call {call}" if isinstance(call, str) else f"call {call['function']['name']} {call['function']['arguments']}"


def tool_names(schemas: str) -> str:
    """The names in the schemas of tools; the text itself where it holds none, as a task of a user's own may have it."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return ", ".join(schema.get("function", schema)["name"] for schema in json.loads(schemas))
    return schemas


def shortened(text: str, limit: int = MAX_LETTERS) -> str:
    """A text on one line, cut behind this many letters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}…"
