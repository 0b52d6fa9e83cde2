"""Reads the thoughts of answers (`<think>...</think>`, `reasoning_content`), and fits them to chat templates that open or close some."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.data import row_formats, tool_calls
from pipeline.data.files import BadRow
from pipeline.data.task import Row
from pipeline.models import thinking
from pipeline.models.renderer import Renderer
from pipeline.scoring.answer_text import without_thoughts
from pipeline.store.records import CALLS, THOUGHT, Example, Turn

FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a turn that hold its thought, as vLLM, OpenRouter and gpt-oss call them."""
END = thinking.CLOSE
START = re.compile(r"\s*<think>\n?")
EMPTY = re.compile(r"\s*<think>\s*</think>\s*")
REMEDY = "Set thinking: true for the task, so that models think before they answer; or take the thoughts out of the answers."


def folded(row: Row) -> Row:
    """The row with the thoughts of its turns in their contents, where they stand in fields of their own."""
    columns = (*row_formats.MESSAGE_COLUMNS, "prompt", "completion")
    lists = {name: row_formats.parsed_turns(row[name]) for name in columns if name in row}
    turns = {name: [with_content(turn) for turn in value] for name, value in lists.items() if isinstance(value, list)}
    return {**row, **turns}


def with_content(turn: Any) -> Any:
    """An answer with its thought in front of its content; any other turn as it is."""
    role = turn.get("role") or turn.get("from") if isinstance(turn, Mapping) else None
    name = next((name for name in FIELDS if isinstance(role, str) and isinstance(turn.get(name), str)), None)
    if name is None or row_formats.ROLES.get(str(role).lower()) != "assistant":
        return turn
    rest = {key: value for key, value in turn.items() if key != name}
    key = "value" if "value" in turn and "content" not in turn else "content"
    content = rest.get(key) or ""
    if not turn[name].strip() or not isinstance(content, str):
        return rest
    return {**rest, key: thinking.with_thought(Turn("assistant", content), turn[name].strip("\n")).content}


def apart(example: Example) -> Example:
    """The example with the thought of its answer beside the target."""
    answer = example.answer_turn
    thought, words = split(answer.content)
    extra = example.extra | ({THOUGHT: thought} if thought else {})
    if CALLS not in example.extra:
        return replace(example, target=words, extra=extra)
    turn = replace(answer, content=words)
    return replace(example, target=tool_calls.text(turn), extra=extra | {CALLS: turn.message()})


def split(text: str) -> tuple[str, str]:
    """The thought of an answer, without its tags, and the answer."""
    words = without_thoughts(text)
    if END not in text:
        return "", text
    thought = text.removesuffix(words).rstrip().removesuffix(END)
    return START.sub("", thought, count=1).strip("\n"), words


def without(examples: Iterable[tuple[str, Example]]) -> Iterator[tuple[str, Example]]:
    """Test examples, whose targets are answers alone."""
    for location, example in examples:
        extra = {name: value for name, value in example.extra.items() if name != THOUGHT}
        yield location, replace(example, extra=extra) if THOUGHT in example.extra else example


def dropped(text: str, render: Renderer) -> str:
    """A target as the chat template writes it, without the thoughts that it puts in front where models think."""
    return without_thoughts(text) if render.thinking else text


def fitted(example: Example, render: Renderer) -> Example | BadRow:
    """The example with the target that follows its prompt, or why none can.

    Where prompts end in an open `<think>` (DeepSeek R1), the target goes on from there. Where they end in closed thoughts, as those of
    a thinking switch that is off do (Qwen3), thoughts of a target would come second, and no template writes that.
    """
    if END not in example.target or not render.chat or render.thinking:
        return example
    prompt, _ = render.chat_suffix
    start, end = prompt.rfind("<think>"), prompt.rfind(END)
    if start < 0:
        return example
    if start > end:
        return replace(example, target=START.sub("", example.target, count=1))
    if empty := EMPTY.match(example.target):
        return replace(example, target=example.target[empty.end() :])
    problem = f"the answer holds thoughts ({END}), and a prompt of the chat template ends with closed ones"
    return BadRow("chat template", problem, REMEDY)
