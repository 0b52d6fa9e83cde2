"""The whole chain on a tiny twin of every architecture of the model table."""

import copy
import csv
import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.engine import batching
from pipeline.engine.loss import target_loss
from pipeline.engine.seeding import seed_everything
from pipeline.errors import ModelError
from pipeline.models import adapters, liveness, loading, renderer, shapes
from pipeline.models.model_table import ROWS
from pipeline.stages import finetune, generate
from pipeline.store import records
from pipeline.store.records import Prediction
from tests import tiny, twins

CPU = torch.device("cpu")
HELDOUT = twins.examples(6, 200)


@dataclass(frozen=True)
class Twin:
    name: str
    row: twins.Architecture
    spec: dict[str, Any]
    render: renderer.Renderer
    original: Any
    """Unquantized, fp32."""

    @property
    def base(self):
        return loading.load(self.spec, "nf4", "fp32", CPU)

    def rows(self, count=6):
        prompt, target = self.render.prompt_ids, self.render.target_ids
        return [batching.TokenRow.from_prompt(prompt(e.prompt), target(e.prompt, e.target)) for e in twins.examples(count)]

    def prompt(self):
        row = self.rows()[5]
        return row.ids[: -row.target_count]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Name to spec; each twin is made once."""
    return cache(lambda name: twins.make(name, tmp_path_factory.mktemp(name) / "base"))


@pytest.fixture(scope="module", params=twins.ARCHITECTURES)
def twin(request, built):
    spec = built(request.param)
    original = loading.read_model(Path(spec["folder"]), False, loading.Precision("none", "fp32"), CPU)
    return Twin(request.param, twins.ARCHITECTURES[request.param], spec, renderer.renderer(spec), original)


def train(root, twin, targets):
    """Twenty optimizer steps on one fixed batch, by the stage; returns the adapter's folder and its facts."""
    folder = tiny.write_part(root / "train", twins.examples(8))
    work = tiny.work(root / "adapter", {"model": twin.spec, **tiny.FINETUNE, "targets": targets, "epochs": 20}, train=folder)
    facts = finetune.run(work)
    tiny.seal(work.out, facts)
    return work.out, facts


@pytest.fixture(scope="module")
def adapter(twin, tmp_path_factory):
    return train(tmp_path_factory.mktemp("adapter"), twin, "all-linear")


@pytest.fixture(scope="module")
def heldout(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("data") / "heldout", HELDOUT)


def logits(model, ids):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def linears(model):
    """Of the part that reads text."""
    by_name = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    return {name: module for name, module in by_name.items() if "vision" not in name and "projector" not in name}


def curve(folder):
    return [float(row["loss"]) for row in csv.DictReader((folder / "curve.csv").read_text().splitlines())]


def test_every_kind_of_the_model_table_has_a_twin():
    assert {row.kind for row in twins.ARCHITECTURES.values()} == {row.shape.kind for row in ROWS if row.shape}


def test_a_twin_is_small_and_shaped_as_the_table_says(twin):
    shape = shapes.of_config(twin.original.config.to_dict())
    eyes = sum(value.numel() for name, value in twin.original.named_parameters() if "vision" in name or "projector" in name)
    count = sum(value.numel() for value in twin.original.parameters())
    assert count < 2_000_000
    assert shape.kind == twin.row.kind
    assert shape.params == count - eyes
    assert tuple(shape.linears) == twin.row.modules
    assert shape.qv == twin.row.pair


def test_every_linear_but_the_head_is_4_bit(twin):
    import bitsandbytes

    kinds = {name: isinstance(module, bitsandbytes.nn.Linear4bit) for name, module in linears(twin.base).items()}
    assert [name for name, quantized in kinds.items() if not quantized] == ["lm_head"]
    assert sum(kinds.values()) == len(twin.row.modules) * twin.row.layers
    assert {name.rpartition(".")[2] for name in kinds} == {*twin.row.modules, "lm_head"}


def test_the_4_bit_model_is_the_original_with_rounded_weights(twin):
    from bitsandbytes.functional import dequantize_4bit

    rounded, quantized, ids = copy.deepcopy(twin.original), linears(twin.base), twin.prompt()
    for name, module in linears(rounded).items():
        if name != "lm_head":
            weight = dequantize_4bit(quantized[name].weight.data, quantized[name].weight.quant_state)
            assert float((weight - module.weight).norm() / module.weight.norm()) < 0.12
            module.weight.data = weight
    rounded_logits = logits(twin.base, ids)
    torch.testing.assert_close(rounded_logits, logits(rounded, ids), rtol=1e-4, atol=1e-4)
    assert float(torch.cosine_similarity(rounded_logits.flatten(), logits(twin.original, ids).flatten(), 0)) > 0.75


@pytest.mark.parametrize("targets", ["all-linear", "pair"])
def test_training_lowers_the_loss(twin, targets, tmp_path, request):
    chosen = twin.row.modules if targets == "all-linear" else twin.row.pair
    folder, facts = request.getfixturevalue("adapter") if targets == "all-linear" else train(tmp_path, twin, list(chosen))
    losses = curve(folder)
    assert facts["steps"] == 20
    assert losses[-1] < 0.7 * losses[0]
    assert len(facts["targets"]) == len(chosen) * twin.row.layers
    assert {name.rpartition(".")[2] for name in facts["targets"]} == set(chosen)
    assert not [name for name in facts["targets"] if "vision" in name]


def test_a_padded_loss_is_that_of_plain_full_logits(twin):
    rows, base = twin.rows(), twin.base
    expected = sum(plain_loss(base, row) for row in rows)
    with torch.inference_mode():
        loss = target_loss(base, batching.padded(rows, twin.render.pad_id, CPU))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def plain_loss(model, row):
    """Cross-entropy of one row from the logits of all its tokens."""
    wanted = torch.tensor(row.ids[-row.target_count :])
    return float(torch.nn.functional.cross_entropy(logits(model, row.ids)[len(row) - row.target_count - 1 : -1], wanted, reduction="sum"))


def test_packed_rows_do_not_see_each_other(twin):
    rows, base = twin.rows(), twin.base
    batch = batching.packed(rows, CPU)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    with torch.inference_mode():
        packed, loss = base(**inputs, use_cache=False).logits[0], target_loss(base, batch)
    alone = torch.cat([logits(base, row.ids) for row in rows])
    torch.testing.assert_close(packed, alone, rtol=1e-3, atol=1e-4)
    assert float(loss) == pytest.approx(sum(plain_loss(base, row) for row in rows), rel=1e-5)


def gradients(model):
    return torch.cat([value.grad.flatten() for value in adapters.trainable_parameters(model).values()])


def test_gradients_do_not_depend_on_the_layout(twin):
    seed_everything(0)
    tuned, rows = adapters.attach(twin.base, tiny.FINETUNE), twin.rows()
    with torch.no_grad():
        for name, value in adapters.trainable_parameters(tuned).items():
            value.normal_(0, 0.05) if "lora_B" in name else None
    by_layout = []
    for budget, packing in ((1, False), (10_000, False), (10_000, True)):
        tuned.zero_grad()
        finetune.Passes(tuned, "fp32", twin.render.pad_id, packing).gradients(rows, budget)
        by_layout.append(gradients(tuned))
    tuned.unload()
    for other in by_layout[1:]:
        assert float((other - by_layout[0]).norm() / by_layout[0].norm()) < 1e-4


def slow_greedy(model, prompt, limit, ends):
    """One whole forward a token, without cache or padding."""
    written = []
    while len(written) < limit and not {*written} & {*ends}:
        written.append(int(logits(model, [*prompt, *written])[-1].argmax()))
    return written


def test_batches_say_and_score_what_whole_forwards_do(twin, tmp_path, heldout, adapter):
    ends = {twin.render.end_id, twin.render.tokenizer.eos_token_id}
    for arm in ("base", "tuned"):
        predictions = answers(tmp_path / arm, twin, heldout, adapter[0] if arm == "tuned" else None)
        assert len({len(twin.render.prompt_ids(example.prompt)) for example in HELDOUT}) == len(HELDOUT)
        with loading.adapted(twin.base, adapter[0]) as model, model.disable_adapter() if arm == "base" else nullcontext():
            for example, answer in zip(HELDOUT, predictions, strict=True):
                prompt = twin.render.prompt_ids(example.prompt)
                ids = slow_greedy(model, prompt, 8, ends)
                assert answer.text == twin.render.decode([i for i in ids if i not in ends])
                rows = [batching.TokenRow.from_prompt(prompt, twin.render.answer_ids(example.prompt, c)) for c in example.choices]
                assert answer.logprobs == pytest.approx([-plain_loss(model, row) for row in rows], abs=1e-3)


def answers(out, twin, heldout, adapter):
    inputs = {"heldout": heldout} | ({"adapter": adapter} if adapter else {})
    work = tiny.work(out, {"model": twin.spec, **tiny.GENERATE, "score_choices": True}, **inputs)
    generate.run(work)
    return list(records.read(work.out / "predictions.jsonl", Prediction))


def test_a_saved_adapter_is_the_trained_one_and_alive(twin, adapter, tmp_path):
    from peft import PeftModel

    folder, facts = adapter
    ids = twin.prompt()
    plain = logits(twin.base, ids)
    with loading.adapted(twin.base, folder) as tuned:
        tuned_logits = logits(tuned, ids)
        with tuned.disable_adapter():
            assert torch.equal(logits(tuned, ids), plain)
        liveness_row = liveness.examine(tuned, folder, [list(ids)])
        adapters.save(tuned, tmp_path)
    assert liveness.is_alive(liveness_row)
    assert liveness_row["targets"] == liveness_row["tensors"] == len(facts["targets"])
    assert torch.equal(logits(twin.base, ids), plain)
    again = PeftModel.from_pretrained(twin.base, tmp_path).eval()
    assert torch.equal(logits(again, ids), tuned_logits)
    again.unload()


def test_a_fresh_adapter_is_the_base_and_dead(twin, tmp_path):
    ids, plain = list(twin.prompt()), logits(twin.base, twin.prompt())
    fresh = adapters.attach(twin.base, tiny.FINETUNE)
    fresh.eval()
    assert torch.equal(logits(fresh, ids), plain)
    adapters.save(fresh, tmp_path)
    tiny.seal(tmp_path, {"targets": adapters.adapted_modules(fresh)})
    fresh.unload()
    with loading.adapted(twin.base, tmp_path) as tuned:
        liveness_row = liveness.examine(tuned, tmp_path, [ids])
    assert not liveness.is_alive(liveness_row)
    assert len(liveness_row["zero_tensors"]) == len(twin.row.modules) * twin.row.layers
    assert liveness_row["largest_logit_difference"] == 0.0


def test_bf16_training_is_near_fp32(twin):
    losses = []
    for compute in ("fp32", "bf16"):
        seed_everything(0)
        tuned = adapters.attach(loading.load(twin.spec, "nf4", compute, CPU), tiny.FINETUNE)
        passes, rows = finetune.Passes(tuned, compute, twin.render.pad_id), twin.rows()
        losses.append((passes.gradients(rows, 4096), passes.mean_loss(rows, 4096)))
        assert all(bool(value.grad.any()) for name, value in adapters.trainable_parameters(tuned).items() if "lora_B" in name)
        tuned.unload()
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1][0] == pytest.approx(losses[1][1], rel=1e-5)


PROMPT = list(range(20, 60))


@pytest.mark.parametrize(("name", "options", "length"), twins.QUIRKS)
def test_a_quirk_of_the_config_is_felt(name, options, length, built):
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = built(name)["folder"]
    logits_by_config = []
    for changes in ({}, options):
        config = AutoConfig.from_pretrained(folder)
        for key, value in changes.items():
            setattr(config, key, value)
        logits_by_config.append(
            logits(AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32).eval(), list(range(20, 20 + length)))
        )
    assert float((logits_by_config[0] - logits_by_config[1]).abs().max()) > 0.01


def test_rows_beyond_a_long_rope_stand_alone_in_a_batch():
    """One row of more than 4096 tokens would turn the rotary factors of Phi 3.5 and Phi 4 for every row of its batch."""
    for budget in (batching.CPU_TOKENS, batching.CUDA_TOKENS):
        assert batching.padded_batches([4097, 4096, 60], budget)[0] == [0]


def test_a_window_ends_where_it_should(built):
    model = loading.load(built("mistral"), "nf4", "fp32", CPU)
    other = [PROMPT[0] + 1, *PROMPT[1:]]
    felt = (logits(model, PROMPT) - logits(model, other)).abs().amax(-1) > 1e-4
    reach = 2 * (twins.WINDOW - 1)  # of two layers
    assert bool(felt[reach])
    assert not bool(felt[reach + 1 :].any())


@pytest.mark.parametrize(("name", "part"), twins.PARTS)
def test_a_quirk_of_the_weights_survives_4_bit(name, part, built):
    model = loading.read_model(Path(built(name)["folder"]), False, loading.Precision("nf4", "fp32"), CPU)
    before, weights = logits(model, PROMPT), [value for key, value in model.named_parameters() if key.endswith(part)]
    assert weights
    for value in weights:
        value.data.zero_()
    assert float((before - logits(model, PROMPT)).abs().max()) > 0.01


def test_widths_ties_and_scales_are_those_of_the_family(twin):
    model, name = twin.original, twin.name
    first = {key.rpartition(".")[2]: module for key, module in linears(model).items() if ".layers.0." in key or key == "lm_head"}
    assert [key for key, module in first.items() if module.bias is not None] == {
        "phi": [*twins.PARALLEL, "lm_head"], "qwen2": ["q_proj", "k_proj", "v_proj"],
    }.get(name, [])  # fmt: skip
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == twin.row.options.get(
        "tie_word_embeddings", False
    )
    if "k_proj" in first:
        assert first["q_proj"].out_features // first["k_proj"].out_features == (1 if name in ("phi", "olmo2") else 2)
        assert (first["q_proj"].out_features != model.get_input_embeddings().weight.shape[1]) == ("gemma" in name or name == "qwen3")
    with torch.inference_mode():
        entered = model(input_ids=torch.tensor([PROMPT]), output_hidden_states=True).hidden_states[0][0]
    scale = entered.norm() / model.get_input_embeddings().weight[PROMPT].norm()
    assert float(scale) == pytest.approx(8.0 if "gemma" in name else 1.0, rel=1e-3)


def test_no_adapter_sits_where_no_text_passes(twin):
    assert bool(adapters.unreachable_linears(twin.base)) == twin.row.sees
    with pytest.raises(ModelError, match="no linear module 'out_proj'"):
        adapters.attach(twin.base, tiny.FINETUNE | {"targets": ["out_proj"]})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Name of a form to the spec of a folder without weights."""

    def write(name):
        folder = tmp_path_factory.mktemp(name)
        tokenizer = twins.save_tokenizer(twins.FORMS[name], folder)
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": len(tokenizer)}), "utf-8")
        return tiny.spec(folder)

    return cache(write)


@pytest.fixture(params=twins.SHOWN)
def form(request, written):
    return request.param, renderer.renderer(written(request.param))


def test_a_chat_form_is_that_of_its_family(form):
    name, render = form
    ids = render.prompt_ids(twins.ASKED) + render.target_ids(twins.ASKED, twins.SAID)
    assert render.tokenizer.decode(ids) == twins.SHOWN[name]
    if twins.FORMS[name].adds_bos and name not in ("zephyr", "chatml-prefix"):  # whose templates write none
        assert ids.count(render.tokenizer.bos_token_id) == 1


def test_an_answer_has_the_ids_that_the_template_gives_it(form):
    name, render = form
    template = twins.FORMS[name].chat.replace("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024")
    for answer in ("yes", twins.SAID, "five cat?"):
        turns = [{"role": "user", "content": twins.ASKED}, {"role": "assistant", "content": answer}]
        whole = render.tokenizer.apply_chat_template(turns, chat_template=template, return_dict=False)
        ids = render.prompt_ids(twins.ASKED) + render.answer_ids(twins.ASKED, answer)
        assert whole[: len(ids)] == ids
        assert next(token for token in whole[len(ids) :] if token in render.tokenizer.all_special_ids) == render.end_id
        assert render.decode(render.answer_ids(twins.ASKED, answer)) == answer


@pytest.mark.parametrize("name", twins.FORMS)
def test_a_plain_prompt_and_its_answer_are_tokenized_as_one_text(name, written):
    render = renderer.renderer(written(name) | {"chat": False})
    ids = render.prompt_ids(twins.ASKED) + render.answer_ids(twins.ASKED, twins.SAID)
    whole = f"{twins.ASKED} {twins.SAID}"
    assert ids == render.tokenizer(whole)["input_ids"]
    assert (ids[0] == render.tokenizer.bos_token_id) == twins.FORMS[name].adds_bos
    assert render.decode(ids) == whole
    assert render.target_ids(twins.ASKED, twins.SAID)[-1] == render.tokenizer.eos_token_id
