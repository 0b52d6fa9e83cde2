"""A whole fine-tuned model that must not be compared is refused in a line that says what is wrong and what to do."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.config import recipe as recipes
from pipeline.engine import transformers_backend
from pipeline.errors import ComparisonError, ModelError
from pipeline.models import liveness, model_fit, model_source, whole_model
from pipeline.models.renderer import renderer
from pipeline.stages import import_model
from tests import foreign, project, tiny

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    """A fine-tune of all weights."""
    return foreign.model(tmp_path_factory.mktemp("whole") / "mine", Path(model["folder"]))


@pytest.fixture
def mine(whole, tmp_path):
    """A copy of it to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "mine"))


@pytest.fixture
def recipe(model, tmp_path):
    return recipes.load(project.make(tmp_path / "project", model["folder"]))


def fit(folder, model, recipe):
    return model_fit.fit(model_source.find(str(folder), recipe), model)


def refusal(folder, model, recipe):
    """The line by which a model is refused, without the path of its folder."""
    with pytest.raises(ModelError) as error:
        fit(folder, model, recipe)
    assert error.value.remedy
    assert "\n" not in error.value.problem
    return error.value.problem.replace(str(folder), "mine")


def configure(folder, **keys):
    foreign.configure(folder / CONFIG, **keys)


def change_tensors(folder, change):
    foreign.change_tensors(folder / WEIGHTS, change)


def drop_config(folder):
    (folder / CONFIG).unlink()


def as_pickle(folder):
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def as_adapter(folder):
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}", "utf-8")


def cut(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])


def lose_a_piece(folder):
    names = {"model.norm.weight": "model-00001-of-00002.safetensors", "model.embed_tokens.weight": "model-00002-of-00002.safetensors"}
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}), "utf-8")


FILES = {
    "no config": (drop_config, "mine is not a model: it has no config.json"),
    "only a pickle": (as_pickle, "mine has no .safetensors weights but only pytorch_model.bin, a pickle"),
    "an adapter": (as_adapter, "mine holds an adapter, not a whole model"),
    "an adapter beside it": (
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        "mine holds an adapter (adapter_config.json), which would be loaded over the weights",
    ),
    "cut weights": (cut, "mine/model.safetensors cannot be read"),
    "a piece lost": (lose_a_piece, "mine would be half loaded: 1 of 2 files of model.safetensors.index.json are missing"),
    "an index that is none": (
        lambda folder: (
            (folder / WEIGHTS).rename(folder / "model-1.safetensors"),
            (folder / "model.safetensors.index.json").write_text("{}"),
        ),
        "mine/model.safetensors.index.json does not name the files of the tensors",
    ),
    "weights under another name": (
        lambda folder: (folder / WEIGHTS).rename(folder / "weights.safetensors"),
        "mine has neither model.safetensors nor model.safetensors.index.json",
    ),
    "code of its own": (lambda folder: configure(folder, auto_map={"AutoConfig": "x.py"}), "mine comes with Python code of its own"),
    "quantized": (lambda folder: configure(folder, quantization_config={"quant_method": "gptq"}), "mine is quantized already (gptq)"),
    "another architecture": (
        lambda folder: configure(folder, model_type="mistral"),
        "mine is a mistral model and no fine-tune of",
    ),
    "an architecture of the future": (
        lambda folder: configure(folder, model_type="future"),
        "mine does not load as a causal language model",
    ),
    "config that is no JSON": (lambda folder: (folder / CONFIG).write_text("{"), "mine/config.json cannot be read"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_those_of_a_fine_tune(name, mine, model, recipe):
    spoil, words = FILES[name]
    spoil(mine)
    assert words in refusal(mine, model, recipe)


def without(tensors, *names):
    return {name: value for name, value in tensors.items() if name not in names}


TENSORS = {
    "one missing": (
        lambda tensors: without(tensors, "model.norm.weight"),
        "mine would be half loaded: 1 of 20 tensors are missing, the first model.norm.weight",
    ),
    "saved before it was merged": (
        lambda tensors: {f"base_model.model.{name}": value for name, value in tensors.items()},
        "mine would be half loaded: 20 of 20 tensors are missing, the first model.embed_tokens.weight; it has base_model.model.model.embed",
    ),
    "one unknown": (
        lambda tensors: {**tensors, "model.layers.9.q": tensors["model.norm.weight"].clone()},
        "mine would be half loaded: 1 of 21 tensors have no place in it, the first model.layers.9.q",
    ),
    "of another shape": (
        lambda tensors: {**tensors, "model.norm.weight": tensors["model.norm.weight"][:32].clone()},
        "mine is no fine-tune of this base: 1 of 20 tensors differ in shape, the first model.norm.weight (32,), not (64,)",
    ),
    "not finite": (
        lambda tensors: {**tensors, "model.norm.weight": tensors["model.norm.weight"] / 0},
        "mine: 1 of 20 tensors are not finite, the first model.norm.weight",
    ),
    "too few embeddings": (
        lambda tensors: {**tensors, "model.embed_tokens.weight": tensors["model.embed_tokens.weight"][:200].clone()},
        "mine has embeddings of 200 tokens, and the base's tokenizer has ids up to 299",
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_make_a_fine_tune(name, mine, model, recipe):
    change, words = TENSORS[name]
    change_tensors(mine, change)
    assert words in refusal(mine, model, recipe)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_base_under_another_name_changes_nothing(dtype, mine, model, recipe):
    import torch
    from safetensors.torch import load_file, save_file

    configure(mine, note="so that not even its bytes are those of the base")
    base = load_file(Path(model["folder"]) / WEIGHTS)
    save_file({name: value.to(getattr(torch, dtype)) for name, value in base.items()}, mine / WEIGHTS, {"format": "pt"})
    assert "mine changes nothing: all of its 20 tensors have the values of the base" in refusal(mine, model, recipe)


def test_the_base_itself(model, recipe):
    assert "is the base itself" in refusal(Path(model["folder"]), model, recipe)


@pytest.mark.parametrize("place", ["./gone", "/gone", "gone", "a/b/c"])
def test_there_must_be_a_model(place, model, recipe):
    with pytest.raises(ModelError, match=f"variants: there is no model '{place}'"):
        fit(place, model, recipe)


def test_a_model_of_another_width(model, recipe, tmp_path):
    other = tiny.make_model(tmp_path / "other", hidden=128)
    assert "is no fine-tune of this base: 20 of 20 tensors differ in shape" in refusal(Path(other["folder"]), model, recipe)


def test_a_tokenizer_of_its_own(mine, model, recipe):
    path = mine / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    moved = {token: 299 - number for token, number in tokenizer["model"]["vocab"].items()}
    path.write_text(json.dumps(tokenizer | {"added_tokens": [], "model": {**tokenizer["model"], "vocab": moved}}), "utf-8")
    assert "mine was trained with another tokenizer" in refusal(mine, model, recipe)
    added = [*tokenizer["added_tokens"], {"id": 300, "content": "<|im_start|>"}]
    path.write_text(json.dumps({**tokenizer, "added_tokens": added}), "utf-8")
    assert "mine was trained with 1 tokens that the base's tokenizer lacks, the first '<|im_start|>'" in refusal(mine, model, recipe)


def test_a_tokenizer_of_equal_tokens_that_splits_prompts_otherwise(mine, model, tmp_path):
    path = mine / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**tokenizer, "model": {**tokenizer["model"], "merges": []}}), "utf-8")
    folder = imported(mine, model, tmp_path)
    render = renderer(model)
    prompts = [render.prompt_ids(text) for text in ("x y", "the cat sees the dog")]
    with pytest.raises(ModelError, match=r"has another tokenizer than the base: 1 of 2 test prompts get other token ids, the first"):
        whole_model.check_ids(folder, render, prompts)
    path.unlink()
    (mine / "tokenizer_config.json").unlink()
    whole_model.check_ids(folder, render, prompts)


def imported(folder, model, root):
    """The folder that import_model makes of a model."""
    spec = model_source.find(str(folder), recipes.load(project.make(root / "project", model["folder"])))
    work = tiny.work(root / "imported", {"model": model, "tuned": spec})
    tiny.seal(work.out, import_model.run(work), "import_model")
    return work.out


def test_what_a_fine_tune_changed_is_counted(whole, mine, model, recipe):
    from safetensors.torch import load_file

    counted = fit(whole, model, recipe)
    assert (len(counted.changed), counted.tensors, counted.warnings) == (20, 20, [])
    assert counted.bytes == (whole / WEIGHTS).stat().st_size
    base = load_file(Path(model["folder"]) / WEIGHTS)
    name = "model.layers.0.mlp.up_proj.weight"
    change_tensors(mine, lambda tensors: {**base, name: tensors[name]})
    one = fit(mine, model, recipe)
    assert (one.changed, one.parameters) == ([name], base[name].numel())


def test_names_as_older_files_have_them(mine, model, recipe):
    change_tensors(mine, lambda tensors: {name.removeprefix("model."): value for name, value in tensors.items()})
    assert len(fit(mine, model, recipe).changed) == 20


def test_an_output_layer_of_its_own(model, recipe, tmp_path):
    import torch

    def untie(tuned):
        tuned.lm_head.weight = torch.nn.Parameter(tuned.lm_head.weight.detach().clone() * 2)

    folder = foreign.model(tmp_path / "untied", Path(model["folder"]), change=untie, tie_word_embeddings=False)
    assert fit(folder, model, recipe).tensors == 20
    change_tensors(folder, lambda tensors: without(tensors, "lm_head.weight"))
    assert "would be half loaded: 1 of 21 tensors are missing, the first lm_head.weight" in refusal(folder, model, recipe)


def test_more_embeddings_than_tokens(model, recipe, tmp_path):
    folder = foreign.model(tmp_path / "padded", Path(model["folder"]), change=lambda tuned: tuned.resize_token_embeddings(320))
    assert "model.embed_tokens.weight" in fit(folder, model, recipe).changed


def test_settings_and_prompts_that_differ_are_said(mine, model, recipe):
    configure(mine, rms_norm_eps=0.5)
    (mine / "chat_template.jinja").write_text("{{ messages }}", "utf-8")
    template, settings = fit(mine, model, recipe).warnings
    assert "The tokenizer beside the fine-tuned model has a chat template, and the base has none" in template
    assert settings == "The fine-tuned model computes by other settings than the base: rms_norm_eps 0.5, not 1e-06 (config.json)."
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (mine / name).unlink()
    assert "comes without a tokenizer" in fit(mine, model, recipe).warnings[0]


def test_the_context_window_is_that_of_the_base(mine, model, tmp_path):
    """Prompts that are cut to the window would else differ between base and model."""
    configure(mine, max_position_embeddings=32)
    work = tiny.work(tmp_path / "work", {**tiny.GENERATE, "model": model}, model=imported(mine, model, tmp_path))
    with transformers_backend.open_model(work) as backend:
        assert (backend.context_window, backend.model.config.max_position_embeddings) == (256, 32)


def test_a_change_that_quantization_swallows_is_no_fine_tune(mine, model, tmp_path):
    """The weights differ, so they pass the check of files; in 4 bit they are those of the base, and so are the logits."""
    from safetensors.torch import load_file

    base = load_file(Path(model["folder"]) / WEIGHTS)
    name = "model.layers.0.mlp.up_proj.weight"
    change_tensors(mine, lambda tensors: {**base, name: base[name] * (1 + 1e-6 * (base[name].abs() < base[name].abs().median()))})
    folder = imported(mine, model, tmp_path)
    device = tiny.work(tmp_path / "work", {}).machine.torch_device()
    measured = whole_model.examine({**tiny.GENERATE, "model": model}, folder, [[1, 5, 9]], device)
    assert measured["largest_logit_difference"] == 0.0
    with pytest.raises(ComparisonError, match=r"mine: the fine-tuning has no effect: the logits of 1 probes are those of the base"):
        liveness.require_alive(measured, "mine")
