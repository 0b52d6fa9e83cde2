"""Rows of a base with experts: adapters on its attention share batches, and answers are those of `generate`, token for token."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.models.renderer import renderer
from pipeline.stages import generate, import_adapter
from pipeline.store.folders import PredictionsFolder
from pipeline.store.records import Example
from tests import foreign, tiny
from tests.server import Server

openai = pytest.importorskip("openai")

ADAPTERS = {
    "red": {"r": 4, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "green": {"r": 8, "target_modules": ["q_proj", "o_proj"]},
    "white": {"target_modules": ["v_proj"], "modules_to_save": ["lm_head"]},
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A random Mixtral of four experts, of which two answer every token."""
    import torch
    from transformers import AutoTokenizer, MixtralConfig, MixtralForCausalLM

    folder = tmp_path_factory.mktemp("models") / "experts"
    tiny.make_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, num_local_experts=4, num_experts_per_tok=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.2, sliding_window=None,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(folder)
    return tiny.spec(folder)


@pytest.fixture(scope="module")
def adapters(spec, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
        return {
            name: foreign.adapter(root / name, spec["folder"], seed, **options) for seed, (name, options) in enumerate(ADAPTERS.items())
        }


def predictions(spec, root, heldout, adapter):
    """What the stage `generate` answers with an adapter, or the base alone."""
    inputs = {"heldout": heldout}
    if adapter:
        work = tiny.work(root / "adapter", {"model": spec, "adapter": {"repo": None, "revision": None, "folder": str(adapter)}})
        tiny.seal(work.out, import_adapter.run(work), "import_adapter")
        inputs["adapter"] = work.out
    work = tiny.work(root / "answers", {"model": spec, **tiny.GENERATE, "max_new_tokens": 24}, **inputs)
    generate.run(work)
    return PredictionsFolder(work.out).predictions()


def test_answers_are_those_of_generate_whatever_shares_the_batch(spec, adapters, tmp_path):
    rows = [Example(f"e{n}", "the cat sees a bird and likes red".rsplit(" ", n)[0] + " ?", "") for n in range(6)]
    heldout = tiny.write_part(tmp_path / "heldout", rows)
    models = ("experts", *adapters)
    expected = {model: predictions(spec, tmp_path / model, heldout, adapters.get(model)) for model in models}
    assert len({prediction.text for model in models for prediction in expected[model]}) > 12  # the adapters differ
    render = renderer(spec)
    server = Server(tmp_path / "log", *adapters.values(), f"--base={spec['folder']}", "generate.compute=fp32", "--max-adapters=2")
    try:
        client = server.client()

        def ask(pair):
            model, row = pair
            return client.chat.completions.create(model=model, messages=[{"role": "user", "content": row.prompt}], max_tokens=24)

        pairs = [(model, row) for row in rows for model in models]
        with ThreadPoolExecutor(len(pairs)) as threads:
            responses = list(threads.map(ask, pairs))
        for (model, row), response in zip(pairs, responses, strict=True):
            assert response.choices[0].message.content == expected[model][rows.index(row)].text, model
            assert response.usage.prompt_tokens == len(render.prompt_ids(row.prompt))
        above = server.metric("loralift_batch_rows_count") - server.metric("loralift_batch_rows_bucket", le="2.0")
        assert above > 0
    finally:
        assert server.stop() == 0
