"""The table of base models: shapes against transformers' own classes, what may be adapted, and what is known without a network."""

import json

import pytest

from pipeline.config.recipe import Recipe
from pipeline.models import base_model, model_table, shapes
from pipeline.models.shapes import Shape

SHAPES = {row.shape: row.name for row in reversed(base_model.MODELS) if row.shape}
"""Each shape with the first row that has it."""
BILLIONS = {
    "llama-2-7b": 6.74, "mistral-7b": 7.24, "phi-2": 2.78, "gemma-2b": 2.51, "gemma-7b": 8.54, "llama-3.1-8b": 8.03, "llama-3.2-1b": 1.24,
    "llama-3.2-3b": 3.21, "mistral-7b-v0.3": 7.25, "qwen2.5-0.5b": 0.494, "qwen2.5-1.5b": 1.54, "qwen2.5-7b": 7.62, "qwen3-0.6b": 0.596,
    "qwen3-1.7b": 1.72, "qwen3-4b": 4.02, "qwen3-8b": 8.19, "smollm2-135m": 0.1345, "smollm2-360m": 0.362, "smollm2-1.7b": 1.71,
    "smollm3-3b": 3.08, "gemma-2-2b": 2.61, "gemma-2-9b": 9.24, "gemma-3-1b": 1.00, "gemma-3-4b-instruct": 3.88,
    "phi-3.5-mini-instruct": 3.82, "phi-4-mini-instruct": 3.84, "olmo-2-1b": 1.48, "olmo-2-7b": 7.30,
}  # fmt: skip
"""Parameters as the publishers print them, of tied weights counted once, of Gemma 3 4B without its vision tower."""


def config_of(shape):
    """transformers' configuration of a shape; only the widths are said, the rest is the class's."""
    from transformers import AutoConfig

    widths = {
        "vocab_size": shape.vocab, "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "intermediate_size": shape.ffn,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "tie_word_embeddings": shape.tied, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    if shape.head_dim * shape.heads != shape.hidden or shape.kind in ("qwen3", "gemma", "gemma2", "gemma3_text", "mistral"):
        widths["head_dim"] = shape.head_dim
    return AutoConfig.for_model(shape.kind, **widths)


def skeleton(shape):
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config_of(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPES.values())
def test_a_shape_counts_what_the_class_has(shape):
    import torch

    model = skeleton(shape)
    assert shape.params == sum(value.numel() for value in model.parameters())
    linears = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and "lm_head" not in name}
    assert {name.rsplit(".", 1)[-1] for name in linears} == set(shape.linears)
    assert all((module.in_features, module.out_features) == shape.linears[name.rsplit(".", 1)[-1]] for name, module in linears.items())
    assert shape.linear_params == sum(module.weight.numel() for module in linears.values())
    assert set(shape.qv) <= set(shape.linears)


def test_every_count_is_as_published():
    assert set(BILLIONS) == set(SHAPES.values())
    for shape, name in SHAPES.items():
        assert shape.params / 1e9 == pytest.approx(BILLIONS[name], rel=0.005), name


def test_the_cache_of_a_token_is_as_wide_as_keys_and_values():
    assert model_table.LLAMA_2_7B.kv_bytes == 524_288
    assert model_table.MISTRAL_7B.kv_bytes == model_table.LLAMA_3_8B.kv_bytes == 131_072


@pytest.mark.parametrize("targets", [None, "qv"])
@pytest.mark.parametrize("kind", ["llama", "phi", "phi3", "qwen2"])
def test_an_adapter_has_as_many_weights_as_peft_makes(kind, targets):
    from peft import LoraConfig, get_peft_model

    shape = Shape(kind, 64, 2, 4, 2, 16, 128, 300)
    names = shape.qv if targets else tuple(shape.linears)
    adapted = get_peft_model(skeleton(shape), LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=list(names)))
    assert shape.adapter_params(4, names) == sum(value.numel() for value in adapted.parameters() if value.requires_grad)
    assert shape.adapter_params(4) == shape.adapter_params(4, tuple(shape.linears))


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPES.values())
def test_a_shape_is_read_from_a_saved_configuration(shape, tmp_path):
    config_of(shape).save_pretrained(tmp_path)
    assert shapes.of_folder(tmp_path) == shape


def test_a_configuration_that_says_less_or_something_else():
    plain = {"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 8, "intermediate_size": 384}
    assert shapes.of_config({**plain, "vocab_size": 2048}) == Shape("llama", 128, 2, 8, 8, 16, 384, 2048)
    assert shapes.of_config(plain) is None
    assert shapes.of_config({**plain, "model_type": "mixtral", "vocab_size": 2048}) is None
    text = {**plain, "model_type": "gemma3_text", "head_dim": 16, "vocab_size": 9}
    assert shapes.of_config({"model_type": "gemma3", "text_config": text}) == Shape("gemma3_text", 128, 2, 8, 8, 16, 384, 9, tied=True)


def test_no_config_is_no_shape(tmp_path):
    assert shapes.of_folder(tmp_path) is None
    (tmp_path / "config.json").write_text("[1")
    assert shapes.of_folder(tmp_path) is None


def test_the_ten_of_the_paper_and_their_chat_forms():
    ten = {row.paper: row.chat for row in base_model.MODELS if row.paper}
    assert len(ten) == 10
    assert {name for name, chat in ten.items() if chat} == {
        "llama-2-7b-chat", "mistral-7b-instruct", "zephyr-7b-beta", "gemma-2b-instruct", "gemma-7b-instruct",
    }  # fmt: skip
    assert all(row.paper == row.name for row in base_model.MODELS if row.paper)
    rest = [row for row in base_model.MODELS if not row.paper]
    assert all(row.chat == row.name.endswith("-instruct") for row in rest)


def test_rows_are_whole_and_none_stands_twice():
    names, repos = [row.name for row in base_model.MODELS], [row.repo for row in base_model.MODELS if row.repo]
    assert len(set(names)) == len(names) == 54
    assert len(set(repos)) == len(repos) == 53
    assert all(row.license and (row.shape or row.folder) for row in base_model.MODELS)


def find_base(base, **more):
    return base_model.find(Recipe(name="a", base=base, tasks=("shop_notice",), **more))


@pytest.mark.parametrize(
    ("base", "targets"),
    [
        ("mistral-7b", ("q_proj", "v_proj")), ("phi-2", ("q_proj", "v_proj")), ("phi-4-mini-instruct", ("qkv_proj",)),
        ("microsoft/Phi-4-mini-instruct", ("qkv_proj",)), ("org/unknown", ("q_proj", "v_proj")),
    ],
)  # fmt: skip
def test_what_qv_means(base, targets):
    assert base_model.qv_targets(find_base(base)) == targets


def test_what_qv_means_in_a_folder(tmp_path):
    config_of(Shape("phi3", 64, 2, 4, 2, 16, 128, 300)).save_pretrained(tmp_path)
    assert base_model.qv_targets(find_base(str(tmp_path))) == ("qkv_proj",)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, no token."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub"


def put(cache, repo, commit, config):
    folder = cache / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "config.json").write_text(json.dumps(config))
    return folder / "snapshots" / commit


def test_a_spec_without_asking(cache):
    model = find_base("org/some")
    whole = {"repo": "org/some", "revision": None, "folder": None, "chat": None, "trust_remote_code": False}
    assert model.spec(ask=False) == whole
    assert find_base("org/some", revision="v1").spec(ask=False) == whole | {"revision": "v1"}
    put(cache, "org/some", "c" * 40, {})
    assert model.spec(ask=False) == model.spec() == whole | {"revision": "c" * 40}


def test_the_shape_of_a_hub_model_is_read_from_the_cache(cache):
    spec = find_base("org/some").spec(ask=False)
    assert base_model.shape_of(spec) is None
    put(cache, "org/some", "c" * 40, config_of(Shape("olmo2", 64, 2, 4, 2, 16, 128, 300)).to_dict())
    assert base_model.shape_of(spec) == Shape("olmo2", 64, 2, 4, 2, 16, 128, 300)
    assert base_model.shape_of(find_base("quickstart-base").spec()) == Shape("llama", 256, 4, 8, 8, 32, 768, 1536, tied=True)
    assert base_model.shape_of(find_base("meta-llama/Llama-3.1-8B").spec(ask=False)) == model_table.LLAMA_3_8B


def test_a_gated_base_says_what_to_do(cache, monkeypatch):
    line = find_base("gemma-2b").access()
    assert "gemma-2b is gated" in line
    assert "https://huggingface.co/google/gemma-2b," in line
    assert "HF_TOKEN" in line
    assert find_base("meta-llama/Llama-2-7b-hf").access()
    assert find_base("phi-2").access() == find_base("quickstart-base").access() == find_base("org/some").access() == ""
    put(cache, "google/gemma-2b", "c" * 40, {})
    assert find_base("gemma-2b").access() == ""
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert find_base("gemma-7b").access() == ""


def test_a_hub_id_of_the_table_is_prompted_as_its_tokenizer_says(cache):
    assert find_base("Qwen/Qwen2.5-7B-Instruct").spec(ask=False)["chat"] is None
    assert find_base("qwen2.5-7b-instruct").spec(ask=False)["chat"] is True
    assert find_base("qwen2.5-7b-instruct", chat=False).spec(ask=False)["chat"] is False


def test_code_beside_the_weights_of_a_row_is_no_hindrance(cache):
    """Phi-3's repositories name Python files that nobody needs; a repository that is no row is refused."""
    from pipeline.errors import ModelError

    for repo in ("microsoft/Phi-4-mini-instruct", "org/some"):
        (
            put(cache, repo, "c" * 40, {"model_type": "phi3", "auto_map": {"AutoModelForCausalLM": "own.Model"}}) / "model.safetensors"
        ).touch()
    spec = find_base("phi-4-mini-instruct").spec(ask=False)
    assert base_model.local_folder(spec).name == "c" * 40
    with pytest.raises(ModelError, match="Python code of its own"):
        base_model.local_folder(find_base("org/some").spec(ask=False))


@pytest.fixture
def large_model(tmp_path):
    """A folder whose weights are large enough to be remembered; the file is sparse."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate((1 << 28) + 1)
    return folder


def test_hashes_of_large_files_are_remembered_in_the_store(large_model, tmp_path):
    memory = tmp_path / "store" / "data" / ".hashes.json"
    base_model.add_to_hash_cache(memory, {"another process": "0" * 64})
    hashed = base_model.folder_digest(large_model, memory)
    hashes = json.loads(memory.read_text("utf-8"))
    assert hashes.pop("another process") == "0" * 64
    assert list(hashes.values()) == [base_model.file_hash(large_model / "model.safetensors")]
    base_model.add_to_hash_cache(memory, dict.fromkeys(hashes, "f" * 64))
    base_model.folder_digest.cache_clear()
    assert base_model.folder_digest(large_model, memory) != hashed, "the file was read again"
    assert base_model.folder_digest(large_model) == hashed


def test_a_store_that_cannot_be_written_remembers_nothing(large_model, tmp_path):
    (tmp_path / "file").touch()
    memory = tmp_path / "file" / ".hashes.json"
    assert base_model.folder_digest(large_model, memory) == base_model.folder_digest(large_model)
