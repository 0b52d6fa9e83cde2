"""Adapters of tasks with thoughts are served with the thinking switch of the chat template on, all other models with it off."""

import json

import pytest
import yaml

from pipeline.models.renderer import renderer
from pipeline.store.folders import HeldoutFolder, PredictionsFolder
from pipeline.store.records import as_turns
from tests import preparing, project, tiny, twins
from tests.server import Server, read

openai = pytest.importorskip("openai")

THINKER, PLAIN, BASE = "base--why--r16-s0", "base--what--r16-s0", "base"


def row(number, thinks):
    turn = {"role": "assistant", "content": ("yes", "no")[number % 2], **({"reasoning_content": f"five {number} dog"} if thinks else {})}
    return {"messages": [{"role": "user", "content": f"the cat sees {number} ?"}, turn]}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A store with an adapter of a task with thoughts, one of a task without, and the answers of both."""
    root = tmp_path_factory.mktemp("thinking")
    twins.make("qwen3", root / BASE)
    (root / BASE / "chat_template.jinja").write_text(twins.QWEN3, "utf-8")
    tasks = []
    for name, thinks in (("why", True), ("what", False)):
        preparing.write_file(root / f"{name}-train.jsonl", [row(n, thinks) for n in range(24)])
        preparing.write_file(root / f"{name}-test.jsonl", [row(n, thinks) for n in range(100, 104)])
        data = {"train": str(root / f"{name}-train.jsonl"), "test": str(root / f"{name}-test.jsonl")}
        tasks.append({"name": name, "data": data, "metrics": ["exact_match"], "thinking": thinks, "max_new_tokens": 16})
    body = {
        "name": "thinking", "base": str(root / BASE), "tasks": tasks, "prepare": {"dev_examples": 0}, "generate": {"compute": "fp32"},
        "finetune": {"max_steps": 2, "keep": "last", "learning_rate": 0.01}, "general": {"suites": ["what", "why"]},
        "compare": {"arms": ["base", "tuned"], "relevance_examples": 0, "speed_prompts": 0, "resamples": 200},
    }  # fmt: skip
    (root / "recipe.yaml").write_text(yaml.safe_dump(body), "utf-8")
    project.carry_out(root / "recipe.yaml", root, stages={"generate"})
    return root


@pytest.fixture(scope="module")
def server(root):
    running = Server(root / "log", root / "recipe.yaml", f"--store={root}")
    yield running
    running.stop()


def ask(server, model, example, **extra):
    messages = [turn.message() for turn in as_turns(example.prompt)]
    return server.client().chat.completions.create(model=model, messages=messages, max_tokens=16, extra_body=extra)


def parts(root, task):
    """The test examples of a task, and the answers of its adapter."""
    (heldout,) = (root / "data" / "prepare").glob(f"{task}--heldout--*")
    (answers,) = (root / "data" / "generate").glob(f"{BASE}--{task}--r16-s0--*")
    return HeldoutFolder(heldout).examples(), PredictionsFolder(answers).predictions()


@pytest.mark.parametrize(("model", "task", "thinks"), [(THINKER, "why", True), (PLAIN, "what", False)])
def test_an_adapter_answers_as_the_report_let_it(server, root, model, task, thinks):
    render = renderer({**tiny.spec(root / BASE), "thinking": thinks})
    examples, answers = parts(root, task)
    assert len(examples) == 4
    for example, prediction in zip(examples, answers, strict=True):
        response = ask(server, model, example)
        assert response.choices[0].message.content == prediction.text
        assert response.usage.prompt_tokens == len(render.prompt_ids(example.prompt))


def test_a_request_turns_the_switch(server, root):
    (example, *_), _ = parts(root, "what")
    counts = {thinks: len(renderer({**tiny.spec(root / BASE), "thinking": thinks}).prompt_ids(example.prompt)) for thinks in (True, False)}
    assert counts[True] != counts[False]
    for model, own in ((BASE, False), (PLAIN, False), (THINKER, True)):
        assert ask(server, model, example).usage.prompt_tokens == counts[own]
        for thinks in (True, False):
            wish = {"chat_template_kwargs": {"enable_thinking": thinks}}
            assert ask(server, model, example, **wish).usage.prompt_tokens == counts[thinks]


def test_the_page_asks_as_the_report_did(server):
    for task, thinks in (("why", True), ("what", False)):
        assert json.loads(read(f"{server.url}/page/examples/{task}/0"))["thinks"] is thinks
