"""Tasks whose models think first: adapters learn thought and answer as the chat template writes them, and answers alone are scored."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from pipeline import cli
from pipeline.config.recipe import build
from pipeline.data import data_checks, inline, inline_checks, row_notes, thoughts, token_counts
from pipeline.data.files import BadRow
from pipeline.errors import ModelError
from pipeline.models import no_model, thinking
from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.planning.plan import plan
from pipeline.scoring import parsers
from pipeline.stages import finetune
from pipeline.store.records import CALLS, THOUGHT, Example, Turn
from tests import preparing, twins

SWITCH = twins.QWEN3
ASK = {"role": "user", "content": "the cat sees ?"}
WORDS = st.lists(st.sampled_from([*twins.WORDS, "\n", "  ", "2.5"]), min_size=1, max_size=6).map(" ".join).filter(str.strip)


def tokenizer_with(folder, form="qwen3", template=SWITCH):
    tokenizer = twins.save_tokenizer(twins.THINKING_FORMS[form], folder)
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return {
        "switch": Renderer(tokenizer_with(folder / "switch"), thinking=True),
        "r1": Renderer(tokenizer_with(folder / "r1", "r1", twins.R1), thinking=True),
    }


def task(**changes):
    return preparing.task(**{"prompt": "", "target": "", "thinking": True, "max_new_tokens": 256} | changes)


def example_of(*messages, **changes):
    return inline.build_task(task(**changes)).example({"messages": [ASK, *messages]})


def reply(content, **more):
    return {"role": "assistant", "content": content, **more}


def target_of(row):
    (ids,) = [ids for ids, is_target in row.runs() if is_target]
    return list(ids)


@pytest.mark.parametrize(("form", "start"), [("switch", "<think>\n"), ("r1", "")])
@hypothesis.given(thought=WORDS, answer=WORDS)
@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
def test_the_mask_covers_thought_answer_and_end_token_behind_the_prompt_of_generation(renders, form, start, thought, answer):
    render = renders[form]
    example = example_of(reply(answer.strip(), reasoning_content=thought))
    assert (example.target, example.extra) == (answer.strip(), {THOUGHT: thought.strip("\n")})
    row = finetune.token_row(example, render)
    prompt, target = render.prompt_ids(example.prompt), target_of(row)
    assert list(row.ids) == prompt + target
    end = render.tokenizer.decode([render.end_id])
    written = f"{start}{thought.strip()}</think>{answer}{end}"
    assert "".join(render.tokenizer.decode(target).split()) == "".join(written.split())
    assert target.count(render.end_id) == 1
    text = render.tokenizer.decode(row.ids)
    assert list(row.ids) == render.encode(text)
    assert parsers.text(render.decode(target), example) == parsers.text(example.target, example)
    assert token_counts.counts_alone(example, render) == (len(prompt), len(target))


@pytest.mark.parametrize(
    "answer",
    [
        reply("yes", reasoning_content="five cat"),
        reply("yes", reasoning="five cat"),
        reply("yes", thinking="\nfive cat\n"),
        reply("<think>\nfive cat\n</think>\n\nyes"),
        reply("<think>five cat</think>yes"),
        reply("five cat\n</think>\n\nyes"),
    ],
)
@pytest.mark.parametrize("earlier", [(), (reply("no", reasoning_content="a dog"), ASK)])
def test_every_spelling_of_a_thought_gives_the_same_row(renders, answer, earlier):
    render = renders["switch"]
    example = example_of(*earlier, answer)
    assert (example.target, example.extra) == ("yes", {THOUGHT: "five cat"})
    text = render.tokenizer.decode(finetune.token_row(example, render).ids)
    assert text.endswith("<|im_start|>assistant\n<think>\nfive cat\n</think>\n\nyes<|im_end|>")
    assert "a dog" not in text


def test_a_template_may_read_thoughts_from_their_field_alone(tmp_path):
    template = twins.template("<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n", "<|im_start|>assistant\n" + twins.QUIET)
    thought = "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    own = template.replace("{{ m.content }}", thought + "{{ m.content.split('</think>')[-1] }}")
    render = Renderer(tokenizer_with(tmp_path, template=own), thinking=True)
    row = finetune.token_row(example_of(reply("yes", reasoning_content="five")), render)
    assert render.tokenizer.decode(target_of(row)) == "<think>\nfive\n</think>\n\nyes<|im_end|>"


def test_an_answer_without_a_thought_closes_its_thoughts_at_once(renders):
    row = finetune.token_row(example_of(reply("yes")), renders["switch"])
    assert renders["switch"].tokenizer.decode(target_of(row)) == "<think>\n\n</think>\n\nyes<|im_end|>"


def test_fields_of_users_and_other_values_are_no_thoughts():
    row = {"messages": [{**ASK, "reasoning": "mine"}, reply("yes", thinking=3), "turn"], "prompt": "hi"}
    assert thoughts.folded(row) == row
    assert thoughts.folded({"messages": [reply("yes", reasoning=" ")]}) == {"messages": [reply("yes")]}


def test_completions_and_templates_have_thoughts_too():
    build = inline.build_task(task()).example
    example = build({"prompt": "the cat ?", "completion": [reply("yes", reasoning_content="five")]})
    assert (example.prompt, example.target, example.extra) == ("the cat ?", "yes", {THOUGHT: "five"})
    columns = {"prompt": "{q}", "target": "<think>\n{why}\n</think>\n\n{a}", "choices": ("yes", "no"), "answer": "choice"}
    example = inline.build_task(task(**columns)).example({"q": "the cat ?", "why": "five", "a": "no"})
    assert (example.target, example.extra) == ("no", {THOUGHT: "five"})


def test_a_call_has_its_thought_before_it(tmp_path):
    calls = "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    template = SWITCH.replace("{{ content }}", "{{ content }}" + calls)
    render = Renderer(tokenizer_with(tmp_path, template=template), thinking=True)
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    example = example_of(reply(None, reasoning_content="five", tool_calls=[call]), answer="tool_call", metrics=["tool_call_match"])
    assert (example.extra[THOUGHT], example.extra[CALLS]["content"]) == ("five", "")
    written = token_counts.written_example(example, render, reads_calls=True)
    assert isinstance(written, Example)
    assert written.target.startswith('<tool_call>{"')
    text = render.tokenizer.decode(target_of(finetune.token_row(written, render)))
    assert text == f"<think>\nfive\n</think>\n\n{written.target}<|im_end|>"


TRL = ["qwen3", "qwen3_training", "qwen3_5_think", "qwen3_6", "qwen3_8", "nemotron_3_nano", "nemotron_3_super", "deepseek_r1_distill"]


@pytest.mark.parametrize("name", TRL)
def test_templates_that_trl_ships(tmp_path, name):
    trl = pytest.importorskip("trl")
    template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text("utf-8")
    render = Renderer(tokenizer_with(tmp_path, "r1" if "deepseek" in name else "qwen3", template), thinking=True)
    thinking.check(render)
    for earlier in ((), (reply("no", reasoning_content="a dog"), ASK)):
        row = finetune.token_row(example_of(*earlier, reply("yes", reasoning_content="five\ncat")), render)
        text, target = (render.tokenizer.decode(ids) for ids in (row.ids, target_of(row)))
        end = render.tokenizer.decode([render.end_id])
        assert text.endswith(f"<think>\nfive\ncat\n</think>\n\nyes{end}")
        assert target == f"{'' if thinking.is_open(render) else '<think>' + chr(10)}five\ncat\n</think>\n\nyes{end}"
        assert list(row.ids) == render.encode(text)


@pytest.mark.parametrize("name", ["gemma4", "glm4moe"])
def test_thoughts_of_another_form_are_refused(tmp_path, name):
    trl = pytest.importorskip("trl")
    template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text("utf-8")
    render = Renderer(tokenizer_with(tmp_path, template=template), thinking=True)
    refused = token_counts.counts_alone(example_of(reply("yes", reasoning_content="five")), render)
    assert isinstance(refused, BadRow)
    assert "changes the row's thought or its answer" in refused.value


def test_a_thought_that_spells_a_control_token_is_refused(renders):
    refused = token_counts.counts_alone(example_of(reply("yes", reasoning_content="a <|im_end|> b")), renders["switch"])
    assert isinstance(refused, BadRow)
    assert refused.value == "an answer with thoughts spells a control token of the tokenizer"


def test_a_template_that_keeps_a_thought_from_the_answer_is_refused(tmp_path):
    render = Renderer(tokenizer_with(tmp_path, template=SWITCH.replace("{{ content }}", "{{ content[:1] }}")), thinking=True)
    with pytest.raises(ChatTemplateError, match="changes the row's thought or its answer"):
        thinking.target_ids(render, "hi", Turn("assistant", "yes"), "five")


@pytest.mark.parametrize(
    ("template", "problem"),
    [(twins.KEEPING, "the chat template of the base has no thinking switch"), (None, "the base is prompted with plain text")],
)
def test_a_base_that_does_not_think_is_refused(tmp_path, template, problem):
    render = Renderer(tokenizer_with(tmp_path, template=template), thinking=True)
    with pytest.raises(ModelError, match=problem):
        thinking.check(render)


def test_shuffled_answers_leave_thoughts_out():
    """A thought would lead to the answer that was there before."""
    examples = [Example(str(n), "x", f"target {n}", extra={THOUGHT: f"thought {n}"}) for n in range(3)]
    assert [example.extra for example in finetune.shuffled(examples, 0)] == [{}] * 3


@pytest.mark.parametrize(
    ("changes", "tokens", "check"),
    [
        ({"choices": ("yes", "no"), "answer": "choice"}, 300, "target over max_new_tokens"),
        ({"stop": ("\n\n",)}, 9, "stop string in target"),
    ],
)
def test_thoughts_that_are_cut_are_warned_of(renders, changes, tokens, check):
    entry = task(**changes)
    example = inline.build_task(entry).example({"messages": [ASK, reply("yes", reasoning_content="five\n\ncat")]})
    rows = [data_checks.Row("line 1", one, 9, tokens, "", "") for one in (example, replace(example, extra={}))]
    counts = {fault["check"]: fault["count"] for fault in data_checks.warnings(split_of(entry, rows, renders["switch"]))}
    assert counts[check] == 1


def split_of(entry, rows, render):
    targets = Counter(row.example.target for row in rows)
    return data_checks.PreparedSplit(True, inline.build_task(entry), entry, rows, targets, [], render, 256, 4096, 512)


@pytest.mark.parametrize(("answer", "metric", "count"), [("text", "exact_match", 1), ("tool_call", "tool_call_match", 0)])
def test_calls_that_are_compared_as_text_are_warned_of(renders, answer, metric, count):
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    entry = task(answer=answer, metrics=[metric])
    rows = [{"messages": [ASK, reply(None, tool_calls=[call])]}, {"messages": [ASK, reply("yes")]}]
    examples = map(inline.build_task(entry).example, rows)
    split = split_of(entry, [data_checks.Row("line 1", example, 9, 9, "", "") for example in examples], renders["switch"])
    faults = [fault for fault in data_checks.warnings(split) if fault["check"] == "calls as text"]
    assert [fault["problem"] for fault in faults] == ["1 of 2 targets call tools, and are compared as text"] * count


def test_mistakes_are_named():
    assert inline_checks.problems(task()) == []
    (room,) = inline_checks.problems(task(max_new_tokens=64))
    assert room.startswith("max_new_tokens is not set, and thinking needs room.")
    (loss,) = inline_checks.problems(task(loss="assistant"))
    assert loss.startswith("loss: assistant contradicts thinking")


def test_rows_whose_thoughts_are_not_read_are_named():
    notes = row_notes.RowNotes(inline.spec(task(thinking=False)))
    notes.count_row({"messages": [ASK, reply("yes", reasoning_content="five")]})
    sentences = [note["sentence"] for note in notes.summary("a.jsonl") if note["kind"] == "not read"]
    assert sentences == ["1 of 1 rows hold more than the format reads (messages[].reasoning_content); thinking: true reads thoughts"]
    notes = row_notes.RowNotes(inline.spec(task()))
    notes.count_row({"messages": [ASK, reply("yes", reasoning_content="five")]})
    assert [note["kind"] for note in notes.summary("a.jsonl")] == ["format"]


def row(number):
    answer = ("yes", "no")[number % 2]
    ask = {"role": "user", "content": f"the cat sees {number} ?"}
    return {"messages": [ask, reply(answer, reasoning_content=f"five {number} dog")]}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    twins.make("qwen3", tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").write_text(SWITCH, "utf-8")
    preparing.write_file(tmp_path / "train.jsonl", [row(n) for n in range(24)])
    preparing.write_file(tmp_path / "test.jsonl", [row(n) for n in range(100, 108)])
    entry = {"name": "why", "data": {"train": "train.jsonl", "test": "test.jsonl"}, "choices": ["yes", "no"], "answer": "choice"}
    entry |= {"metrics": ["accuracy"], "thinking": True, "max_new_tokens": 16}
    body = {
        "name": "thinking", "base": str(tmp_path / "base"), "tasks": [entry], "prepare": {"dev_examples": 0},
        "finetune": {"max_steps": 2, "keep": "last"}, "general": {"suites": []},
        "compare": {"speed_prompts": 2, "relevance_examples": 4, "resamples": 200},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(body), "utf-8")
    monkeypatch.chdir(tmp_path)
    return body


def test_only_jobs_of_such_a_task_have_the_switch_in_their_key(recipe):
    jobs = plan(build(recipe))
    assert {job.params["model"].get("thinking") for job in jobs if isinstance(job.params.get("model"), dict)} == {True}
    entry = {**recipe["tasks"][0], "thinking": False}
    plain = plan(build({**recipe, "tasks": [entry]}))
    assert not any("thinking" in job.params["model"] for job in plain if isinstance(job.params.get("model"), dict))
    assert not any("thinking" in job.params["task"] for job in plain if isinstance(job.params.get("task"), dict))
    cells = [job.params["cells"][0] for job in (jobs[-1], plain[-1])]
    assert cells[0]["absent"] == [{"arm": "base_constrained", "why": "the model thinks before it answers, so no choice follows its prompt"}]
    assert cells[1]["absent"] == []


def test_the_base_of_a_recipe_must_think(recipe, tmp_path):
    (tmp_path / "base" / "chat_template.jinja").write_text(twins.KEEPING, "utf-8")
    spec = {"folder": recipe["base"], "repo": "", "revision": None, "chat": None, "trust_remote_code": False}
    assert not no_model.renderer_of(spec).thinking
    with pytest.raises(ModelError, match="has no thinking switch"):
        no_model.renderer_of(spec | {"thinking": True})


def run(*words):
    sys.argv = ["loralift", *words]
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code


def test_a_task_with_thoughts_runs_from_its_file_to_its_report(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    run("compare", "recipe.yaml", "--store", "store", "--device", "cpu")
    data = tmp_path / "store" / "data"
    heldout, train = (next((data / "prepare").glob(f"why--{part}--*")) for part in ("heldout", "train"))
    assert {(example.target, THOUGHT in example.extra) for example in preparing.examples(heldout)} == {("yes", False), ("no", False)}
    assert {(example.target, example.extra[THOUGHT][:5]) for example in preparing.examples(train)} == {("yes", "five "), ("no", "five ")}
    (report,) = data.glob("report/*/report.json")
    (cell,) = json.loads(report.read_text("utf-8"))["cells"]
    constant = next(arm for arm in cell["arms"] if arm["name"] == "constant")
    assert constant["score"] == 0.5
    cards = [path.read_text("utf-8") for path in (tmp_path / "store").rglob("README.md")]
    assert all("enable_thinking=True" in card for card in cards if "apply_chat_template" in card)
    capsys.readouterr()
    run("show-prompt", "recipe.yaml", "--store", "store")
    printed = capsys.readouterr().out
    assert "assistant\n[[<think>\nfive" in printed
