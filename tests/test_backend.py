"""A backend is a class with a few methods: a toy one carries whole stages, and the transformers one is all that stages use."""

import ast
import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.engine import open_backend
from pipeline.engine.backend import Backend
from pipeline.models import renderer
from pipeline.stages import generate, relevance
from pipeline.store import records
from pipeline.store.records import Prediction
from tests import tiny

HELDOUT = tiny.examples(5, 200)


class Toy(Backend):
    """Repeats the end of its prompt; finds everything as likely as it is short."""

    context_window, eos_ids, token_budget = 64, (2,), 40

    def generate(self, prompts, stop, sampling=None):
        return [[*prompt[-2:], 2] for prompt in prompts]

    def logprobs(self, rows):
        return [-float(row.target_count) for row in rows]

    def choice_logprobs(self, prompts, choices):
        return [[-float(len(answer)) for answer in answers] for answers in choices]


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(open_backend.BACKENDS, "toy", lambda work: nullcontext(Toy()))


@pytest.fixture(scope="module")
def heldout_part(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("toy") / "heldout", HELDOUT)


def run(stage, tmp_path, model, params, **inputs):
    work = tiny.work(tmp_path / stage.__name__, {"model": model, "backend": "toy", **params}, **inputs)
    return stage.run(work), work.out


def test_generate_runs_on_a_toy_backend(tmp_path, model, heldout_part):
    facts, out = run(generate, tmp_path, model, tiny.GENERATE | {"score_choices": True, "max_new_tokens": 3}, heldout=heldout_part)
    predictions = list(records.read(out / "predictions.jsonl", Prediction))
    render = renderer.renderer(model)
    assert [row.text for row in predictions] == [render.decode(render.prompt_ids(example.prompt)[-2:]) for example in HELDOUT]
    lengths = [[len(render.answer_ids(example.prompt, choice)) for choice in example.choices] for example in HELDOUT]
    assert [row.logprobs for row in predictions] == [tuple(-float(length) for length in row) for row in lengths]
    assert {(row.tokens, row.stopped) for row in predictions} == {(2, "eos")}
    assert (facts["examples"], facts["tokens"], facts["truncated"]) == (5, 10, 0)


def test_relevance_scores_the_same_answers_on_it(tmp_path, model, heldout_part):
    _, answers = run(generate, tmp_path, model, tiny.GENERATE, heldout=heldout_part)
    facts, out = run(relevance, tmp_path, model, {"examples": 5, "seed": 0}, heldout=heldout_part, predictions=answers)
    rows = [json.loads(line) for line in (out / "relevance.jsonl").read_text().splitlines()]
    assert facts["examples"] == len(rows) == 5
    assert all(row["own"] == row["other"] == row["alone"] == -row["tokens"] < 0 for row in rows)


@pytest.mark.parametrize("stage", ["generate", "relevance", "general_loss", "speed"])
def test_stages_call_no_model(stage):
    tree = ast.parse((Path(generate.__file__).parent / f"{stage}.py").read_text("utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"model", "base", "tuned"}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not imported & {"generation", "greedy", "likelihood", "choices"}, "these take a model: ask the backend"
