"""Prompts as a reader gets them: rows of the comparison keep the turns, tables an excerpt of them."""

import json

import pytest

from pipeline.page import prompt_excerpt
from pipeline.scoring import shown_prompts
from pipeline.store.records import CALLS, TOOLS, Example, Turn, prompt_from_json

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 10**20, "b": float("nan"), "c": "é"}}}
WRITTEN = {"name": "add", "arguments": '{"a": 100000000000000000000, "b": NaN, "c": "é"}'}
SCHEMAS = json.dumps([{"type": "function", "function": {"name": "add"}}, {"name": "sub"}])


def test_text_stays_text():
    assert shown_prompts.prompt(Example("1", "the cat", "yes")) == "the cat"
    assert shown_prompts.target_turn(Example("1", "the cat", "yes")) is None


def test_turns_are_openai_messages_that_any_browser_reads():
    """Numbers that JSON of a browser has not, or not in full, stand in text."""
    prompt = (Turn(TOOLS, SCHEMAS), Turn("user", "hi"), Turn("assistant", "", {"tool_calls": [CALL]}), Turn("tool", "3", {"name": 7.5}))
    rows = shown_prompts.prompt(Example("1", prompt, "yes"))
    assert rows[:2] == [{"role": TOOLS, "content": SCHEMAS}, {"role": "user", "content": "hi"}]
    assert rows[2] == {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", "function": WRITTEN}]}
    assert rows[3] == {"role": "tool", "content": "3", "name": "7.5"}
    json.dumps(rows, allow_nan=False)
    assert [turn.role for turn in prompt_from_json(rows)] == [TOOLS, "user", "assistant", "tool"]


def test_a_target_that_calls_is_a_turn():
    message = {"role": "assistant", "content": "So:", "tool_calls": [CALL]}
    turn = shown_prompts.target_turn(Example("1", "hi", "<tool_call>", extra={CALLS: message}))
    assert turn == {"role": "assistant", "content": "So:", "tool_calls": [{"id": "c1", "type": "function", "function": WRITTEN}]}


@pytest.mark.parametrize(("call", "text"), [("add 1", "add 1"), ({"add": 1}, '{"add": 1}'), (None, "null")])
def test_calls_of_a_users_own_task_may_have_any_form(call, text):
    (row,) = shown_prompts.prompt(Example("1", (Turn("assistant", "", {"tool_calls": [call], "thoughts": ["a"]}),), "yes"))
    assert (row["tool_calls"], row["thoughts"]) == ([text], '["a"]')
    assert prompt_excerpt.excerpt([row]) == [("Assistant", f"call {text}")]


def test_an_excerpt_keeps_the_last_question_and_says_what_it_leaves_out():
    turns = [Turn(("user", "assistant")[n % 2], f"turn {n} {'word ' * 60}") for n in range(8)]
    prompt = (
        Turn(TOOLS, SCHEMAS),
        Turn("system", "be brief " * 40),
        *turns,
        Turn("user", "why ? " * 20),
        Turn("assistant", "", {"tool_calls": [CALL]}),
    )
    parts = prompt_excerpt.excerpt([*map(shown_prompts.message, prompt), {"role": "tool", "content": "3"}])
    assert [role for role, _ in parts] == ["Tools", "System", "", "User", "Assistant", "Tool result"]
    assert (parts[0][1], parts[2][1], parts[5][1]) == ("add, sub", "[8 turns]", "3")
    assert parts[1][1] == f"{'be brief ' * 8}be brief"[:80] + "…"
    assert parts[3][1] == ("why ? " * 20).strip()
    assert parts[4][1] == f"call add {WRITTEN['arguments']}"
    assert prompt_excerpt.excerpt([{"role": "critic", "content": "no"}]) == [("critic", "no")]
    assert prompt_excerpt.excerpt([{"role": TOOLS, "content": "none"}]) == [("Tools", "none")]


def test_an_excerpt_of_text_is_cut():
    assert prompt_excerpt.excerpt("a \n b") == [("", "a b")]
    assert prompt_excerpt.excerpt("x" * 300) == [("", f"{'x' * 240}…")]
