"""Each adapter that must not be compared is refused in a line that says what is wrong and what to do."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.models import adapter_fit, adapter_source
from tests import foreign, tiny

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    """An adapter that fits."""
    return foreign.adapter(tmp_path_factory.mktemp("whole") / "mine", Path(model["folder"]), target_modules=["q_proj", "v_proj"])


@pytest.fixture
def mine(whole, tmp_path):
    """A copy of it to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "mine"))


def fit(folder, model):
    return adapter_fit.fit(adapter_source.local_folder(adapter_source.find(str(folder))), model)


def refusal(folder, model):
    """The line by which an adapter is refused, without the path of its folder."""
    with pytest.raises(ModelError) as error:
        fit(folder, model)
    assert error.value.remedy
    assert "\n" not in error.value.problem
    return error.value.problem.replace(str(folder), "mine")


def configure(folder, **keys):
    foreign.configure(folder / CONFIG, **keys)


def change_tensors(folder, change):
    foreign.change_tensors(folder / WEIGHTS, change)


SETTINGS = [
    ({"peft_type": "IA3"}, "mine is of the kind IA3"),
    ({"peft_type": "PROMPT_TUNING"}, "mine is of the kind PROMPT_TUNING"),
    ({"peft_type": "PREFIX_TUNING"}, "mine is of the kind PREFIX_TUNING"),
    ({"peft_type": None}, "mine is of the kind unknown"),
    ({"task_type": "SEQ_CLS"}, "mine was trained for SEQ_CLS"),
    ({"init_lora_weights": "pissa"}, "mine begins with pissa"),
    ({"init_lora_weights": "pissa_niter_16"}, "mine begins with pissa_niter_16"),
    ({"init_lora_weights": "olora"}, "mine begins with olora"),
    ({"init_lora_weights": "corda"}, "mine begins with corda"),
    ({"init_lora_weights": "loftq"}, "mine begins with loftq"),
    ({"bias": "all"}, "mine also changes biases of the base (bias: all)"),
    ({"trainable_token_indices": [3, 4]}, "mine: it trains the embeddings of single tokens"),
    ({"layer_replication": [[0, 2], [1, 2]]}, "mine: it repeats layers of the base"),
    ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "mine: it adapts parameters that are no linear modules"),
    ({"alora_invocation_tokens": [5]}, "mine: it acts only after certain tokens"),
    ({"use_of_the_future": True}, "mine/adapter_config.json has the key use_of_the_future (true), which peft"),
    ({"r": -1}, "mine/adapter_config.json: r is no rank (-1)"),
    ({"r": "4"}, 'mine/adapter_config.json: r is no rank ("4")'),
    ({"r": True}, "mine/adapter_config.json: r is no rank (true)"),
    ({"rank_pattern": {"q_proj": 0}}, "mine/adapter_config.json: rank_pattern q_proj is no rank (0)"),
    ({"rank_pattern": [2]}, "mine/adapter_config.json: rank_pattern is no mapping of names ([2])"),
    ({"rank_pattern": {"(": 4}}, 'mine/adapter_config.json: "(" is no pattern of module names: missing ), unterminated'),
    ({"target_modules": "("}, 'mine/adapter_config.json: "(" is no pattern of module names: missing ), unterminated'),
    ({"lora_alpha": 0}, "mine/adapter_config.json: lora_alpha is no scale by which an adapter has an effect (0)"),
    ({"lora_alpha": "16"}, 'mine/adapter_config.json: lora_alpha is no scale by which an adapter has an effect ("16")'),
    ({"lora_alpha": float("nan")}, "mine/adapter_config.json: lora_alpha is no scale by which an adapter has an effect (NaN)"),
    ({"alpha_pattern": {"q_proj": 1e999}}, "alpha_pattern q_proj is no scale by which an adapter has an effect (Infinity)"),
    ({"target_modules": ["query_key_value"]}, "mine does not fit the base"),
    ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, "mine would be half loaded: 4 of 12 tensors are missing"),
    ({"target_modules": ["q_proj"]}, "mine would be half loaded: 4 of 8 tensors have no place here"),
    ({"use_dora": True}, "mine would be half loaded: 4 of 12 tensors are missing"),
    ({"r": 8}, "mine was trained on another base: 8 of 8 tensors differ in shape"),
]


@pytest.mark.parametrize(("keys", "words"), SETTINGS, ids=[json.dumps(keys) for keys, _ in SETTINGS])
def test_settings_that_are_no_plain_lora(keys, words, mine, model):
    configure(mine, **keys)
    assert words in refusal(mine, model)


FILES = {
    "only a pickle": (
        lambda folder: (folder / WEIGHTS).rename(folder / "adapter_model.bin"),
        "no adapter_model.safetensors but adapter_model.bin",
    ),
    "in pieces": (
        lambda folder: (folder / WEIGHTS).rename(folder / "adapter_model-00001-of-00002.safetensors"),
        "mine has its weights in several pieces",
    ),
    "without weights": (lambda folder: (folder / WEIGHTS).unlink(), "mine has adapter_config.json, but no weights"),
    "without settings": (lambda folder: (folder / CONFIG).unlink(), "mine has the weights of an adapter, but no adapter_config.json"),
    "settings that are no JSON": (lambda folder: (folder / CONFIG).write_text("{"), "mine/adapter_config.json cannot be read"),
    "settings that are a list": (lambda folder: (folder / CONFIG).write_text("[]"), "mine/adapter_config.json holds no keys and values"),
    "cut weights": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9]),
        "mine/adapter_model.safetensors cannot be read",
    ),
    "nothing at all": (lambda folder: [path.unlink() for path in folder.iterdir()], "mine holds no adapter"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_those_of_an_adapter(name, mine, model):
    spoil, words = FILES[name]
    spoil(mine)
    assert words in refusal(mine, model)


FLOAT8 = torch.float8_e4m3fn
TENSORS = {
    "empty": (lambda tensors: {}, "holds no tensors: the adapter was saved empty"),
    "not trained": (
        lambda tensors: {name: value * ("lora_A" in name) for name, value in tensors.items()},
        "mine changes nothing: all of its 4 B matrices are zero",
    ),
    "one missing": (lambda tensors: dict(sorted(tensors.items())[1:]), "mine would be half loaded: 1 of 8 tensors are missing"),
    "under other names": (
        lambda tensors: {name.replace("base_model.model.", ""): value for name, value in tensors.items()},
        "mine would be half loaded: 8 of 8 tensors are missing",
    ),
    "integers": (lambda tensors: {name: value.char() for name, value in tensors.items()}, "mine: 8 of 8 tensors hold no weights but int8"),
    "not finite in a byte": (
        lambda tensors: {name: torch.full_like(value, float("nan")).to(FLOAT8) for name, value in tensors.items()},
        "mine: 8 of 8 tensors are not finite",
    ),
    "not finite": (lambda tensors: {name: value / 0 for name, value in tensors.items()}, "mine: 8 of 8 tensors are not finite"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_make_an_adapter(name, mine, model):
    change, words = TENSORS[name]
    change_tensors(mine, change)
    assert words in refusal(mine, model)


def test_an_adapter_of_another_base(whole, tmp_path):
    other = tiny.make_model(tmp_path / "other", hidden=128)
    line = refusal(whole, other)
    assert "was trained on another base: 8 of 8 tensors differ in shape" in line


def test_a_whole_model_is_no_adapter(model):
    assert "holds a whole model, not an adapter" in refusal(Path(model["folder"]), model)


def test_checkpoints_of_a_trainer(whole, model, tmp_path):
    for step in (10, 20):
        shutil.copytree(whole, tmp_path / "out" / f"checkpoint-{step}")
        (tmp_path / "out" / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"pickle")
        (tmp_path / "out" / f"checkpoint-{step}" / "trainer_state.json").write_text("{}", "utf-8")
    assert "holds 2 adapters: checkpoint-10, checkpoint-20" in refusal(tmp_path / "out", model)
    assert fit(tmp_path / "out" / "checkpoint-20", model).targets == fit(whole, model).targets
    shutil.copytree(whole, tmp_path / "named" / "default")  # as peft saves adapters by name
    assert fit(tmp_path / "named", model).targets == fit(whole, model).targets


def test_a_base_of_another_name_is_said(mine, model):
    configure(mine, base_model_name_or_path="someone/other-7b")
    assert fit(mine, model).warnings == [
        "The adapter was trained on someone/other-7b by its own word, and is compared on base; their shapes agree."
    ]
    configure(mine, base_model_name_or_path="/home/someone/models/base/")
    assert fit(mine, model).warnings == []


def test_a_tokenizer_of_its_own(mine, model):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(model["folder"]) / name, mine / name)
    assert fit(mine, model).warnings == []
    (mine / "chat_template.jinja").write_text("{{ messages }}", "utf-8")
    [warning] = fit(mine, model).warnings
    assert "has a chat template, and the base has none" in warning
    tokenizer = json.loads((mine / "tokenizer.json").read_text("utf-8"))
    tokenizer["added_tokens"].append({"id": 300, "content": "<|im_start|>"})
    (mine / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    assert "mine was trained with 1 tokens that the base's tokenizer lacks, the first '<|im_start|>'" in refusal(mine, model)
    tokenizer["added_tokens"] = []
    tokenizer["model"]["vocab"] = {token: 299 - number for token, number in tokenizer["model"]["vocab"].items()}
    (mine / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    assert "mine was trained with another tokenizer" in refusal(mine, model)


def test_embeddings_that_peft_saves_beside_it(mine, model):
    from safetensors.torch import load_file

    base = load_file(Path(model["folder"]) / "model.safetensors")["model.embed_tokens.weight"]
    name = "base_model.model.model.embed_tokens.weight"
    change_tensors(mine, lambda tensors: {**tensors, name: base})
    assert name not in fit(mine, model).tensors
    change_tensors(mine, lambda tensors: {**tensors, name: base + 1})
    assert "was trained with an embedding of its own (model.embed_tokens.weight: 300 rows, the base 300)" in refusal(mine, model)
