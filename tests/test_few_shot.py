"""What generate puts before a question beside it, how many of that fit, and where an answer behind worked examples ends."""

from dataclasses import replace

import pytest
import torch

from pipeline.data.few_shot_prompts import Shots
from pipeline.engine import generation, greedy, written_answers
from pipeline.measures import untested
from pipeline.models import loading, renderer
from pipeline.stages import generate
from pipeline.store import records
from pipeline.store.records import Example, Prediction
from tests import tiny, twins

HELDOUT = tiny.examples(16, 200)
SHOT_FACTS = ("shots", "shrunk", "fewest_shots", "most_shots", "without_shots", "separator")


@pytest.fixture(scope="module")
def heldout(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("exam") / "exam", HELDOUT)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("lessons") / "train", tiny.examples(20, 900))


def run(tmp_path, model, name="out", changes=None, **inputs):
    work = tiny.work(tmp_path / name, {"model": model, **tiny.GENERATE, **(changes or {})}, **inputs)
    facts = generate.run(work)
    return facts, list(records.read(work.out / "predictions.jsonl", Prediction))


def says(monkeypatch, render, words):
    """Let every answer be these words, cut by nothing but what the stage itself does."""
    monkeypatch.setattr(greedy, "is_supported", lambda model: False)
    monkeypatch.setattr(generation, "generate", lambda model, prompts, *rest: [render.encode(words)] * len(prompts))


def test_worked_examples_change_what_is_asked_and_nothing_else(tmp_path, model, heldout, train):
    changes = {"shots": 2, "shots_seed": 0}
    facts, predictions = run(tmp_path, model, "shots", changes=changes, heldout=heldout, train=train)
    render, base = renderer.renderer(model), loading.load(model, "nf4", "fp32", torch.device("cpu"))
    few_shot = Shots(render, tiny.examples(20, 900), 2, 0, 256 - 8)
    prompts = [few_shot.prompt(example)[0] for example in HELDOUT]
    stop = generation.StopConditions(8, (2,), (), "\n\n")
    rows = [generation.generate(base, [render.prompt_ids(prompt)], stop, 0, render.tokenizer)[0] for prompt in prompts]
    assert [prediction.text for prediction in predictions] == [render.decode([token for token in row if token != 2]) for row in rows]
    assert {name: facts[name] for name in SHOT_FACTS} == dict(zip(SHOT_FACTS, (2, 0, 2, 2, 0, "\n\n"), strict=True))
    assert facts["prompt_tokens"] == sum(len(render.prompt_ids(prompt)) for prompt in prompts)


def test_prompts_that_hold_fewer_worked_examples_are_counted_and_told(tmp_path, model, heldout, train, capsys):
    facts, predictions = run(tmp_path, model, changes={"shots": 19, "shots_seed": 0}, heldout=heldout, train=train)
    assert facts["shrunk"] == len(predictions) == 16
    assert 0 < facts["fewest_shots"] < 19
    assert "of 19 examples fit into the context window (16 of 16 prompts have fewer)" in capsys.readouterr().err


def test_where_no_example_fits_nothing_is_generated(tmp_path, model, heldout, capsys):
    """The answers would be those of the base; the arm is not tested, and says why."""
    long = [replace(example, prompt="the cat sees " * 200 + "?") for example in tiny.examples(4, 900)]
    train = tiny.write_part(tmp_path / "long", long)
    facts, predictions = run(tmp_path, model, "shots", changes={"shots": 2, "shots_seed": 0}, heldout=heldout, train=train)
    assert {name: facts[name] for name in SHOT_FACTS} == dict(zip(SHOT_FACTS, (2, 16, 0, 0, 16, ""), strict=True))
    assert (predictions, facts["examples"], facts["tokens"]) == ([], 16, 0)
    assert "not tested: no few-shot example fits the context window" in capsys.readouterr().err
    assert untested.reason(facts) == "no few-shot example fits the context window"


@pytest.mark.parametrize(("target", "unkeyed", "why"), [('{"to": 1}', 0, ""), ("yes", 16, "no training answer is a JSON object")])
def test_prompts_without_the_keys_are_counted_and_told(tmp_path, model, heldout, capsys, target, unkeyed, why):
    train = tiny.write_part(tmp_path / "json", [replace(example, target=target) for example in tiny.examples(4, 900)])
    facts, predictions = run(tmp_path, model, changes={"constrain": "keys"}, heldout=heldout, train=train)
    assert len(predictions) == (0 if unkeyed else 16)
    assert (facts["keys"], facts["unkeyed"]) == ([] if unkeyed else ["to"], unkeyed)
    assert (f"16 of 16 prompts do not name the keys of the answer: {why}" in capsys.readouterr().err) == bool(unkeyed)


def test_an_answer_behind_worked_examples_ends_where_it_invents_the_next_question(tmp_path, model, heldout, train, monkeypatch):
    says(monkeypatch, renderer.renderer(model), "\n\n dog\n\nthe cat ? bird")
    _, base = run(tmp_path, model, "base", heldout=heldout)
    assert {row.text for row in base} == {"\n\n dog\n\nthe cat ? bird"}
    _, predictions = run(tmp_path, model, "shots", changes={"shots": 2, "shots_seed": 0}, heldout=heldout, train=train)
    assert {(row.text, row.stopped) for row in predictions} == {("\n\n dog", "stop")}
    _, marked = run(tmp_path, model, "marked", changes={"shots": 2, "shots_seed": 0, "stop": ["\n"]}, heldout=heldout, train=train)
    assert {row.text for row in marked} == {""}  # a stop string of the recipe counts wherever it stands


def test_no_right_answer_is_truncated_at_the_separator(tmp_path, model, train):
    """The training targets have no blank line, and a held-out one has."""
    long = [replace(HELDOUT[0], target="dog\n\ncat"), *HELDOUT[1:]]
    facts, _ = run(tmp_path, model, changes={"shots": 2, "shots_seed": 0}, heldout=tiny.write_part(tmp_path / "long", long), train=train)
    assert facts["separator"] == ""
    also = [replace(HELDOUT[0], extra={"accepted": ["dog\n\ncat"]}), *HELDOUT[1:]]
    facts, _ = run(tmp_path, model, "also", {"shots": 2, "shots_seed": 0}, heldout=tiny.write_part(tmp_path / "also", also), train=train)
    assert facts["separator"] == ""


@pytest.mark.parametrize(
    ("prompts", "stop"),
    [
        (["Ticket: it is late\nTeam:", "Ticket: lost\nTeam:"], "\n\nTicket: "),
        (["Summarize.\nIt is late", "Summarize.\nLost"], "\n\nSummarize."),
        (["It is late", "Lost"], ""),
        (["a", "ab"], ""),
    ],
)
def test_a_chat_model_may_put_a_blank_line_before_its_answer(tmp_path, prompts, stop):
    """`The team is:\\n\\nred` is read to its end; only another question ends it."""
    render = renderer.Renderer(twins.save_tokenizer(twins.FORMS["chatml"], tmp_path))
    rows = [Example(str(n), prompt, "red") for n, prompt in enumerate(prompts)]
    assert Shots(render, rows, 2, 0, 100).stop == stop


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris\n\nthe cat :", "Paris"),
        ("\n\nParis", None),
        ("\n\n\n Paris\n\nthe cat :", "\n\n\n Paris"),
        (" \n\n", None),
        ("\n\nParis END\n\nthe cat :", "\n\nParis "),
        ("END Paris\n\n", ""),
    ],
)
def test_a_separator_ends_an_answer_that_has_begun_and_a_stop_string_any(model, text, answer):
    render, stop = renderer.renderer(model), generation.StopConditions(40, (2,), ("END",), "\n\n")
    ids = render.encode(text)
    prediction = written_answers.make_prediction(HELDOUT[0].id, ids, stop, render.decode)
    assert (prediction.text, prediction.stopped) == ((text, "length") if answer is None else (answer, "stop"))
    prompt = render.encode("one END\n\ntwo")
    rows = torch.tensor([prompt + ids, prompt + render.encode(" dog")[:1] * len(ids)])
    stops = generation.stop_string_criterion(stop, render.tokenizer, len(prompt))
    ended = [stops(rows[:, : len(prompt) + size], None).tolist() for size in range(1, len(ids) + 1)]
    assert [mine for mine, _ in ended] == [stop.first_end(render.decode(ids[:size])) is not None for size in range(1, len(ids) + 1)]
    assert any(mine for mine, _ in ended) == (answer is not None)
    assert not any(other for _, other in ended)


def test_blanks_before_a_long_answer_are_remembered(model):
    render, stop = renderer.renderer(model), generation.StopConditions(200, (2,), (), "\n\n")
    stops = generation.stop_string_criterion(stop, render.tokenizer, 1)
    ended = [stops(torch.tensor([[1, *render.encode(text)]]), None).item() for text in ("\n" * 30, "\n" * 30 + "dog", "dog " * 30 + "\n\n")]
    assert ended == [False, False, True]


def test_few_shot_answers_of_chat_models_from_before_are_not_found():
    keys = {
        (chat, shots): str(generate.version({"model": {"chat": chat}, "shots": shots}, {}))
        for chat in (True, None, False)
        for shots in (0, 5)
    }
    moved = {key for key, value in keys.items() if value != str(generate.VERSION)}
    assert moved == {(True, 5), (None, 5)}
