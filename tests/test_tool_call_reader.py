"""Calls of tools are read in every form that chat templates write, and what is no call is none."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.renderer import Renderer
from pipeline.scoring import parsers, tool_call_reader
from pipeline.store.records import Example, Turn
from tests import twins

ADD = '[{"arguments": {"a": 1, "b": "x"}, "name": "add"}]'
BOTH = '[{"arguments": {"a": 1}, "name": "add"}, {"arguments": {}, "name": "now"}]'


def read(text):
    return parsers.tool_call(text, Example("1", "q", ""))


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n</tool_call>', ADD),
        ('I add.\n<tool_call>\n{"arguments": {"b": "x", "a": 1.0}, "name": "add"}\n</tool_call>', ADD),
        ('<tool_call>{"name": "add", "arguments": {"a": 1, "b": "x"}}', ADD),
        ('<think>\n{"name": "now"}\n</think>\n\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n</tool_call>', ADD),
        ('<tool_call>\n{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": \\"x\\"}"}\n</tool_call>', ADD),
        ('<tool_call>{"name": "now", "arguments": {}}</tool_call>\n<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', BOTH),
        ('<tool_call>[{"name": "now"}, {"name": "add", "arguments": {"a": 1}}]</tool_call>', BOTH),
        ("<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\n</parameter>\n</function>\n</tool_call>", ADD),
        ('{"name": "add", "parameters": {"a": 1, "b": "x"}}', ADD),
        ('<|python_tag|>{"name": "add", "parameters": {"a": 1, "b": "x"}}', ADD),
        ('{"name": "now", "parameters": {}}; {"name": "add", "parameters": {"a": 1}}', BOTH),
        ('{"type": "function", "name": "add", "parameters": {"a": 1, "b": "x"}}', ADD),
        ('[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1, "b": "x"}, "id": "abc123def"}]', ADD),
        ('[{"name": "add", "arguments": {"a": 1, "b": "x"}, "id": "abc123def"}]', ADD),
        ('[TOOL_CALLS]add[CALL_ID]abc123def[ARGS]{"a": 1, "b": "x"}', ADD),
        ('add{"a": 1, "b": "x"}', ADD),
        ('now[ARGS]{}add[ARGS]{"a": 1}', BOTH),
        ('```json\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n```', ADD),
        ('Sure, I call it:\n\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n\nThat adds.', ADD),
        ('[{"type": "function", "function": {"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": \\"x\\"}"}}]', ADD),
        ("It is 3.", "[]"),
        ("Use {a: 1} or {} as you like.", "[]"),
        ('{"city": "Paris"}', "[]"),
        ("[]", "[]"),
        ("add", "[]"),
        ("", None),
        (" \n", None),
        ('<tool_call>\n{"name": "add", "arguments": {"a": ', None),
        ('<tool_call>{"name": "add", "arguments": [1]}</tool_call>', None),
        ('<tool_call>{"arguments": {"a": 1}}</tool_call>', None),
        ("<tool_call></tool_call>", None),
        ("<tool_call>add(1)</tool_call>", None),
        ('<tool_call>{"name": "now"}</tool_call><tool_call>{"name": ', None),
        ('{"name": "add", "parameters": {"a": 1', None),
        ("[TOOL_CALLS] add", None),
        ("[TOOL_CALLS][" + "[" * 3000, None),
    ],
)
def test_calls_of_a_text(text, calls):
    assert read(text) == calls
    assert calls is None or read(calls) == calls


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9).map(lambda x: round(x, 2)) | st.text("ab \"'{}<>\\é好", max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", min_size=1), inner, max_size=2),
    max_leaves=4,
)
CALL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["add", "get_weather", "a.b-c"]),
        "arguments": st.dictionaries(st.text("klm_", min_size=1), VALUES, max_size=3),
    }
)


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return {name: Renderer(twins.save_tokenizer(form, folder / name)) for name, form in twins.TOOL_FORMS.items()}


@pytest.mark.parametrize("form", twins.TOOL_FORMS)
@given(calls=st.lists(CALL, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_a_template_writes_is_read_as_what_it_was_given(renders, form, calls):
    """As the template writes it, and as generation gives it back, without control tokens."""
    calls = calls[:1] if form == "llama-3.1" else calls
    turn = Turn("assistant", "", {"tool_calls": [{"type": "function", "function": call} for call in calls]})
    text = renders[form].call_text("the cat sees ?", turn)
    expected = tool_call_reader.read(json.dumps(calls))
    assert json.loads(expected) == sorted(calls, key=lambda call: json.dumps(call, sort_keys=True, ensure_ascii=False))
    assert read(text) == expected
    assert read(renders[form].decode(renders[form].call_ids(text))) == expected


def test_which_tools_are_called():
    assert tool_call_reader.names(BOTH) == ["add", "now"]
    assert tool_call_reader.names("words") == []
    assert tool_call_reader.names('<tool_call>{"name"') is None
