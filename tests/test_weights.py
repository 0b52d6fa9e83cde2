"""Weights that are not those of their base's config.json are refused by name, and what is merged answers as what was trained."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.models import base_model, loading
from pipeline.stages import finetune
from tests import project, tiny
from tests.test_model_errors import run_command

UNTIED = ("lm_head.weight", "model.norm.weight", "model.layers.1.input_layernorm.weight", "model.layers.0.mlp.up_proj.weight")


def read(folder, quantization="none"):
    import torch

    return loading.read_model(folder, False, loading.Precision(quantization, "fp32"), torch.device("cpu"))


def edit_tensors(folder, change):
    """Change the tensors of a folder, a dict from name to tensor, in place."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder, **keys):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | keys), "utf-8")


@pytest.fixture(scope="module")
def whole_untied(tmp_path_factory):
    """A tiny base whose output layer is a matrix of its own."""
    folder = tmp_path_factory.mktemp("untied") / "base"
    tiny.make_model(folder)
    edit_config(folder, tie_word_embeddings=False)
    edit_tensors(folder, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"].flip(0).contiguous()}))
    return folder


@pytest.fixture
def untied(tmp_path, whole_untied):
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(whole_untied, tmp_path / "base"))


def test_a_checkpoint_without_one_of_its_tensors_is_refused_whichever_it_is(untied, whole_untied):
    from safetensors.torch import load_file

    names = sorted(load_file(whole_untied / "model.safetensors"))
    assert len(names) == 21
    assert read(untied).lm_head.weight is not read(untied).get_input_embeddings().weight
    for name in names:
        shutil.copy(whole_untied / "model.safetensors", untied)
        edit_tensors(untied, lambda tensors, name=name: tensors.pop(name))
        with pytest.raises(ModelError, match=rf"1 missing \({name.replace('.', '[.]')}\)"):
            read(untied)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_every_tensor_that_does_not_fit_is_named(untied, quantization, capfd):
    import torch

    def spoil(tensors):
        for name in UNTIED:
            del tensors[name]
        tensors["model.layers.0.self_attn.q_proj.weight"] = torch.ones(3, 3)
        tensors["v_head.weight"] = torch.ones(2)

    edit_tensors(untied, spoil)
    with pytest.raises(ModelError) as error:
        read(untied, quantization)
    assert (
        str(error.value)
        .splitlines()[0]
        .endswith(
            "tensors: 4 missing (lm_head.weight, model.layers.0.mlp.up_proj.weight, model.layers.1.input_layernorm.weight and 1 more); "
            "1 of another shape (model.layers.0.self_attn.q_proj.weight (3, 3), not (64, 64)); 1 unknown (v_head.weight)"
        )
    )
    assert "LOAD REPORT" not in "".join(capfd.readouterr())


def test_tied_and_unused_tensors_are_no_gap(model, untied):
    import torch

    assert read(Path(model["folder"])).lm_head.weight.shape == (300, 64)
    frequencies = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(8) for layer in range(2)}
    edit_tensors(untied, lambda tensors: tensors.update(frequencies))  # older checkpoints of Llama hold what follows from the config
    read(untied)


def test_a_run_on_a_checkpoint_with_a_gap_ends_in_one_line(untied, tmp_path, monkeypatch, capsys):
    recipe = project.make(tmp_path / "project", str(untied))
    edit_tensors(untied, lambda tensors: tensors.pop("lm_head.weight"))
    status, error = run_command(monkeypatch, capsys, "finetune", recipe, "--store", tmp_path)
    assert status == 2
    assert "1 missing (lm_head.weight)" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "is quantized already (bitsandbytes)"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "is quantized already (gptq)"),
        ({"text_config": {"quantization_config": {"bits": 4}}}, "is quantized already (quantization_config in config.json)"),
    ],
)
def test_a_base_that_is_quantized_already_is_refused_in_plan(keys, problem, untied, tmp_path, monkeypatch, capsys):
    edit_config(untied, **keys)
    recipe = project.make(tmp_path / "project", str(untied))
    status, error = run_command(monkeypatch, capsys, "plan", recipe, "--store", tmp_path)
    assert status == 2
    assert problem in error
    assert "Name the model that it was made from" in error


def test_a_base_with_an_adapter_beside_it_is_refused(untied):
    (untied / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="holds an adapter"):
        base_model.check_folder(untied, False)


@pytest.mark.parametrize("config", [{"num_hidden_layers": 10**6}, {"num_experts": 10**9}, {"text_config": {"n_layer": 10**6}}])
def test_more_layers_than_tensors_are_refused_before_they_are_built(config, untied, tmp_path, monkeypatch, capsys):
    edit_config(untied, **config)
    recipe = project.make(tmp_path / "project", str(untied))
    status, error = run_command(monkeypatch, capsys, "plan", recipe, "--store", tmp_path)
    assert status == 2
    assert re.search(r"config.json: \w+ is 1,000,000(,000)?, and the weights beside it hold \d+ tensors", " ".join(error.split()))
    with pytest.raises(ModelError, match="tensors"):
        base_model.check_folder(untied, False)


ODD_CONFIGS = {
    "a list": "[1]",
    "text": '"llama"',
    "deep": "[" * 100_000,
    "not text": "\x80",
    "no widths": {"hidden_size": None},
    "widths in words": {"hidden_size": "wide"},
    "no heads": {"num_attention_heads": 0},
    "heads that do not divide": {"num_attention_heads": 7, "head_dim": None},
    "negative layers": {"num_hidden_layers": -1},
    "another type": {"model_type": 3},
    "a list for a type": {"architectures": "LlamaForCausalLM", "model_type": ["llama"]},
    "an activation nobody has": {"hidden_act": "sigmund"},
    "odd ropes": {"rope_parameters": "fast", "rope_scaling": 7},
    "string end ids": {"eos_token_id": "</s>"},
    "a list of string end ids": {"eos_token_id": ["</s>", 2]},
    "text as text part": {"text_config": "yes"},
}


@pytest.mark.parametrize("name", ODD_CONFIGS)
def test_an_odd_config_ends_in_one_line_or_loads(name, untied, tmp_path, monkeypatch, capsys):
    spoiled = ODD_CONFIGS[name]
    if isinstance(spoiled, str):
        (untied / "config.json").write_text(spoiled, "latin-1")
    else:
        edit_config(untied, **spoiled)
        (untied / "generation_config.json").unlink()
    recipe = project.make(tmp_path / "project", str(untied))
    status, error = run_command(monkeypatch, capsys, "plan", recipe, "--store", tmp_path)
    assert status in (0, 2)
    assert "Traceback" not in error
    lines = []
    if status == 0:
        try:
            read(untied)
        except ModelError as fault:
            lines = str(fault).splitlines()
    assert len(lines) in (0, 2)


def answers(tuned, ids):
    import torch

    with torch.inference_mode():
        return tuned(input_ids=ids, use_cache=False).logits


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A tiny GPT-2, whose projections are transposed, with the tiny tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("gpt2") / "base"
    tiny.make_model(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=300, n_embd=64, n_layer=2, n_head=4, n_positions=256, bos_token_id=1, eos_token_id=2, initializer_range=0.2
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return tiny.spec(folder)


def trained_and_merged(spec, params, out, train_part, merge_into):
    """Logits of the base, of the tuned model, and of the one that the adapter was merged into."""
    import torch

    params = {"model": spec, **tiny.FINETUNE, "epochs": 2, **params}
    work = tiny.work(out, params, train=train_part)
    facts = finetune.run(work)
    device, ids = torch.device("cpu"), torch.arange(3, 60)[None]
    base = loading.load(spec, params["quantization"], "fp32", device)
    plain = answers(base, ids)
    with loading.adapted(base, work.out) as model:
        tuned = answers(model, ids)
    with loading.merged(params, work.out, merge_into, device) as model:
        return facts, plain, tuned, answers(model, ids)


@pytest.mark.parametrize("targets", ["all-linear", ["c_attn"], ["c_proj", "c_fc"]])
@pytest.mark.parametrize(("quantization", "merge_into"), [("nf4", "dequantized"), ("none", "original")])
def test_transposed_projections_are_adapted_and_merged_as_any_other(gpt2, targets, quantization, merge_into, tmp_path, train_part):
    import torch

    facts, plain, tuned, merged = trained_and_merged(
        gpt2, {"targets": targets, "quantization": quantization}, tmp_path / "a", train_part, merge_into
    )
    assert len(facts["targets"]) == {"all-linear": 8}.get(str(targets), 2 if targets == ["c_attn"] else 6)
    assert (tuned - plain).abs().max() > 0.1
    torch.testing.assert_close(merged, tuned, atol=2e-3, rtol=1e-3)


def test_transposed_widths_that_4_bit_cannot_take_stay_unquantized(tmp_path, capsys):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=64, n_inner=80, n_layer=1, n_head=4)).save_pretrained(tmp_path)
    assert set(loading.modules_to_skip(tmp_path, False)) == {"lm_head", "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj"}
    assert "2 of 5 linear modules, the first transformer.h.0.mlp.c_fc (64 -> 80)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("quantization", "merge_into"), [("nf4", "dequantized"), ("none", "original")])
def test_an_adapter_on_a_tied_output_layer_answers_as_tuned_once_merged(model, quantization, merge_into, tmp_path, train_part):
    import torch

    params = {"targets": ["q_proj", "lm_head"], "quantization": quantization, "learning_rate": 0.02}
    _, plain, tuned, merged = trained_and_merged(model, params, tmp_path / "a", train_part, merge_into)
    assert (tuned - plain).abs().max() > 0.1
    torch.testing.assert_close(merged, tuned, atol=2e-3, rtol=1e-3)


def grow_tokenizer(folder, special, pad=False):
    """Add a token to a tokenizer, but no row to the embedding."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>"], special_tokens=special)
    if pad:
        tokenizer.pad_token = "<new>"
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(("special", "pad"), [(False, False), (True, True)])
def test_a_tokenizer_larger_than_the_embedding_is_refused(special, pad, untied, tmp_path, monkeypatch, capsys):
    recipe = project.make(tmp_path / "project", str(untied))
    grow_tokenizer(untied, special, pad)
    status, error = run_command(monkeypatch, capsys, "prepare", recipe, "--store", tmp_path)
    assert status == 2
    assert "1 tokens of the tokenizer lie beyond the embedding of 300 rows, the first '<new>' (300)" in error


def test_a_control_token_that_nothing_uses_may_lie_beyond_the_embedding(untied):
    """As Gemma 3 1B has one for images."""
    from pipeline.models.renderer import renderer

    grow_tokenizer(untied, special=True)
    assert max(renderer(tiny.spec(untied)).encode_text("<new>")) < 300
