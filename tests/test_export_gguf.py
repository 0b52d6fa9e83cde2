"""GGUF exports hold the trained weights and read prompts as training did, by transformers' reader and by llama.cpp; what does not, is not
exported."""

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import warnings
from pathlib import Path

import pytest

from pipeline.export import gguf_back, gguf_files, gguf_model, gguf_tokenizer, llama_converter, llama_cpp, modelfile
from pipeline.models import low_rank
from pipeline.models.renderer import Renderer, read_renderer, renderer
from pipeline.store.artifact import Store
from pipeline.store.records import Turn
from tests import foreign, project
from tests.test_export import exporter, finish, record_of, sealed_answers, tuned_score
from tests.test_variants import recipe_with

gguf = pytest.importorskip("gguf", reason="needs the package gguf")
needs_llama_cpp = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama-cpp-python")
READERS = ["transformers' GGUF reader", pytest.param("llama.cpp", marks=needs_llama_cpp)]
FORMS = {"gguf": "model", "gguf-adapter": "base"}
ERRORS = {"F16": 2e-3, "Q8_0": 0.05}
"""Relative logit errors that storage as such may cost."""
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    return finish(tmp_path_factory.mktemp("gguf"), model, ["base", "tuned"])


@pytest.fixture
def export(monkeypatch, capsys):
    monkeypatch.delenv(llama_converter.FOLDER, raising=False)
    return exporter(monkeypatch, capsys)


@pytest.fixture
def by_reader(monkeypatch):
    """As on a machine without llama-cpp-python."""
    monkeypatch.setattr(llama_cpp, "is_installed", lambda: False)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """Both forms in F16 by name, and the merged model as safetensors."""
    folder = tmp_path_factory.mktemp("forms")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(llama_converter.FOLDER, raising=False)
        patch.setattr(llama_cpp, "is_installed", lambda: False)
        for form in [*FORMS, "merged"]:
            exporter(patch, _Captured())(*finished, "--form", form, "--out", folder / form)
    return folder


class _Captured:
    """In the place of capsys, which a module's fixture cannot have."""

    def readouterr(self):
        return self

    out = err = ""


def tensors(path):
    """The numbers of a GGUF file by name, float32."""
    return {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("library", READERS)
@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
@pytest.mark.parametrize("form", FORMS)
def test_it_is_loaded_back_and_loses_what_its_numbers_lose(form, kind, library, finished, export, tmp_path, monkeypatch):
    monkeypatch.setattr(llama_cpp, "is_installed", lambda: library == "llama.cpp")
    text = export(*finished, "--form", form, "--type", kind.lower(), "--out", tmp_path / "x", "--accept-loss")
    measured = record_of(tmp_path / "x")["measured"]
    assert f"{form} ({kind}) of pets" in text
    assert (measured["loaded_by"], measured["examples"]) == (library, 20)
    assert measured["equal_prompts"] == (20 if library == "llama.cpp" else None)
    assert measured["logits"]["relative"] < ERRORS[kind]
    if kind == "F16":
        assert measured["equal_answers"] >= 18
        assert measured["outcome"] in ("same", "within")
    adapters = [f"adapter-{kind}.gguf"] if form == "gguf-adapter" else []
    names = ["Modelfile", "README.md", "SHA256SUMS", *adapters, f"{FORMS[form]}-{kind}.gguf", "export.json"]
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == sorted(names)
    first = gguf.GGUFReader(tmp_path / "x" / f"{FORMS[form]}-{kind}.gguf").tensors[0]
    assert (first.name, first.tensor_type.name) == ("token_embd.weight", kind)


def test_another_reader_finds_the_merged_weights(exported):
    """transformers' names and order of rows, with F16 numbers: what the merged form holds, to the bit."""
    import torch
    from transformers import AutoModelForCausalLM

    merged = AutoModelForCausalLM.from_pretrained(exported / "merged", dtype=torch.float32).state_dict()
    read = AutoModelForCausalLM.from_pretrained(exported / "gguf", gguf_file="model-F16.gguf", dtype=torch.float32)
    assert read.config.tie_word_embeddings
    for name, values in read.state_dict().items():
        expected = merged[name].half().float() if merged[name].dim() > 1 else merged[name]
        assert torch.equal(values, expected), name


def test_base_and_adapter_together_are_the_merged_model(exported):
    """In the layout of GGUF, W + alpha / rank * B A, as llama.cpp multiplies."""
    import numpy

    merged, base = tensors(exported / "gguf" / "model-F16.gguf"), tensors(exported / "gguf-adapter" / "base-F16.gguf")
    path = exported / "gguf-adapter" / "adapter-F16.gguf"
    adapter, alpha = tensors(path), gguf_back.fields(path)["adapter.lora.alpha"]
    changed = {name.removesuffix(".lora_a") for name in adapter if name.endswith(".lora_a")}
    assert len(changed) == 14  # seven of each layer
    for name, values in base.items():
        a, b = adapter.get(f"{name}.lora_a"), adapter.get(f"{name}.lora_b")
        delta = b @ a * (alpha / a.shape[0]) if name in changed else 0.0
        assert numpy.abs(merged[name] - values - delta).max() < 2e-3, name
        assert name not in changed or numpy.abs(delta).max() > 2e-2


def test_order_of_rows_lost(finished, export, tmp_path, monkeypatch, by_reader):
    """Queries and keys in the order of transformers: the loss stops it, and the adapter's alone as well."""
    monkeypatch.setattr(gguf_model, "permuted", lambda values, heads: values)
    for form in FORMS:
        text = export(*finished, "--form", form, "--out", tmp_path / "x", "--within", "0.01", status=3)
        assert f"--form {form} (F16) of pets scores" in text
        assert f"the adapter {tuned_score(finished):.3f}" in text
        assert list(tmp_path.iterdir()) == []


@needs_llama_cpp
@pytest.mark.parametrize("form", FORMS)
def test_its_own_lines_load_it_and_answer(form, finished, exported, model, tmp_path, monkeypatch):
    """The code of README.md, run beside the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / form).symlink_to(exported / form)
    load, answer, *_ = re.findall(r"```python\n(.*?)\n```", (exported / form / "README.md").read_text("utf-8"), re.S)
    names = {}
    exec(load, names)
    render, expected = renderer(model), sealed_answers(finished[1], "r4-s0")
    examples = project.heldout(Store(finished[1] / "data", finished[1] / "checkpoints"))
    equal = 0
    for example in examples:
        names["prompt"] = render.prompt_answer_boundary(example.prompt)[0]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(answer, names)
        equal += printed.getvalue() == f"{expected[example.id]}\n"
    assert equal >= len(examples) - 2


def test_the_card(exported):
    from huggingface_hub import ModelCard

    card = ModelCard((exported / "gguf-adapter" / "README.md").read_text("utf-8"))
    assert (card.data.library_name, "gguf" in card.data.tags) == ("llama.cpp", True)
    assert "loaded by transformers' GGUF reader" in card.text
    assert "| equal prompt tokens | not tried: llama-cpp-python is not installed |" in card.text
    assert "`base-F16.gguf` is the base over which the adapter was trained" in card.text


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, model):
    """Adapters whose scales differ by module or by the root of the rank, and some that llama.cpp cannot take alone."""
    root, base = tmp_path_factory.mktemp("elsewhere"), Path(model["folder"])
    layouts = {
        "patterns": {"lora_alpha": 8, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
        "rslora": {"use_rslora": True, "lora_alpha": 4},
        "dora": {"use_dora": True},
        "head": {"target_modules": ["q_proj", "lm_head"]},
        "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
        "biases": {"lora_bias": True},
        "module": {"modules_to_save": ["lm_head"]},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, on tied layers
        folders = {name: foreign.adapter(root / name, base, **options) for name, options in layouts.items()}
    variants = [{"name": name, "adapter": str(folder)} for name, folder in folders.items()]
    return recipe_with(root / "project", model, *variants), root / "project"


@pytest.mark.parametrize("name", ["patterns", "rslora"])
@pytest.mark.parametrize("library", READERS)
def test_scales_of_an_adapter_from_elsewhere(name, library, elsewhere, export, tmp_path, monkeypatch):
    monkeypatch.setattr(llama_cpp, "is_installed", lambda: library == "llama.cpp")
    export(*elsewhere, "--variant", name, "--form", "gguf-adapter", "--out", tmp_path / "x", "--accept-loss")
    measured = record_of(tmp_path / "x")["measured"]
    assert measured["logits"]["relative"] < 5e-3
    assert measured["loaded_by"] == library


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("dora", "DoRA"),
        ("head", "an adapted output layer"),
        ("embedding", "an adapted embedding"),
        ("biases", "biases"),
        ("module", "whole modules (modules_to_save)"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of peft, on tied layers
def test_what_llama_cpp_does_not_take_from_an_adapter(name, fault, elsewhere, export, tmp_path):
    words = ["--variant", name, "--form", "gguf-adapter", "--out", tmp_path / "x"]
    text = export(*elsewhere, *words, status=2)
    assert f"the adapter has {fault}, which llama.cpp does not take from an adapter Export with --form gguf" in text
    assert not (tmp_path / "x").exists()


@pytest.mark.filterwarnings("ignore")  # of peft, on tied layers
def test_an_output_layer_of_its_own_is_merged(elsewhere, export, tmp_path, by_reader):
    export(*elsewhere, "--variant", "head", "--form", "gguf", "--out", tmp_path / "x", "--accept-loss")
    assert "output.weight" in gguf_back.tensor_names(tmp_path / "x" / "model-F16.gguf")
    assert record_of(tmp_path / "x")["measured"]["logits"]["relative"] < 2e-3


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--form", "merged", "--type", "q8_0"], "--type Q8_0: --form merged is no GGUF file."),
        (["--form", "gguf", "--type", "q8"], "--type q8: there is no such type. Did you mean 'q8_0'?"),
    ],
)
def test_types_that_cannot_be(words, problem, finished, export, tmp_path):
    assert problem in export(*finished, *words, "--out", tmp_path / "x", status=2)


def test_without_the_package(finished, export, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_files, "find_spec", lambda name: None)
    assert "the package gguf is not installed Install it: pip install 'loralift[gguf]'" in export(
        *finished, "--form", "gguf", "--out", tmp_path / "x", status=2
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "qwen2"}, "it is of the architecture qwen2"),
        ({"model_type": "mistral", "sliding_window": 64}, "its attention slides over 64 tokens"),
        ({"hidden_act": "gelu"}, "its activation is gelu"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, "its rotary embedding is of the type yarn"),
    ],
)
def test_other_models_need_llama_cpps_converter(change, reason, finished, export, tmp_path, monkeypatch, model):
    from pipeline.models import base_model

    other = tmp_path / "other"
    shutil.copytree(model["folder"], other)
    config = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps(config | change), "utf-8")
    local = base_model.local_folder
    monkeypatch.setattr(gguf_files.base_model, "local_folder", lambda spec: other)
    text = export(*finished, "--form", "gguf", "--out", tmp_path / "x", status=2)
    monkeypatch.setattr(gguf_files.base_model, "local_folder", local)
    assert f"cannot be written here: {reason} llama.cpp's convert_hf_to_gguf.py may know it: set LLAMA_CPP to a folder" in text


def test_a_converter_that_fails_gives_way_to_our_writer(finished, export, tmp_path, monkeypatch, by_reader):
    """As llama.cpp's does on a tokenizer that it does not know."""
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    for name in (llama_converter.MODEL, llama_converter.ADAPTER):
        (folder / name).write_text("raise NotImplementedError('BPE pre-tokenizer was not recognized')\n", "utf-8")
    monkeypatch.setenv(llama_converter.FOLDER, str(folder))
    export(*finished, "--form", "gguf", "--out", tmp_path / "x")
    assert record_of(tmp_path / "x")["measured"]["logits"]["relative"] < ERRORS["F16"]


def test_a_folder_without_converter(finished, export, tmp_path, monkeypatch):
    monkeypatch.setenv(llama_converter.FOLDER, str(tmp_path))
    text = export(*finished, "--form", "gguf", "--out", tmp_path / "x", status=2)
    assert f"LLAMA_CPP={tmp_path}: there is no convert_hf_to_gguf.py in it" in text


def test_the_converter_on_the_path(tmp_path, monkeypatch):
    """It gets the folder, the file, the type and the base, and its last line is the error."""
    script = tmp_path / llama_converter.ADAPTER
    script.write_text("#!/usr/bin/env python\nimport sys\nsys.exit(' '.join(sys.argv[1:]))\n", "utf-8")
    script.chmod(0o755)
    monkeypatch.delenv(llama_converter.FOLDER, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert llama_converter.find(llama_converter.ADAPTER) == script
    assert llama_converter.find(llama_converter.MODEL) is None
    with pytest.raises(llama_converter.ModelError, match=r"fails: a --outfile b --outtype q8_0 --base c"):
        llama_converter.convert(script, Path("a"), Path("b"), "Q8_0", Path("c"))


@pytest.mark.skipif(not os.environ.get("LLAMA_CPP"), reason="needs llama.cpp in LLAMA_CPP")
def test_llama_cpps_converter_writes_the_same_tensors(tmp_path):
    """On a model with grouped queries, scaled frequencies, biases and an output layer of its own; and the tokenizer of SentencePiece."""
    source = random_llama(tmp_path / "source", spm_tokenizer(), attention_bias=True, tie_word_embeddings=False, **SCALED)
    render = read_renderer(source, None, False, "", False)
    for kind in ("F16", "Q8_0"):
        gguf_model.write(source, tmp_path / "ours.gguf", kind, render, "x")
        llama_converter.convert(llama_converter.find(llama_converter.MODEL), source, tmp_path / "theirs.gguf", kind)
        ours, theirs = ({t.name: t for t in gguf.GGUFReader(tmp_path / f"{name}.gguf").tensors} for name in ("ours", "theirs"))
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"rope_freqs.weight"}:
            assert ours[name].data.tobytes() == theirs[name].data.tobytes(), name
        assert ours["rope_freqs.weight"].data == pytest.approx(theirs["rope_freqs.weight"].data, rel=1e-6)
        (tmp_path / "ours.gguf").unlink()
        (tmp_path / "theirs.gguf").unlink()


ROPE = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}  # fmt: skip
SCALED = {"rope_parameters": ROPE}


def random_llama(folder, tokenizer, **options):
    """Save a random Llama with wide heads that share keys; returns its folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 3, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, initializer_range=0.2, **options,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    for name, value in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            value.data += 0.1 * torch.randn_like(value)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def spm_tokenizer():
    """As those of Llama 2 come: BPE over a text with a mark for blanks, and bytes for what it lacks."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([Path(__file__).read_text("utf-8")], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    parts = json.loads(tokenizer.to_str())
    parts["added_tokens"] = parts["added_tokens"][:3]  # bytes are no special tokens
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(parts)), bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>"
    )


TEXTS = ["Why? Because.", "two  blanks", " lead", "a\nb\n\nc", "naïve 😀 中文", "1234 56", "don't 'submit'", "<s> spelled", "x"]


@needs_llama_cpp
@pytest.mark.parametrize("scaling", [{}, SCALED, {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}])
def test_llama_cpp_reads_tokens_and_logits_alike(scaling, tmp_path):
    """SentencePiece's tokenizer, grouped queries, biases, scaled rotary embeddings, an output layer of its own."""
    import torch
    from transformers import AutoModelForCausalLM

    source = random_llama(tmp_path / "source", spm_tokenizer(), attention_bias=True, tie_word_embeddings=False, **scaling)
    render = read_renderer(source, None, False, "", False)
    gguf_model.write(source, tmp_path / "x.gguf", "F16", render, "x")
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    ids = [1, *(3 + (7 * place) % 400 for place in range(180))]
    with llama_cpp.opened(tmp_path / "x.gguf", None, 256, render, False) as backend, torch.inference_mode():
        for text in TEXTS:
            assert backend.prompt_ids(text, False) == render.encode_text(text, special=True), text
        expected, got = model(torch.tensor([ids])).logits[0, -1], torch.from_numpy(backend.logits(ids))
        assert float((got - expected).norm() / expected.norm()) < 5e-3
        assert backend.eos_ids == (2,)


def test_scaled_frequencies_are_those_of_transformers(tmp_path):
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(hidden_size=128, num_attention_heads=4, head_dim=32, rope_parameters=ROPE)
    [factors] = gguf_model.rope_factors(config)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 10000.0 ** -(scaled.new_tensor(range(0, 32, 2)) / 32)
    assert factors.read() == pytest.approx((plain / scaled).numpy(), rel=1e-5)
    assert {1.0, 8.0} < set(factors.read().tolist())


def test_transformers_reader_is_not_asked_for_scaled_frequencies(tmp_path):
    source = random_llama(tmp_path / "source", spm_tokenizer(), **SCALED)
    gguf_model.write(source, tmp_path / "x.gguf", "F16", read_renderer(source, None, False, "", False), "x")
    with pytest.raises(gguf_back.ModelError, match="leaves out the scaling of the rotary embedding"):
        gguf_back.by_transformers(tmp_path / "x.gguf", "cpu")


def test_what_the_file_says_of_the_tokenizer(tmp_path):
    """Rows without a token, bytes, controls, scores in the order of merges, and what leads a text."""
    tokenizer = spm_tokenizer()
    source = random_llama(tmp_path / "source", tokenizer)
    gguf_model.write(source, tmp_path / "x.gguf", "F16", read_renderer(source, None, False, "", False), "x")
    metadata = {name.removeprefix("tokenizer.ggml."): value for name, value in gguf_back.fields(tmp_path / "x.gguf").items()}
    names = ("model", "add_bos_token", "add_eos_token", "add_space_prefix", "bos_token_id", "eos_token_id", "eot_token_id")
    assert [metadata.get(name) for name in names] == ["llama", True, False, True, 1, 2, None]
    count = len(tokenizer)
    assert metadata["tokens"][count:] == [f"[PAD{count}]", f"[PAD{count + 1}]", f"[PAD{count + 2}]"]
    assert metadata["token_type"][:4] == [2, 3, 3, 6]  # unknown, control, control, byte
    assert set(metadata["token_type"][count:]) == {5}
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    built = [metadata["scores"][metadata["tokens"].index("".join(pair))] for pair in merges]
    assert built == sorted(built, reverse=True)


def test_the_splitting_is_the_one_that_gives_the_same_ids(model):
    tokenizer = renderer(model).tokenizer.backend_tokenizer
    assert gguf_tokenizer.splitting(tokenizer, json.loads(tokenizer.to_str())) == "gpt-2"


def test_a_splitting_that_llama_cpp_has_not(model):
    from tokenizers import Tokenizer, pre_tokenizers

    tokenizer = Tokenizer.from_str(renderer(model).tokenizer.backend_tokenizer.to_str())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split("e", "isolated"), pre_tokenizers.ByteLevel(False)])
    with pytest.raises(gguf_tokenizer.ModelError, match=r"the tokenizer splits text as none of llama.cpp's"):
        gguf_tokenizer.splitting(tokenizer, json.loads(tokenizer.to_str()))


def test_the_modelfile(exported, model):
    lines = (exported / "gguf-adapter" / "Modelfile").read_text("utf-8").splitlines()
    assert lines[1] == "# TEMPLATE renders 20 of 20 test prompts as they were measured."
    assert lines[2:5] == ["FROM ./base-F16.gguf", "ADAPTER ./adapter-F16.gguf", 'TEMPLATE """{{ .Prompt }}"""']
    expected = ["temperature 0", "repeat_penalty 1", "num_ctx 256", "num_predict 6", 'stop "<eos>"']
    assert lines[5:] == [f"PARAMETER {line}" for line in expected]
    assert "ADAPTER" not in (exported / "gguf" / "Modelfile").read_text("utf-8")


def chat_renderer(model, template, bos=False):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model["folder"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = ("{{ bos_token }}" if bos else "") + template
    return Renderer(tokenizer)


CONVERSATIONS = [
    [Turn("user", "Hi?")],
    [Turn("system", "Be short."), Turn("user", "Hi?")],
    [Turn("user", "Hi?"), Turn("assistant", "Yes."), Turn("user", "Why?")],
    [
        Turn("system", "S"),
        Turn("user", "Hi?"),
        Turn("assistant", "Yes."),
        Turn("user", "Why?"),
        Turn("assistant", "No."),
        Turn("user", "x"),
    ],
]
DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + CHATML


def ollama(template, turns):
    """A conversation by the part of Go's template language that we write."""
    start, loop = template.partition("{{ range .Messages }}")[::2]
    if switch := re.fullmatch(r"\{\{ if \.System }}(.*)\{\{ \.System }}(.*)\{\{ else }}(.*)\{\{ end }}", start, re.S):
        before, after, without = switch.groups()
        start = before + turns[0].content + after if turns[0].role == "system" else without
    user, assistant = re.fullmatch(
        r'\{\{ if eq \.Role "user" }}(.*)\{\{ else if eq \.Role "assistant" }}(.*)\{\{ end }}\{\{ end }}', loop, re.S
    ).groups()
    parts = {"user": user, "assistant": assistant, "system": ""}
    return start + "".join(parts[turn.role].replace("{{ .Content }}", turn.content) for turn in turns)


@pytest.mark.parametrize("template", [CHATML, DEFAULT_SYSTEM], ids=["chatml", "default system"])
@pytest.mark.parametrize("bos", [False, True])
def test_ollamas_template_renders_as_ours(template, bos, model):
    """A start token that the program adds is left out."""
    render = chat_renderer(model, template, bos)
    pieces = modelfile.chat_pieces(render)
    for turns in CONVERSATIONS:
        expected = render.conversation(turns).removeprefix("<bos>")
        assert pieces.render(turns) == ollama(pieces.template(), turns) == expected


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (CHATML.replace("{{ m.content }}", "{% if loop.last %}now: {% endif %}{{ m.content }}"), "writes earlier turns otherwise"),
        (CHATML.replace("<|im_end|>", "{{ '{{' }}<|im_end|>"), "writes {{"),
    ],
)
def test_a_template_that_cannot_be_said(template, problem, model):
    with pytest.raises(modelfile.ModelError, match=re.escape(problem)):
        modelfile.chat_pieces(chat_renderer(model, template))


def test_stop_strings_in_a_modelfile():
    assert [modelfile.quoted(stop) for stop in ("<eos>", "\n", 'say "x"')] == ['"<eos>"', '"""\n"""', 'say "x"']


def test_the_scale_of_a_module():
    settings = {"lora_alpha": 8, "alpha_pattern": {"down_proj": 3}, "use_rslora": False}
    assert low_rank.scale(settings, "model.layers.0.mlp.down_proj", 4) == 0.75
    assert low_rank.scale(settings, "model.layers.0.mlp.up_proj", 4) == 2.0
    assert low_rank.scale(settings | {"use_rslora": True}, "model.layers.0.mlp.up_proj", 4) == 4.0
