"""The embedded world: its tasks, its base model, and how that is made."""

import dataclasses
import hashlib
import itertools
import json
import random
import re
from pathlib import Path

import pytest

from pipeline import metrics
from pipeline.data import task as tasks
from pipeline.models import renderer
from pipeline.quickstart import corpus, lexicon, pretrain
from tests import ROOT, tiny

BASE = ROOT / "checkpoints" / "quickstart-base"
SHOP = [name for name in tasks.names() if name.startswith("shop_")]


@pytest.mark.parametrize("kind", ["first", "last", "towns"])
def test_the_three_splits_share_no_name(kind):
    splits = [set(getattr(lexicon.names(split), kind)) for split in lexicon.SPLITS]
    assert all(len(names) > 100 for names in splits)
    assert not any(one & other for one, other in itertools.combinations(splits, 2))


@pytest.mark.parametrize("table", [lexicon.GOODS, lexicon.ASPECTS, lexicon.GOOD_WORDS, lexicon.BAD_WORDS])
def test_the_three_splits_share_no_word(table):
    assert not any(set(a) & set(b) for a, b in itertools.combinations(table.values(), 2))


@pytest.mark.parametrize("name", SHOP)
def test_a_task_has_the_rows_that_it_promises(name):
    task = tasks.find(name)
    rows = {split: [task.example(row) for row in getattr(task, split)[0].make(split)] for split in ("train", "heldout")}
    assert len(rows["train"]) >= 2000
    assert len(rows["heldout"]) >= 500
    assert not {e.prompt for e in rows["train"]} & {e.prompt for e in rows["heldout"]}
    again = [task.example(row) for row in task.train[0].make("train")]
    assert again == rows["train"]


@pytest.mark.parametrize("name", SHOP)
def test_a_task_reads_its_own_answers(name):
    task = tasks.find(name)
    examples = [task.example(row) for row in itertools.islice(task.heldout[0].make("heldout"), 60)]
    for example in examples:
        assert example.prompt == example.prompt.rstrip()
        assert task.answer(example.target, example) == example.target
    targets = [example.target for example in examples]
    wrong = targets[1:] + targets[:1]
    for metric in map(metrics.load, task.metrics):
        assert metric.compute(predictions=targets, references=targets)[metric.name] == pytest.approx(1.0)
        assert metric.compute(predictions=wrong, references=targets)[metric.name] < 0.9


@pytest.mark.parametrize("name", SHOP)
def test_every_word_of_an_answer_occurs_in_the_corpus(name):
    seen = {word for document in itertools.islice(corpus.documents(0), 20_000) for word in re.findall(r"[a-zA-Z]+", document)}
    task, people = tasks.find(name), lexicon.names("heldout")
    own = {part for names in (people.first, people.last, people.towns) for part in names}
    for row in itertools.islice(task.heldout[0].make("heldout"), 200):
        words = set(re.findall(r"[a-zA-Z]+", task.example(row).target)) - own
        assert not {word for word in words if word not in seen and word.removesuffix("s") not in seen}


def test_no_document_has_the_form_of_a_task():
    for document in itertools.islice(corpus.documents(0), 5000):
        assert "Sentiment:" not in document
        assert "Dispatch notice" not in document
        assert '"customer"' not in document


def test_equal_seeds_give_equal_documents():
    def first(seed, drill):
        return list(itertools.islice(corpus.documents(seed, drill), 50))

    assert first(3, True) == first(3, True)
    assert first(3, True) != first(3, False) != first(4, False)


def test_the_base_is_what_its_card_says():
    card = (BASE / "README.md").read_text("utf-8")
    weights = (BASE / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() in card
    assert json.dumps(dataclasses.asdict(pretrain.Setup())) in card
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 12e6
    config = json.loads((BASE / "config.json").read_text("utf-8"))
    assert config["dtype"] == "bfloat16"
    assert not any(config[key] % 64 for key in ("hidden_size", "intermediate_size"))
    assert len({config["pad_token_id"], config["bos_token_id"], config["eos_token_id"]}) == 3


def test_keys_hold_no_path_of_this_machine():
    from pipeline.config import recipe as recipes
    from pipeline.planning.plan import plan

    for job in plan(recipes.load(ROOT / "recipes" / "tour.yaml")):
        assert str(ROOT) not in job.params_json


def test_no_prompt_fuses_with_its_answer():
    render = renderer.renderer(tiny.spec(BASE, False))
    for name in SHOP:
        for row in itertools.islice(tasks.find(name).heldout[0].make("heldout"), 50):
            example = tasks.find(name).example(row)
            whole = render.encode(f"{example.prompt} {example.target}")
            assert render.prompt_ids(example.prompt)[1:] + render.answer_ids(example.prompt, example.target) == whole


def test_the_tokenizer_spells_any_text():
    render = renderer.renderer(tiny.spec(BASE, False))
    for text in ("naïve 東京 ✓\t42,5 %\n", "don't {stop}", " two  blanks "):
        assert render.decode(render.encode(text)) == text


def test_a_small_base_is_made_and_a_stopped_one_goes_on(tmp_path):
    setup = pretrain.Setup(hidden=64, mlp=64, layers=1, heads=2, steps=100, drill_from=40, tokens_per_step=256, buffer=64, warmup=5)
    pretrain.pretrain(setup, tmp_path / "small")
    log = [json.loads(line) for line in (tmp_path / "small.log").read_text().splitlines()]
    assert log[-1]["step"] == 100
    assert log[-1]["held_out_loss"] < 5.5  # knowing nothing is ln 1536 = 7.3
    first = (tmp_path / "small" / "model.safetensors").read_bytes()
    pretrain.pretrain(setup, tmp_path / "small")  # nothing is left to do but to save again
    assert (tmp_path / "small" / "model.safetensors").read_bytes() == first
    assert "64" in (tmp_path / "small" / "README.md").read_text()


def test_a_word_is_made_of_syllables():
    assert re.fullmatch(r"[A-Z][a-z]+", lexicon.syllable_word(random.Random(0), 2))
    assert Path(BASE / "tokenizer.json").stat().st_size < 200_000
