"""general_loss: losses and KL against the library's own on one paragraph at a time, a dead adapter, bounded memory, resuming."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.data import general_text
from pipeline.engine import batching, likelihood
from pipeline.errors import DataError
from pipeline.machine import Machine
from pipeline.models import loading, renderer
from pipeline.stages import general_loss
from pipeline.store import records
from tests import tiny
from tests.interruption import calls_of

TEXTS = [f"The {'red dog sees a blue bird. ' * (1 + n % 5)}{n} cats like it." for n in range(12)] + ["A long one. " * 200]


@pytest.fixture(autouse=True)
def paragraphs(tmp_path, monkeypatch):
    monkeypatch.setattr(general_text, "FILE", tmp_path / "paragraphs.jsonl")
    write([{"id": f"p{n}", "topic": "animals", "text": text} for n, text in enumerate(TEXTS)])


def write(rows):
    general_text.FILE.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def run(tmp_path, model, adapter, name="out", tokens=None):
    params = {"model": model, "quantization": "nf4", "compute": "fp32", "text": general_text.digest()}
    work = tiny.work(tmp_path / name, params, Machine(device="cpu", tokens=tokens), adapter=adapter)
    facts = general_loss.run(work)
    return facts, list(records.read_dictionaries(work.out / "losses.jsonl"))


def one_by_one(model, adapter):
    """{tokens, base, tuned, kl} of every paragraph by the library's own loss and torch's own divergence."""
    base, render, expected = loading.load(model, "nf4", "fp32", torch.device("cpu")), renderer.renderer(model), []
    for text in TEXTS:
        ids = torch.tensor([render.tokenizer(text)["input_ids"][:256]])
        with torch.inference_mode(), loading.adapted(base, adapter) as tuned:
            after = tuned(input_ids=ids, labels=ids)
        with torch.inference_mode():
            before = base(input_ids=ids, labels=ids)
        p, q = (out.logits[0, :-1].double().log_softmax(-1) for out in (before, after))
        kl, tokens = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum"), ids.shape[1] - 1
        expected.append({"tokens": tokens, "base": float(before.loss) * tokens, "tuned": float(after.loss) * tokens, "kl": float(kl)})
    return expected


@pytest.mark.parametrize("tokens", [1, 300, 4096])
def test_losses_and_divergence_are_those_of_the_paragraph_alone(tmp_path, model, adapter, tokens, monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", 300 * 7)  # seven positions at a time
    facts, rows = run(tmp_path, model, adapter, tokens=tokens)
    assert [row["example"] for row in rows] == [f"p{n}" for n in range(13)]
    for row, expected in zip(rows, one_by_one(model, adapter), strict=True):
        assert row["tokens"] == expected["tokens"]
        assert [row[name] for name in ("base", "tuned", "kl")] == pytest.approx([expected[n] for n in ("base", "tuned", "kl")], rel=1e-4)
    assert facts["tokens"] == sum(row["tokens"] for row in rows)
    assert facts["kl"] > 0.01
    assert abs(facts["tuned"] - facts["base"]) > 0.01


def test_a_long_paragraph_is_cut_with_its_bos_counted(tmp_path, model, adapter):
    _, rows = run(tmp_path, model, adapter)
    assert rows[-1]["tokens"] == 255


def test_a_dead_adapter_changes_exactly_nothing(tmp_path, model, adapter):
    dead = shutil.copytree(adapter, tmp_path / "dead")
    tensors = load_file(dead / "adapter_model.safetensors")
    save_file({name: value * (0 if "lora_B" in name else 1) for name, value in tensors.items()}, dead / "adapter_model.safetensors")
    facts, rows = run(tmp_path, model, dead)
    assert all(row["base"] == row["tuned"] and row["kl"] == 0.0 for row in rows)
    assert facts["kl"] == 0.0


def test_few_logits_are_held_at_a_time(tmp_path, model, adapter, monkeypatch):
    real, widths = likelihood.loss_and_kl, []
    monkeypatch.setattr(likelihood, "loss_and_kl", lambda model, batch: widths.append(batch["input_ids"].numel()) or real(model, batch))
    whole = run(tmp_path, model, adapter, "whole")[1]
    assert max(widths) > 900
    monkeypatch.setattr(batching, "MAX_LOGITS_PER_PASS", 300 * 300)
    del widths[:]
    rows = run(tmp_path, model, adapter, "little")[1]
    assert max(widths) <= 300
    for row, expected in zip(rows, whole, strict=True):
        assert row["tuned"] == pytest.approx(expected["tuned"], rel=1e-5)


def test_a_killed_run_goes_on_and_ends_with_equal_bytes(tmp_path, model, adapter):
    run(tmp_path, model, adapter, "whole", tokens=300)
    with calls_of(likelihood, "loss_and_kl", kill_at=3) as calls:
        run(tmp_path, model, adapter, "broken", tokens=300)
    log = tmp_path / "broken.resume" / "values.jsonl"
    log.write_bytes(log.read_bytes()[:-9])  # the last line was cut off by the kill
    with calls_of(likelihood, "loss_and_kl") as again:
        run(tmp_path, model, adapter, "broken", tokens=300)
    files = [tmp_path / name / "losses.jsonl" for name in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    done, repeated = (sum(len(batch["input_ids"]) for _, batch in part) for part in (calls[:2], again))
    assert 13 - done <= repeated < 13


def test_the_base_is_as_it_was_afterwards(tmp_path, model, adapter):
    base, ids = loading.load(model, "nf4", "fp32", torch.device("cpu")), torch.tensor([[1, 40, 50, 60]])
    with torch.inference_mode():
        before = base(ids).logits
        run(tmp_path, model, adapter)
        assert torch.equal(base(ids).logits, before)


def test_a_tokenizer_without_a_bos_predicts_from_the_second_token_on(model):
    class Plain:
        tokenizer = type("Tokenizer", (), {"bos_token_id": None})
        encode = staticmethod(renderer.renderer(model).encode)

    row, ids = general_loss.tokens_of(Plain(), "the dog", 256), renderer.renderer(model).encode("the dog")
    assert (list(row.ids), row.is_target[0], all(row.is_target[1:])) == (ids, False, True)


def test_a_text_that_changed_while_it_ran_is_not_read(tmp_path, model, adapter):
    params = {"model": model, "quantization": "nf4", "compute": "fp32", "text": general_text.digest()}
    write([{"id": "p0", "topic": "animals", "text": "Another text."}])
    with pytest.raises(DataError, match="changed during the run"):
        general_loss.run(tiny.work(tmp_path / "out", params, adapter=adapter))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "holds no paragraph"),
        ('{"id": "a", "topic": "b"}\n', "line 1 is not an object with id, topic and text"),
        ('{"id": "a", "topic": "b", "text": "c d"}\nnonsense\n', "line 2 is not an object"),
        ('{"id": "a", "topic": "b", "text": " "}\n', "line 1: the text of a is empty"),
        ('{"id": "a", "topic": "b", "text": "c"}\n' * 2, "the id a appears twice"),
    ],
)
def test_a_faulty_file_of_paragraphs_is_told(lines, message):
    general_text.FILE.write_text(lines, "utf-8")
    with pytest.raises(DataError, match=message):
        general_text.paragraphs()


def test_a_missing_file_of_paragraphs_is_told():
    general_text.FILE.unlink()
    for reads in (general_text.digest, general_text.paragraphs):
        with pytest.raises(DataError, match=r"paragraphs.jsonl cannot be read"):
            reads()
