"""Rows whose last answer calls a tool: the target is what the chat template writes, with exactly its tokens under the mask."""

import copy
import json
import sys
from dataclasses import replace

import pytest
import yaml

from pipeline import cli
from pipeline.commands.recompute_page import verify
from pipeline.data import few_shot_prompts, inline, token_counts
from pipeline.data.files import BadRow
from pipeline.models import template_probe
from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.stages import finetune
from pipeline.store.records import CALLS, LOSS_TURNS, TOOLS, Example, Turn
from tests import preparing, twins

SCHEMA = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}}}]
ASK = {"role": "user", "content": "the cat sees ?"}
SAY = {"role": "assistant", "content": "yes"}
RESULT = {"role": "tool", "content": "two"}


def call(**arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": arguments}}]}


def example_of(*messages, **changes):
    task = preparing.task(**{"prompt": "", "target": "", "answer": "tool_call", "metrics": ["tool_call_match"]} | changes)
    return inline.build_task(task).example({"messages": list(messages), "tools": SCHEMA})


def written(example, render, reads_calls=True):
    return token_counts.written_example(example, render, reads_calls)


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    forms = twins.TOOL_FORMS | {name: twins.FORMS[name] for name in ("zephyr", "gemma", "thinking", "none")}
    return {name: Renderer(twins.save_tokenizer(form, folder / name)) for name, form in forms.items()}


TARGETS = {
    "hermes": '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>',
    "llama-3.1": '{"name": "add", "parameters": {"a": 1}}',
    "mistral-v3": '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]',
}


@pytest.mark.parametrize("form", TARGETS)
def test_the_target_is_what_the_template_writes_and_the_mask_covers_it(renders, form):
    render = renders[form]
    example = written(example_of(ASK, call(a=1)), render)
    assert example.target == TARGETS[form]
    row = finetune.token_row(example, render)
    whole = render.encode(render.conversation(example.prompt, example.answer_turn))
    assert list(row.ids) == whole[: len(row.ids)]
    assert render.decode(whole[len(row.ids) :]).strip() == ""
    (target,) = [ids for ids, is_target in row.runs() if is_target]
    assert render.tokenizer.decode(target) == TARGETS[form] + render.tokenizer.decode([render.end_id])
    assert token_counts.counts_alone(example, render) == (len(row.ids) - len(target), len(target))


def test_a_template_that_does_not_end_a_call_is_named_as_such(renders):
    """It has tools, so a reader must not look for them; without the end token a model could not learn to stop."""
    tokenizer = copy.deepcopy(renders["hermes"].tokenizer)
    end = tokenizer.convert_ids_to_tokens(renders["hermes"].end_id)
    before, _, after = tokenizer.chat_template.rpartition(end)
    tokenizer.chat_template = f"{before}{{% if not m.tool_calls %}}{end}{{% endif %}}{after}"
    row = written(example_of(ASK, call(a=1)), Renderer(tokenizer))
    assert isinstance(row, BadRow)
    assert row.value == f"the chat template writes no end token ({end}) behind a call of a tool"


@pytest.mark.parametrize("form", TARGETS)
def test_calls_before_the_last_answer_carry_loss_too(renders, form):
    render = renders[form]
    example = example_of(ASK, call(a=1), RESULT, SAY, ASK, call(a=2), loss="assistant")
    assert example.extra[LOSS_TURNS] == [2, 4]  # behind the tools and the question
    row = finetune.token_row(written(example, render), render)
    end = render.tokenizer.decode([render.end_id])
    decoded = [render.tokenizer.decode(ids).removesuffix(end).strip() for ids, is_target in row.runs() if is_target]
    assert decoded == [TARGETS[form], "yes", TARGETS[form].replace("1", "2")]


def test_words_before_a_call_are_part_of_the_target(renders):
    example = written(example_of(ASK, call(a=1) | {"content": "I add."}), renders["hermes"])
    assert example.target == f"I add.\n{TARGETS['hermes']}"


@pytest.mark.parametrize("form", ["zephyr", "gemma", "thinking", "none"])
def test_a_template_without_tools_is_refused(renders, form):
    refused = written(example_of(ASK, call(a=1)), renders[form])
    assert isinstance(refused, BadRow)
    assert refused.reason == "chat template"
    assert "Name " in refused.remedy


@pytest.mark.parametrize(
    ("form", "messages", "problem"),
    [
        ("zephyr", [ASK, SAY], "leaves out the tools"),
        ("llama-3.1", [ASK, call(a=1), RESULT, SAY], ""),
        ("hermes", [ASK, call(a=1), RESULT, SAY], ""),
    ],
)
def test_what_a_template_leaves_out_is_refused(renders, form, messages, problem):
    example = example_of(*messages)
    refused = token_counts.refusal(example, renders[form])
    assert (refused is None) == (not problem)


def test_a_turn_that_a_template_leaves_out_is_named(renders):
    tokenizer = renders["hermes"].tokenizer
    template = tokenizer.chat_template
    try:
        tokenizer.chat_template = template.replace("{% for m in messages %}", "{% for m in messages if m.role != 'tool' %}")
        render = Renderer(tokenizer)
        prompt = tuple(Turn.from_message(message) for message in (ASK, call(a=1), RESULT))
        with pytest.raises(ChatTemplateError, match=r"leaves out turn 2 \(tool\)") as error:
            template_probe.check(render, prompt, Turn("assistant", "yes"))
        assert "whose chat template has tools" in error.value.remedy
        tokenizer.chat_template = template.replace("c.function | tojson", "c.type")
        with pytest.raises(ChatTemplateError, match=r"leaves out calls of turn 1 \(assistant\)"):
            template_probe.check(Renderer(tokenizer), prompt, Turn("assistant", "yes"))
    finally:
        tokenizer.chat_template = template


def test_a_call_behind_words_is_not_lost(renders):
    """Else the words alone would be learned."""
    with pytest.raises(ChatTemplateError, match="leaves out calls of turn 1"):
        template_probe.check(renders["zephyr"], "the cat ?", Turn.from_message(call(a=1) | {"content": "I add."}))


def test_a_control_token_in_a_call_is_no_token_of_the_template(renders):
    with pytest.raises(ChatTemplateError, match="spells a control token"):
        template_probe.check(renders["hermes"], "the cat ?", Turn.from_message(call(a="<|im_end|>")))


def test_a_form_that_is_not_read_is_refused_where_calls_are_read(renders):
    tokenizer = renders["hermes"].tokenizer
    template = tokenizer.chat_template
    try:
        tokenizer.chat_template = template.replace("<tool_call>\n{{ c.function | tojson }}\n</tool_call>", "CALL {{ c.function.name }}")
        render = Renderer(tokenizer)
        example = example_of(ASK, call(a=1))
        assert "in a form that answer: tool_call does not know: CALL add" in written(example, render).value
        assert written(example, render, reads_calls=False).target == "CALL add"
    finally:
        tokenizer.chat_template = template


def test_a_form_that_answers_lose_is_refused_where_calls_are_read(tmp_path):
    """Gemma marks texts in calls by control tokens: without them a target would be read, and no answer ever."""
    written_call = 'call:{{ c.function.name }}{a:<|"|>{{ c.function.arguments.a }}<|"|>}'
    chat = twins.HERMES.replace("<tool_call>\n{{ c.function | tojson }}\n</tool_call>", written_call)
    forms = {name: replace(twins.TOOL_FORMS["hermes"], chat=chat, more=("<|im_start|>", *more)) for name, more in MARKS.items()}
    renders = {name: Renderer(twins.save_tokenizer(form, tmp_path / name)) for name, form in forms.items()}
    example = example_of(ASK, call(a="x"))
    assert "marks parts of a call by control tokens" in written(example, renders["marks are tokens"]).value
    assert written(example, renders["marks are text"]).target == 'call:add{a:<|"|>x<|"|>}'


MARKS: dict[str, tuple[str, ...]] = {"marks are tokens": ('<|"|>',), "marks are text": ()}


def test_shuffled_targets_take_their_calls_along(renders):
    render = renders["mistral-v3"]
    examples = [written(example_of(ASK, call(a=n)), render) for n in range(3)] + [Example("x", "the dog", "yes")]
    for example in finetune.shuffled(examples, 0):
        assert (CALLS in example.extra) == (example.target != "yes")
        control = render.control_ids["[TOOL_CALLS]"]
        assert (control in finetune.target_ids(example, render)) == (CALLS in example.extra)


def test_few_shot_examples_call_tools_in_turns_of_their_own(renders):
    train = [written(example_of(ASK, call(a=n)), renders["mistral-v3"]) for n in range(3)]
    plain = [Example(str(n), "the dog ?", example.target, extra=example.extra) for n, example in enumerate(train)]
    for shots in (train, plain):
        few = few_shot_prompts.Shots(renders["mistral-v3"], shots, 2, 0, 500)
        prompt, count = few.prompt(example_of(ASK, call(a=9)))
        assert count == 2
        assert [turn.role for turn in prompt] == [TOOLS, "user", "assistant", "user", "assistant", "user"]
        assert all(turn.calls for turn in prompt if turn.role == "assistant")
        assert few.stop == ""


def rows(count, start=0):
    return [
        {"messages": [{"role": "user", "content": f"the cat sees {n} ?"}, call(a=n % 3) if n % 4 else SAY], "tools": SCHEMA}
        for n in range(start, start + count)
    ]


def test_a_task_of_calls_runs_from_its_file_to_its_report(tmp_path, monkeypatch, capsys):
    """Rows that call and rows that answer in words, side by side."""
    base = tmp_path / "base"
    twins.make("qwen2", base)
    tokenizer = twins.tokenizer_of(twins.TOOL_FORMS["hermes"])
    (base / "chat_template.jinja").write_text(tokenizer.chat_template, "utf-8")
    preparing.write_file(tmp_path / "train.jsonl", rows(24))
    preparing.write_file(tmp_path / "test.jsonl", rows(8, 100))
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    task = {"name": "tools", "data": data, "answer": "tool_call", "metrics": ["tool_call_match"], "max_new_tokens": 8}
    recipe = {
        "name": "calls", "base": str(base), "tasks": [task], "prepare": {"dev_examples": 0}, "finetune": {"max_steps": 2, "keep": "last"},
        "compare": {"arms": ["base", "tuned", "constant"], "speed_prompts": 0, "relevance_examples": 0, "resamples": 200},
        "general": {"suites": []},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["loralift", "compare", "recipe.yaml", "--store", "store", "--device", "cpu"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr().err
    assert not stopped.value.code, printed
    assert "parsed only in part" not in printed
    assert "control tokens" not in printed
    (prepared,) = (tmp_path / "store" / "data" / "prepare").glob("tools--heldout--*")
    targets = {example.target for example in preparing.examples(prepared)}
    assert targets == {"yes", *(f'<tool_call>\n{{"name": "add", "arguments": {{"a": {n}}}}}\n</tool_call>' for n in range(3))}
    (compared,) = (tmp_path / "store" / "data" / "compare").glob("*/examples.jsonl")
    for row in map(json.loads, compared.read_text("utf-8").splitlines()):
        assert [turn["role"] for turn in row["prompt"]] == [TOOLS, "user"]
        assert ("target_turn" in row) == row["target"].startswith("<tool_call>")
    (report,) = (tmp_path / "store" / "data" / "report").glob("*/report.json")
    assert verify(report.with_name("report.html")).comparisons == 1
    (cell,) = json.loads(report.read_text("utf-8"))["cells"]
    constant = next(arm for arm in cell["arms"] if arm["name"] == "constant")
    assert {row["metric"] for row in cell["comparisons"]} == {"tool_call_match"}
    assert 0 < constant["score"] < 1


def test_rows_of_words_and_calls_have_their_counts_in_order(renders):
    examples = [example_of(ASK, SAY), example_of(ASK, call(a=1)), example_of(ASK, call(a=1), RESULT, SAY)]
    render = renders["hermes"]
    counted = list(token_counts.of_examples(iter([(str(n), example) for n, example in enumerate(examples)]), render, reads_calls=True))
    assert [location for location, _, _ in counted] == ["0", "1", "2"]
    for _, example, counts in counted:
        assert counts == token_counts.counts_alone(example, render)
    assert [example.target for _, example, _ in counted] == ["yes", TARGETS["hermes"], "yes"]
