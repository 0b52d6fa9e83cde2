"""Calls of tools are read in every form that chat templates write, and what is no call is none."""

import json
from pathlib import Path

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
        (
            "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n<arg_key>b</arg_key>\n<arg_value>x</arg_value>\n</tool_call>",
            ADD,
        ),
        ("<tool_call>now\n</tool_call>\n<tool_call>add<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>", BOTH),
        ("<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\n</parameter>\n</function>", ADD),
        ('<|tool_call_start|>[add(a=1, b="x")]<|tool_call_end|>', ADD),
        ("I look.[now(), add(a=1)]", BOTH),
        ("```tool_code\nadd(a=1, b='x')\n```", ADD),
        ("```tool_code\nprint(add(a=1, b='x'))\n```", ADD),
        ("add(a=1, b='x')", ADD),
        ('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a": 1, "b": "x"}\n```<｜tool▁call▁end｜>', ADD),
        (
            '<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜>',
            BOTH,
        ),
        ('functionadd\n```json\n{"a": 1, "b": "x"}\n```', ADD),
        (
            '<｜DSML｜invoke name="add">\n<｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter>\n'
            '<｜DSML｜parameter name="b" string="true">x</｜DSML｜parameter>\n</｜DSML｜invoke>',
            ADD,
        ),
        ('<minimax:tool_call><invoke name="now"></invoke><invoke name="add"><parameter name="a">1</parameter></invoke>', BOTH),
        (' to=functions.add<|channel|>commentary json<|message|>{"a": 1, "b": "x"}', ADD),
        ('<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1, "b": "x"}<|call|>', ADD),
        ('commentary to=functions.add json{"a": 1, "b": "x"}', ADD),
        ('to=functions.addcommentary json{"a": 1, "b": "x"}', ADD),
        ('<|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{"a": 1, "b": "x"}<|tool_call_end|>', ADD),
        ('functions.now:0{}functions.add:1{"a": 1}', BOTH),
        ('<|tool_call>call:add{a:1,b:<|"|>x<|"|>}<tool_call|>', ADD),
        ("<start_function_call>call:now{}<end_function_call><start_function_call>call:add{a:1}<end_function_call>", BOTH),
        ("<start_function_call>call:add{a:1,b:<escape>x<escape>}<end_function_call>", ADD),
        ("call:add{a:1,b:x}", None),
        ('call:add{a:1,b:<|"|>x', None),
        ("call:add{a:1", None),
        ("<tool_call>now", None),
        ("<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1", None),
        ("<|tool_call_start|>[add(1)]<|tool_call_end|>", None),
        ("[add(a='it's')]", None),
        ("[add(a=open('x'))]", None),
        ("[add(a=b)]", None),
        ("to=functions.add json", None),
        ('to=functions.add json{"a": ', None),
        ('<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a": 1', None),
        ("functions.add:0{", None),
        ("<tool_calls>\nadd\n</tool_calls>", None),
        ("f(x) and [see f(x)], or [f(x)]", "[]"),
        ("The function call: 3", "[]"),
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


WEATHER = '[{"arguments": {"city": "Paris", "days": 2}, "name": "get_weather"}]'
ARGUMENTS = '{"city": "Paris", "days": 2}'
TOOLS = (Turn("tools", json.dumps([{"type": "function", "function": {"name": "get_weather"}}, {"name": "search"}])), Turn("user", "q"))


@pytest.mark.parametrize(
    "text",
    [
        f"<function=get_weather>{ARGUMENTS}</function>",
        f"<function=get_weather>\n{ARGUMENTS}\n</function>",
        f"<function=get_weather>{ARGUMENTS}</function><|eom_id|>",
        f"<function=get_weather>{ARGUMENTS}",
        f'<function="get_weather">{ARGUMENTS}</function>',
        f"<function=get_weather{ARGUMENTS}</function>",
        f"<function(get_weather){ARGUMENTS}</function>",
        f'<function name="get_weather">{ARGUMENTS}</function>',
        f"I look.\n<function=get_weather>{ARGUMENTS}</function>\nThen I tell you.",
        f"<tool_call>\n<function=get_weather>\n{ARGUMENTS}\n</function>\n</tool_call>",
        '<function=get_weather>\n<parameter="city">Paris</parameter>\n<parameter name="days">2</parameter>\n</function>',
        "{'name': 'get_weather', 'arguments': {'city': 'Paris', 'days': 2}}",
        "[{'name': 'get_weather', 'arguments': {'city': 'Paris', 'days': 2}}]",
        "I call {'name': 'get_weather', 'arguments': {'city': 'Paris', 'days': 2}} now.",
        "<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Paris', 'days': 2}}</tool_call>",
        f'<functioncall> {{"name": "get_weather", "arguments": \'{ARGUMENTS}\'}}',
        f'{{"function_call": {{"name": "get_weather", "arguments": {ARGUMENTS}}}}}',
        f"Action: get_weather\nAction Input: {ARGUMENTS}",
        f"Thought: I look.\nAction: get_weather\nAction Input: {ARGUMENTS}\nObservation: 20\nAction: get_time\nAction Input: {{}}",
        f"**Action:** `get_weather`\n**Action Input:** ```json\n{ARGUMENTS}\n```",
        f"✿FUNCTION✿: get_weather\n✿ARGS✿: {ARGUMENTS}",
        f"get_weather\n{ARGUMENTS}",
        'get_weather(city: "Paris", days: 2)',
        'get_weather(city="Paris", days=2)',
    ],
)
def test_a_call_is_read_in_every_form_and_is_not_another(text):
    """With the name and the values that it has; a text without the name, or with another value, calls something else."""
    assert read(text) == WEATHER
    assert read(text.replace("Paris", "Rome")) == WEATHER.replace("Paris", "Rome")
    assert read(text.replace("get_weather", "get_news")) == WEATHER.replace("get_weather", "get_news")


@pytest.mark.parametrize(
    "text",
    [
        "<function=get_weather>",
        "<function=get_wea",
        '<function=get_weather>{"city": "Par',
        "<function=get_weather>\n<parameter=city>\nPar",
        "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n2",
        "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nPar",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n2",
        f"<function=get_weather>{ARGUMENTS}</function><function=get_weather>{{",
        f"<function=get_weather>{ARGUMENTS}</function><function=get_wea",
        '<invoke name="get_weather">\n<parameter name="city">Par',
        '<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n<parameter name="days">2',
        '<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n',
        '<invoke name="get_weather"></invoke><invoke name="get_wea',
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n",
        '[get_weather(city="Paris", days=2',
        'I look.\n[get_weather(city="Paris", days=2), get_weather(city="Rome"',
        'get_weather(city="Paris", days=',
        'get_weather(city: "Paris", days:',
        'Action: get_weather\nAction Input: {"city": "Par',
        "Thought: I look.\nAction: get_weather\nAction Input:",
        "Thought: I look.\nAction: get_weather",
        '✿FUNCTION✿: get_weather\n✿ARGS✿: {"city": "Par',
        "✿FUNCTION✿: get_wea",
        "{'name': 'get_weather', 'arguments': {'city': 'Par",
        '{"tool": "get_weather", "args": {"city": "Par',
        '{"name": "get_weather", "argum',
        f'[{{"name": "get_weather", "arguments": {ARGUMENTS}}}',
        f'```json\n[{{"name": "get_weather", "arguments": {ARGUMENTS}}}, {{"name": "get_weather", "argum',
        f"get_weather\n{ARGUMENTS[:-1]}",
    ],
)
def test_a_call_that_was_cut_off_is_none(text):
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('{"name": "Bob", "age": 5}', "[]"),
        ('The result is {"name": "Bob", "age": 5}.', "[]"),
        ('The result is {"name": "Bob"}.', "[]"),
        ("I would see her.\nAction: Take a walk today.", "[]"),
        ('Output\n{"a": 1}', "[]"),
        ('json\n{"a": 1}', "[]"),
        ('{"result": {"a": 1}}', "[]"),
        ('{"name": "get_weather", "city": "Paris"}', None),
        ('{"get_weather": {"city": "Paris"}}', None),
        ('get_weather("Paris", 2)', None),
        ('search\n{"q": "x"}', None),
        ('<tool_call>{"name": "get_weather", "city": "Paris"}</tool_call>', None),
        ("get_weather(days=029.90)", None),
        ("<invoke>\n<tool_name>get_weather</tool_name>\n</invoke>", None),
    ],
)
def test_what_may_be_a_call_is_unread_and_a_name_alone_is_none(text, calls):
    assert read(text) == calls


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f'{{"get_weather": {ARGUMENTS}}}', WEATHER),
        (f"get_weather\n{ARGUMENTS}", WEATHER),
        (f"search\n{ARGUMENTS}", WEATHER.replace("get_weather", "search")),
        ('I call {"name": "search"}.', '[{"arguments": {}, "name": "search"}]'),
        ('{"name": "search", "q": "x"}', None),
        ('search("x")', None),
        ('{"first_name": {"a": 1}}', "[]"),
        ('{"name": "first_name", "age": 5}', "[]"),
        ('get_news\n{"q": "x"}', None),
        ('result\n{"a": 1}', "[]"),
    ],
)
def test_the_tools_of_the_prompt_say_what_a_call_is(text, calls):
    assert parsers.tool_call(text, Example("1", TOOLS, "")) == calls


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


@given(calls=st.lists(CALL, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_values_in_forms_without_json_are_read_as_they_are(calls):
    """Python as LFM2 has it, and Gemma's keys without quotes and texts between marks."""
    expected = tool_call_reader.read(json.dumps(calls))
    named = [(call["name"].replace("-", "_"), call["arguments"]) for call in calls]
    listed = ", ".join(f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})" for name, arguments in named)
    assert read(f"<|tool_call_start|>[{listed}]<|tool_call_end|>") == expected.replace("b-c", "b_c")
    assert read(f"[{listed}]") == expected.replace("b-c", "b_c")
    assert read("".join(f"<|tool_call>call:{call['name']}{gemma(call['arguments'])}<tool_call|>" for call in calls)) == expected


def gemma(value):
    if isinstance(value, str):
        return f'<|"|>{value}<|"|>'
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{gemma(inner)}' for key, inner in value.items())}}}"
    return f"[{','.join(map(gemma, value))}]" if isinstance(value, list) else json.dumps(value)


def test_what_templates_of_many_models_write_is_read():
    """All templates with tools that TRL ships; those of LFM2 2.5 write quotes so that they are no Python: no call is made up."""
    trl = pytest.importorskip("trl")
    from transformers.utils.chat_template_utils import render_jinja_template

    arguments = {"city": 'St. "John\'s", {a}', "days": 3, "share": 1.5, "warm": True, "unit": None, "tags": [1, "b"], "more": {"k": "v"}}
    expected, results = tool_call_reader.read(json.dumps([{"name": "get_weather", "arguments": arguments}])), {}
    for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja")):
        template = path.read_text("utf-8")
        if "tool_calls" not in template or "_training" in path.stem:
            continue
        is_deepseek = "deepseek" in path.stem  # it wants arguments as text, and no content beside calls
        function = {"name": "get_weather", "arguments": json.dumps(arguments) if is_deepseek else arguments}
        call = {"type": "function", "id": "abcdefghi", "function": function}
        turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": None if is_deepseek else "", "tool_calls": [call]}]
        [[text], _] = render_jinja_template([turns], chat_template=template, bos_token="", eos_token="")
        results[path.stem] = tool_call_reader.read(text.rpartition("Q")[2])
    unread = {"lfm2_2_5", "lfm2_2_5_v2"}
    assert {name for name, calls in results.items() if calls != expected} <= unread
    assert {"deepseekv3", "glm4moe", "gptoss", "gemma4", "lfm2_v2", "qwen3_6", "llama3_1"} <= results.keys()
    assert all(results[name] is None for name in unread & results.keys())


def test_which_tools_are_called():
    assert tool_call_reader.names(BOTH) == ["add", "now"]
    assert tool_call_reader.names("words") == []
    assert tool_call_reader.names('<tool_call>{"name"') is None
