"""Rows in the formats that people have: what is the prompt, what is the target, which turns carry loss, and what is refused."""

import json

import pytest

from pipeline.data import inline, row_formats
from pipeline.errors import DataError, RecipeError
from pipeline.store.records import LOSS_TURNS, TOOLS, Example, Turn
from tests import preparing

SYSTEM, ASK, SAY = ({"role": role, "content": text} for role, text in (("system", "Be brief."), ("user", "hi"), ("assistant", "hello")))
MORE = {"role": "user", "content": "and?"}
LAST = {"role": "assistant", "content": "bye"}
SCHEMA = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
CALLS = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]


def task(**changes):
    return preparing.task(**{"prompt": "", "target": ""} | changes)


def example_of(row, **changes):
    return inline.build_task(task(**changes)).example(row)


def turns(*messages):
    return tuple(Turn(message["role"], message["content"]) for message in messages)


@pytest.mark.parametrize(
    ("row", "prompt", "target"),
    [
        ({"messages": [ASK, SAY]}, "hi", "hello"),
        ({"messages": [SYSTEM, ASK, SAY]}, turns(SYSTEM, ASK), "hello"),
        ({"messages": [ASK, SAY, MORE, LAST]}, turns(ASK, SAY, MORE), "bye"),
        ({"messages": [ASK, SAY, MORE]}, "hi", "hello"),
        ({"messages": json.dumps([ASK, SAY])}, "hi", "hello"),
        ({"messages": [{"role": "developer", "content": "Be brief."}, ASK, SAY]}, turns(SYSTEM, ASK), "hello"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}, SAY]}, "hi", "hello"),
        ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, SAY]}, "hi", "hello"),
        ({"messages": [ASK, SAY | {"weight": 1}, MORE, LAST | {"weight": 0}]}, "hi", "hello"),
        ({"messages": [ASK, SAY], "prompt": "hi", "prompt_id": "7"}, "hi", "hello"),
        ({"messages": [ASK, SAY], "system": "Be brief."}, turns(SYSTEM, ASK), "hello"),
        ({"messages": [SYSTEM, ASK, SAY], "system": "no"}, turns(SYSTEM, ASK), "hello"),
        ({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}, "hi", "hello"),
        ({"conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
         turns(SYSTEM, ASK), "hello"),
        ({"conversations": [ASK, SAY]}, "hi", "hello"),
        ({"prompt": "hi", "completion": "hello"}, "hi", "hello"),
        ({"prompt": "[1, 2]", "completion": "{\"a\": 1}"}, "[1, 2]", "{\"a\": 1}"),
        ({"prompt": [SYSTEM, ASK], "completion": [SAY]}, turns(SYSTEM, ASK), "hello"),
        ({"prompt": [ASK, SAY, MORE], "completion": [LAST]}, turns(ASK, SAY, MORE), "bye"),
        ({"instruction": "hi", "output": "hello"}, "hi", "hello"),
        ({"instruction": "hi", "input": "", "output": "hello"}, "hi", "hello"),
        ({"instruction": "Sum up.", "input": "A long text.", "output": "Text."}, "Sum up.\n\nA long text.", "Text."),
        ({"instruction": "Double.", "input": 0, "output": "0"}, "Double.\n\n0", "0"),
        ({"instruction": "Double.", "input": float("nan"), "output": "0"}, "Double.", "0"),
        ({"instruction": "Who?", "context": "Ann left.", "response": "Ann", "category": "qa"}, "Who?\n\nAnn left.", "Ann"),
        ({"prompt": "hi", "completion": "hello", "label": True}, "hi", "hello"),
        ({"instruction": "hi", "input": None, "response": "hello", "system": "Be brief."}, turns(SYSTEM, ASK), "hello"),
        ({"instruction": "and?", "output": "bye", "history": [["hi", "hello"]]}, turns(ASK, SAY, MORE), "bye"),
    ],
)  # fmt: skip
def test_prompt_and_target_of_a_row(row, prompt, target):
    assert example_of(row) == Example("", prompt, target)


def test_tools_and_calls_stay_for_the_template():
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    row = {
        "messages": [
            ASK,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "2", "tool_call_id": "1"},
            LAST,
        ],
        "tools": json.dumps(SCHEMA),
    }
    prompt = example_of(row).prompt
    assert [turn.message() for turn in prompt] == [
        {"role": TOOLS, "content": json.dumps(SCHEMA)},
        ASK,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_call_id": "1"},
    ]
    sharegpt = {
        "conversations": [
            {"from": "human", "value": "hi"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "bye"},
        ]
    }
    other = example_of(sharegpt).prompt
    assert other[1].more["tool_calls"][0]["function"] == call["function"]
    assert (other[2].role, other[2].content) == ("tool", "2")


@pytest.mark.parametrize(
    "turn",
    [
        {"content": None, "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]},
        {"content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]},
        {"tool_calls": [{"name": "add", "arguments": '{"a": 1}'}]},
        {"content": None, "tool_calls": json.dumps(CALLS)},
        {"content": None, "function_call": {"name": "add", "arguments": '{"a": 1}'}},
    ],
)
def test_every_spelling_of_a_call_reaches_the_template_alike(turn):
    """Templates write arguments as JSON, so those that are JSON already, as OpenAI has them, would come out in quotes."""
    answer = {"role": "tool", "content": "2"}
    prompt = example_of({"messages": [ASK, {"role": "assistant", **turn}, answer, LAST]}).prompt
    assert prompt[1].message() == {"role": "assistant", "content": "", "tool_calls": CALLS}


def test_a_call_without_arguments_has_an_empty_object():
    call = {"id": "x1", "type": "function", "function": {"name": "now", "arguments": ""}}
    prompt = example_of({"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [call]}, MORE, LAST]}).prompt
    assert prompt[1].more["tool_calls"] == [{"id": "x1", "type": "function", "function": {"name": "now", "arguments": {}}}]


@pytest.mark.parametrize("tools", [None, "", [], "[]", float("nan")])
def test_rows_without_tools_have_none(tools):
    assert example_of({"messages": [ASK, SAY], "tools": tools}).prompt == "hi"


@pytest.mark.parametrize(
    ("weights", "loss", "earlier", "target"),
    [
        ((None, None, None), "last", None, "c"),
        ((None, None, None), "assistant", [1, 3], "c"),
        ((0, None, 1), "assistant", [3], "c"),
        ((1, 1, 0), "assistant", [1], "b"),
        ((0, 0, 1), "assistant", None, "c"),
    ],
)
def test_turns_that_carry_loss(weights, loss, earlier, target):
    messages = []
    for weight, answer in zip(weights, "abc", strict=True):
        messages += [{"role": "user", "content": f"{answer}?"}, {"role": "assistant", "content": answer}]
        messages[-1] |= {} if weight is None else {"weight": weight}
    example = example_of({"messages": messages}, loss=loss)
    assert (example.target, example.extra.get(LOSS_TURNS)) == (target, earlier)


def test_a_blank_answer_is_nothing_to_learn():
    """As a blank target is none: the model would learn to end its turn at once."""
    blank = {"role": "assistant", "content": " "}
    assert LOSS_TURNS not in example_of({"messages": [ASK, blank, MORE, LAST]}, loss="assistant").extra
    call = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}
    assert example_of({"messages": [ASK, call, MORE, LAST]}, loss="assistant").extra == {LOSS_TURNS: [1]}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": []}, "messages is \\[\\], where a list of turns is expected"),
        ({"messages": "hello"}, "messages is \"hello\", where a list of turns"),
        ({"messages": ["hi", "hello"]}, "where a list of turns is expected"),
        ({"messages": [ASK]}, "has no assistant turn .*its turns: user"),
        ({"messages": [SAY]}, "begins with its only assistant turn"),
        ({"messages": [SYSTEM, SAY]}, "begins with its only assistant turn"),
        ({"messages": [ASK, SAY | {"weight": 0}]}, "every assistant turn of the conversation has the weight 0"),
        ({"messages": [ASK, SAY | {"weight": 0.5}]}, r"messages\[1\].weight is 0.5, where 0 or 1 is expected"),
        ({"messages": [ASK, {"role": "narrator", "content": "x"}, SAY]}, r"messages\[1\].role is \"narrator\""),
        ({"messages": [ASK, {"content": "x"}]}, r"messages\[1\].role is null"),
        ({"messages": [{"role": "user", "content": None}, SAY]}, r"messages\[0\].content is null, where text is expected"),
        ({"messages": [{"role": "user", "content": 7}, SAY]}, r"messages\[0\].content is 7, where text is expected"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, SAY]}, "holds image_url, and only text"),
        ({"conversations": [{"from": "human", "value": "hi"}, {"from": "function_call", "value": "add"}]}, "is no JSON"),
        ({"instruction": "hi", "output": "x", "history": ["hi"]}, "history is .*pairs of question and answer"),
        ({"instruction": "hi", "output": "x", "history": 5}, "history is 5, where pairs of question and answer"),
        ({"instruction": 3, "output": "x"}, "instruction is 3, where text"),
        ({"instruction": "hi", "input": ["a"], "output": "x"}, r"input is \[\"a\"\], where text"),
        ({"messages": [ASK, SAY], "system": ["Be brief."]}, "system is .*where text"),
        ({"prompt": "hi", "completion": "go away", "label": False}, "label is false, which says that the completion is a bad one"),
        ({"prompt": "hi", "completion": 3}, "completion is 3, where text"),
        ({"text": "### Human: hi ### Assistant: hello"}, "one column, text, so it is not known where the answer begins"),
        ({"text": "great", "label": "pos"}, "the columns text and label are a prompt and its target only where templates say so"),
        ({"prompt": "hi", "chosen": "a", "rejected": "b"}, "preference pairs"),
        ({"question": "hi", "answer": "hello"}, r"the columns \(question, answer\) are in no known format"),
        ({"messages": None, "text": "x"}, "not known where the answer begins"),
        ({}, "no column holds a value"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read_say_why(row, problem):
    with pytest.raises(DataError, match=problem):
        example_of(row)


def test_a_recipe_can_name_the_format_and_its_columns():
    row = {"dialog": [ASK, SAY], "instruction": "x", "output": "y"}
    assert example_of(row).target == "y"
    assert example_of(row, columns={"messages": "dialog"}).target == "hello"
    both = {"messages": [ASK, SAY], "instruction": "x", "output": "y"}
    assert example_of(both).target == "hello"
    assert example_of(both, format="alpaca").target == "y"
    with pytest.raises(DataError, match="format: alpaca needs instruction and output or response, and the columns are messages"):
        example_of({"messages": [ASK, SAY]}, format="alpaca")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prompt": "{a}", "target": "{b}", "format": "messages"}, "format belongs to rows that are read without templates"),
        ({"prompt": "{a}", "target": "{b}", "loss": "assistant"}, "loss belongs to rows"),
        ({"labels": {"a": ["x"]}}, "labels belongs to templates"),
        ({"cut": "a"}, "cut belongs to templates"),
        ({"columns": {"mesages": "dialog"}}, "columns.mesages: no format has such a column. Did you mean 'messages'"),
        ({"prompt": "{a}"}, "target"),
    ],
)
def test_keys_that_contradict_each_other(changes, problem):
    with pytest.raises(RecipeError, match=problem):
        inline.find(task(**changes))


def test_columns_of_a_source_are_checked_before_its_rows():
    spec = inline.spec(task(group="{doc}"))
    inline.check_columns(spec, ("messages", "doc"), "x.jsonl")
    with pytest.raises(DataError, match=r"group uses {doc}, but x.jsonl has no such column"):
        inline.check_columns(spec, ("messages",), "x.jsonl")
    with pytest.raises(DataError, match=r"x.jsonl: the rows hold prompt and answer in one column, text"):
        inline.check_columns(spec, ("text", "doc"), "x.jsonl")


def test_the_key_of_a_task_with_templates_is_as_before():
    assert not {"format", "columns", "loss"} & set(inline.spec(preparing.task()))
    assert inline.spec(task(loss="assistant"))["loss"] == "assistant"


def test_a_key_twice_in_turns_that_are_text_is_not_read_as_the_last():
    turns = '[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "red", "content": "blue"}]'
    assert row_formats.parsed(turns) == turns
    assert row_formats.parsed(turns.replace("blue", "red"))[1]["content"] == "red"


def test_a_conversation_is_one_text_where_texts_are_compared():
    example = example_of({"messages": [SYSTEM, ASK, SAY, MORE, LAST]})
    assert example.text == "Be brief.\n\nhi\n\nhello\n\nand?"
    assert example.question == "hi\n\nhello\n\nand?"
    assert example_of({"messages": [ASK, SAY]}).text == "hi"


def test_the_remedies_for_preference_pairs_work():
    pair = {"prompt": "hi", "chosen": "hello", "rejected": "go away"}
    assert example_of(pair, columns={"completion": "chosen"}) == Example("", "hi", "hello")
    assert example_of({"chosen": [ASK, SAY], "rejected": [ASK, LAST]}, columns={"messages": "chosen"}) == Example("", "hi", "hello")
