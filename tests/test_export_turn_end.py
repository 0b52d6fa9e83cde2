"""A base whose turns end in another token than its texts: every form of export carries its chat template and both ends of an answer."""

import importlib.util

import pytest

from pipeline.export import gguf_back, llama_converter, llama_cpp
from pipeline.export.request import FORMS
from pipeline.models.renderer import renderer
from pipeline.store.artifact import Store
from tests import project, tiny
from tests.test_export import exporter, finish, record_of, sealed_answers
from tests.test_export_gguf import CHATML

pytest.importorskip("gguf", reason="needs the package gguf")
TURN_END = "<|im_end|>"
HAS_LLAMA_CPP = importlib.util.find_spec("llama_cpp") is not None


@pytest.fixture(scope="module")
def chat_base(tmp_path_factory):
    """The spec of a tiny base with ChatML turns, whose end of text is another token than the end of its turns."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("chat") / "base"
    tiny.make_model(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", TURN_END]})
    tokenizer.chat_template = CHATML
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tiny.spec(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, chat_base):
    return finish(tmp_path_factory.mktemp("turns"), chat_base, ["base", "tuned"])


@pytest.fixture
def exported(finished, tmp_path, monkeypatch, capsys):
    """Export a form; returns its folder."""
    monkeypatch.delenv(llama_converter.FOLDER, raising=False)

    def export(form):
        exporter(monkeypatch, capsys)(*finished, "--form", form, "--out", tmp_path / form, "--accept-loss")
        return tmp_path / form

    return export


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if not form.gguf])
def test_safetensors(form, exported):
    """By plain peft or transformers, with the generation_config.json of the folder."""
    from transformers import AutoTokenizer, GenerationConfig

    folder = exported(form)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.chat_template, tokenizer.eos_token) == (CHATML, "<eos>")
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [2, tokenizer.convert_tokens_to_ids(TURN_END)]
    measured = record_of(folder)["measured"]
    assert measured["equal_answers"] >= (18 if form != "merged-original" else 0)
    assert measured["equal_prompts"] == 20


def test_plain_transformers_ends_turns(exported, finished, chat_base):
    """With the generation_config.json of the folder alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, render = exported("merged"), renderer(chat_base)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    expected, ends = sealed_answers(finished[1], "r4-s0"), set()
    for example in project.heldout(Store(finished[1] / "data", finished[1] / "checkpoints")):
        ids = render.prompt_ids(example.prompt)
        with torch.inference_mode():
            answer = model.generate(input_ids=torch.tensor([ids]), max_new_tokens=6)[0, len(ids) :].tolist()
        assert tokenizer.decode(answer, skip_special_tokens=True) == expected[example.id]
        ends.add(answer[-1])
    assert render.end_id in ends


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.gguf])
def test_gguf(form, exported, chat_base):
    folder, turn_end = exported(form), renderer(chat_base).end_id
    model = gguf_back.model_file(FORMS[form])
    metadata = {name.removeprefix("tokenizer.ggml."): value for name, value in gguf_back.fields(folder / model).items()}
    assert (metadata["eos_token_id"], metadata["eot_token_id"]) == (2, turn_end)
    assert gguf_back.end_ids(folder / model) == (2, turn_end)
    assert metadata["tokenizer.chat_template"] == CHATML
    assert metadata["add_bos_token"] is False  # the template writes none
    lines = (folder / "Modelfile").read_text("utf-8")
    assert "# TEMPLATE renders 20 of 20 test prompts as they were measured.\n" in lines
    assert f"{{{{ .Content }}}}{TURN_END}\n<|im_start|>assistant\n" in lines
    assert f'PARAMETER stop "<eos>"\nPARAMETER stop "{TURN_END}"\n' in lines
    measured = record_of(folder)["measured"]
    assert measured["equal_answers"] >= 18
    assert measured["equal_prompts"] == (20 if HAS_LLAMA_CPP else None)


@pytest.mark.skipif(not HAS_LLAMA_CPP, reason="needs llama-cpp-python")
def test_llama_cpp_ends_an_answer_at_both(exported, chat_base):
    folder, render = exported("gguf"), renderer(chat_base)
    with llama_cpp.opened(folder / "model-F16.gguf", None, 256, render, False) as backend:
        assert {2, render.end_id} <= set(backend.eos_ids)
