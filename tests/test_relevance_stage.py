"""The stage `relevance`: every score against the library's own on one row, the exchange of prompts, and what happens to odd answers."""

import json
import math
import random
import time
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.engine import batching, likelihood, resumable
from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import ComparisonError
from pipeline.machine import Machine
from pipeline.measures import relevance
from pipeline.models import base_model, loading, renderer
from pipeline.quickstart import rows as rows_of
from pipeline.stages import relevance as relevance_stage
from pipeline.store import records
from pipeline.store.records import Example, Prediction
from pipeline.tasks import shop_notice
from tests import tiny
from tests.interruption import calls_of

HELDOUT = tiny.examples(16, 200)
ANSWERS = [f"{e.prompt[4:-2]} likes a dog" if n % 3 else "yes" for n, e in enumerate(HELDOUT)]


def write(folder, heldout, answers):
    tiny.write_part(folder / "heldout", heldout)
    (folder / "base").mkdir()
    rows = [Prediction(example.id, words, 3, "eos") for example, words in zip(heldout, answers, strict=True)]
    records.write(folder / "base" / "predictions.jsonl", rows)
    return {"heldout": folder / "heldout", "predictions": folder / "base"}


@pytest.fixture
def inputs(tmp_path):
    return write(tmp_path, HELDOUT, ANSWERS)


def run(tmp_path, model, inputs, name="out", tokens=None, **changes):
    params = {"model": model, "quantization": "nf4", "compute": "fp32", "examples": 100, "seed": 0, **changes}
    work = tiny.work(tmp_path / name, params, Machine(device="cpu", tokens=tokens), **inputs)
    facts = relevance_stage.run(work)
    return facts, list(records.read_dictionaries(work.out / "relevance.jsonl"))


def alone(model, prompt, answer):
    """Log-probability of the ids of an answer behind those of a prompt, one row at a time."""
    with torch.inference_mode():
        logs = model(input_ids=torch.tensor([prompt + answer])).logits[0].float().log_softmax(-1)
    return sum(float(logs[len(prompt) + index - 1, token]) for index, token in enumerate(answer))


@pytest.mark.parametrize("tokens", [1, 100, 4096])
def test_every_score_is_that_of_the_row_alone(tmp_path, model, inputs, tokens):
    _, rows = run(tmp_path, model, inputs, tokens=tokens)
    base, render = loading.load(model, "nf4", "fp32", torch.device("cpu")), renderer.renderer(model)
    others = relevance_stage.derangement([example.prompt for example in HELDOUT], 0)
    assert [row["example"] for row in rows] == [example.id for example in HELDOUT]
    for index, (example, text, row) in enumerate(zip(HELDOUT, ANSWERS, rows, strict=True)):
        answer, prompt = render.answer_ids(example.prompt, text), render.prompt_ids(example.prompt)
        assert row["tokens"] == len(answer)
        assert row["own"] == pytest.approx(alone(base, prompt, answer), abs=1e-4)
        assert row["other"] == pytest.approx(alone(base, render.prompt_ids(HELDOUT[others[index]].prompt), answer), abs=1e-4)
        assert row["alone"] == pytest.approx(alone(base, [1], answer), abs=1e-4)


def test_equal_answers_to_equal_prompts_are_scored_once(tmp_path, model, monkeypatch):
    real, sizes = likelihood.row_logprobs, []
    monkeypatch.setattr(likelihood, "row_logprobs", lambda *args: sizes.append(len(args[1])) or real(*args))
    inputs = write(tmp_path, [*HELDOUT, *(Example(f"again{e.id}", e.prompt, e.target) for e in HELDOUT)], ANSWERS * 2)
    facts, rows = run(tmp_path, model, inputs)
    assert [row["own"] for row in rows[:16]] == [row["own"] for row in rows[16:]]
    assert facts["examples"] == 32
    others = relevance_stage.derangement([example.prompt for example in HELDOUT] * 2, 0)
    behind = {(HELDOUT[index % 16].prompt, ANSWERS[n % 16]) for n, other in enumerate(others) for index in (n, other)}
    assert sum(sizes) == facts["scored"] == len(behind) + len({*ANSWERS}) < 3 * 32


class Wide:
    """A model that only counts: the passes, and the padded tokens and logits of the largest."""

    device = torch.device("cpu")
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(max_position_embeddings=2048))
    generation_config = SimpleNamespace(eos_token_id=2)

    def __init__(self, vocabulary):
        self.vocabulary, self.passes, self.tokens, self.logits = vocabulary, 0, 0, 0

    def get_output_embeddings(self):
        return SimpleNamespace(weight=torch.empty(self.vocabulary, 1, device="meta"))

    def __call__(self, input_ids, logits_to_keep, **options):
        rows = len(input_ids)
        self.passes, self.tokens = self.passes + 1, max(self.tokens, input_ids.numel())
        self.logits = max(self.logits, rows * logits_to_keep * self.vocabulary)
        return SimpleNamespace(logits=torch.zeros(1).expand(rows, logits_to_keep, self.vocabulary))


@pytest.mark.parametrize(("longest", "passes"), [(10, 16), (256, 165)])  # 270 and 413 if every column counted
def test_long_prompts_before_a_large_vocabulary_are_read_in_few_passes(tmp_path, monkeypatch, longest, passes):
    monkeypatch.setattr(batching, "MAX_LOGITS_PER_PASS", batching.MAX_LOGITS_PER_PASS // 64)  # as is the vocabulary of Llama 3.1
    draw, rows, model = random.Random(0), [], Wide(128256 // 64)
    for n in range(200):
        answer = (n, *(draw.randrange(9) for _ in range(draw.randrange(1, longest))))
        rows += [batching.TokenRow.from_prompt((1,) * size, answer) for size in (draw.randint(100, 400), draw.randint(100, 400), 1)]
    tokenizer = SimpleNamespace(eos_token_id=2)
    backend = TransformersBackend(model, SimpleNamespace(pad_id=0, end_id=2, tokenizer=tokenizer), batching.CUDA_TOKENS)
    batches = backend.logprobs_batches(rows)
    sums = resumable.compute_resumably(
        tmp_path / "values.jsonl", batches, lambda batch: backend.logprobs([rows[index] for index in batch]), "scoring", "answers"
    )
    for row, value in zip(rows, sums, strict=True):  # every token is as likely as any other
        assert value == pytest.approx(-row.target_count * math.log(model.vocabulary), rel=1e-5)
    assert model.passes == passes
    assert model.tokens <= batching.CUDA_TOKENS
    assert model.logits <= batching.MAX_LOGITS_PER_PASS


def test_a_base_that_counts_its_positions_reads_rows_of_many_lengths_alike():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.5)).eval()
    rows = [batching.TokenRow.from_prompt(tuple(range(1, 1 + size)), tuple(range(20, 20 + size % 5 + 1))) for size in (1, 4, 9, 17)]
    expected = [alone(base, list(row.ids[: -row.target_count]), list(row.ids[-row.target_count :])) for row in rows]
    assert likelihood.row_logprobs(base, rows, 0) == pytest.approx(expected, abs=1e-4)


def test_only_the_columns_of_answers_count_as_logits(tmp_path, model, inputs, monkeypatch):
    real, batches = likelihood.row_logprobs, []
    monkeypatch.setattr(likelihood, "row_logprobs", lambda model, rows, pad: batches.append(rows) or real(model, rows, pad))
    monkeypatch.setattr(batching, "MAX_LOGITS_PER_PASS", 300 * 60)  # sixty columns of the tiny vocabulary
    run(tmp_path, model, inputs)
    assert all(len(rows) * (max(row.target_width for row in rows) + 1) <= 60 for rows in batches)
    assert 2 * len(batches) <= len(batching.padded_batches([len(row) for rows in batches for row in rows], 60))


def scanned(prompts, seed):
    """As relevance_stage.derangement says it, place by place."""
    order = list(range(len(prompts)))
    random.Random(f"derangement {seed}").shuffle(order)
    seen = [prompts[index] for index in order]
    order.sort(key=lambda index: seen.index(prompts[index]))
    step, partners = max(map(prompts.count, prompts)), {}
    for place, index in enumerate(order):
        ahead = (order[(place + step + more) % len(order)] for more in range(len(order)))
        partners[index] = next((partner for partner in ahead if prompts[partner] != prompts[index]), None)
    return [partners[index] for index in range(len(prompts))]


@pytest.mark.parametrize("prompts", ["sssssss", "sssssssstu" * 9, "ststss" * 9, "abcdefghij" * 3, "sssttuv"])
def test_partners_are_those_of_a_scan(prompts):
    assert relevance_stage.derangement(list(prompts), 3) == scanned(prompts, 3)


@pytest.mark.parametrize("prompts", [[f"p{n}" for n in range(10_000)], ["same"] * 10_000], ids=["distinct", "same"])
def test_prompts_are_exchanged_in_linear_time(prompts):
    start = time.process_time()
    relevance_stage.derangement(prompts, 0)
    assert time.process_time() - start < 0.5  # 0.02 s; counting or scanning for each prompt takes 1.3 s and 26 s


@pytest.mark.parametrize("seed", range(5))
def test_nobody_gets_his_own_prompt_and_each_is_used_once(seed):
    prompts = [f"p{n % 7}" for n in range(20)]
    others = relevance_stage.derangement(prompts, seed)
    assert sorted(others) == list(range(20))
    assert all(prompts[index] != prompts[other] for index, other in enumerate(others))
    assert others == relevance_stage.derangement(prompts, seed) != relevance_stage.derangement(prompts, seed + 1)


def test_a_prompt_that_most_have_still_gets_another_and_a_single_one_none():
    prompts = ["same"] * 7 + ["one", "two"]
    assert all(prompts[other] != prompts[index] for index, other in enumerate(relevance_stage.derangement(prompts, 0)))
    assert relevance_stage.derangement(["same"] * 4, 0) == [None] * 4
    assert relevance_stage.derangement([], 0) == []


def test_where_there_is_no_other_prompt_that_is_counted(tmp_path, model):
    inputs = write(tmp_path, [Example(f"e{n}", "the cat ?", "yes") for n in range(3)], ["yes", "no", "maybe"])
    facts, rows = run(tmp_path, model, inputs)
    assert facts["without_other"] == 3
    assert {row["other"] for row in rows} == {None}
    assert all(row["own"] < 0 > row["alone"] for row in rows)


def test_an_empty_answer_has_no_tokens_and_zeros(tmp_path, model):
    facts, rows = run(tmp_path, model, write(tmp_path, HELDOUT, ["", " \n", *ANSWERS[2:]]))
    assert facts["empty"] == 2
    for row in rows[:2]:
        assert (row["tokens"], row["own"], row["other"], row["alone"]) == (0, 0.0, 0.0, 0.0)
    assert all(row["tokens"] > 0 for row in rows[2:])


def test_a_long_answer_is_cut_the_same_behind_every_prompt(tmp_path, model, monkeypatch):
    long = " ".join(["the dog sees a bird"] * 100)
    inputs = write(tmp_path, HELDOUT, [long, *ANSWERS[1:]])
    facts, rows = run(tmp_path, model, inputs)
    render, other = renderer.renderer(model), relevance_stage.derangement([example.prompt for example in HELDOUT], 0)[0]
    longest = max(len(render.prompt_ids(HELDOUT[index].prompt)) for index in (0, other))
    assert facts["cut"] == 1
    assert rows[0]["tokens"] == 256 - longest  # the tiny base takes 256 tokens in all
    monkeypatch.setattr(relevance_stage, "MAX_ANSWER_TOKENS", 7)
    assert {row["tokens"] for row in run(tmp_path, model, inputs, "short")[1]} <= {*range(1, 8)}


def test_fewer_examples_are_a_part_of_more_by_the_seed(tmp_path, model, inputs):
    few, more, other = (
        [row["example"] for row in run(tmp_path, model, inputs, f"n{n}s{seed}", examples=n, seed=seed)[1]]
        for n, seed in ((5, 0), (9, 0), (5, 1))
    )
    assert len(few) == 5
    assert set(few) < set(more)
    assert few != other


def test_a_missing_answer_stops_the_work(tmp_path, model, inputs):
    records.write(inputs["predictions"] / "predictions.jsonl", [Prediction("e200", "yes", 1, "eos")])
    with pytest.raises(ComparisonError, match="15 examples have no answer, the first e201"):
        run(tmp_path, model, inputs)


def test_a_killed_run_goes_on_and_ends_with_equal_bytes(tmp_path, model, inputs):
    run(tmp_path, model, inputs, "whole", tokens=100)
    with calls_of(likelihood, "row_logprobs", kill_at=4) as calls:
        run(tmp_path, model, inputs, "broken", tokens=100)
    log = tmp_path / "broken.resume" / "values.jsonl"
    log.write_bytes(log.read_bytes() + b'{"row": 3, "lo')  # a line cut off by the kill
    with calls_of(likelihood, "row_logprobs") as again:
        run(tmp_path, model, inputs, "broken", tokens=100)
    files = [tmp_path / name / "relevance.jsonl" for name in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert again
    assert not {tuple(args[1]) for args in calls[:3]} & {tuple(args[1]) for args in again}


def test_a_tokenizer_without_a_bos_begins_with_its_end_token(tmp_path, inputs):
    spec = tiny.make_model(tmp_path / "base")
    config = tmp_path / "base" / "tokenizer_config.json"
    settings = json.loads(config.read_text())
    settings.pop("bos_token")
    config.write_text(json.dumps(settings))
    tokenizer = json.loads((tmp_path / "base" / "tokenizer.json").read_text())
    (tmp_path / "base" / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    render = renderer.renderer(spec)
    assert render.tokenizer.bos_token_id is None
    way = relevance_stage.scored_answers(render, HELDOUT[:2], ANSWERS[:2], 256, 0)[0]
    assert way.no_prompt == (2,)


def test_the_quickstart_base_tells_true_pairs_from_shuffled_ones(tmp_path):
    heldout = [replace(shop_notice.example(row), id=f"e{n}") for n, row in enumerate(islice(rows_of.records("heldout"), 40))]
    spec = next(row for row in base_model.MODELS if row.name == "quickstart-base").spec()
    summaries = {}
    for name, answered in (("true", heldout), ("shuffled", heldout[1:] + heldout[:1])):
        (tmp_path / name).mkdir()
        inputs = write(tmp_path / name, heldout, [example.target for example in answered])
        _, rows = run(tmp_path / name, spec, inputs, compute="bf16")
        summaries[name] = relevance.summarize(rows, np.arange(40), 0.95, 500, 0)
    assert summaries["true"]["auc_low"] > 0.9
    assert summaries["true"]["low"] > summaries["shuffled"]["high"]
    assert summaries["shuffled"]["auc_low"] < 0.5 < summaries["shuffled"]["auc_high"]
