"""Greedy decoding in batches that rows leave, against `generate` of transformers; attention of few queries against torch's."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from pipeline.engine import batching, choices, generation, greedy, kv_cache, likelihood, prompts, short_queries
from pipeline.engine.batching import TokenRow
from pipeline.engine.generation import SamplingParams, StopConditions
from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.models import loading, renderer
from tests import tiny
from tests.interruption import calls_of

CPU = torch.device("cpu")
WIDTHS = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
COMMON = {
    "vocab_size": 300,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
KINDS = {
    "llama": WIDTHS,
    "mistral": WIDTHS | {"sliding_window": 8, "head_dim": 16},
    "gemma2": WIDTHS | {"head_dim": 16, "sliding_window": 8, "tie_word_embeddings": False},
    "qwen3_moe": WIDTHS | {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "gpt_neo": {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
}
HYBRID = ["linear_attention", "full_attention"]
ENDS = tuple(range(2, 300, 12))
"""So many ids end an answer that random models end theirs after different numbers of tokens."""


def random_model(kind, dtype=torch.float32):
    from transformers import AutoConfig

    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, **COMMON, **KINDS[kind])
    return AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)


def random_prompts(count, prefix=0, seed=0):
    """Prompts of 2 to 24 tokens behind `prefix` tokens that all of them have."""
    rng = torch.Generator().manual_seed(seed)

    def ids(length):
        return torch.randint(3, 300, (length,), generator=rng).tolist()

    shared = ids(prefix)
    return [shared + ids(2 + (index * 7) % 23) for index in range(count)]


@pytest.mark.parametrize("prefix", [0, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_generate_token_for_token(kind, prefix, monkeypatch):
    model, rows, stop = random_model(kind), random_prompts(14, prefix), StopConditions(24, ENDS)
    monkeypatch.setattr(kv_cache, "SPARE_COLUMNS", 3)  # so that buffers are outgrown
    expected = generation.generate(model, rows, stop, 0)
    assert len({len(answer) for answer in expected}) > 4
    with calls_of(greedy.GreedyBatch, "keep") as dropping, calls_of(prompts, "read") as passes:
        assert greedy.is_supported(model)
        assert greedy.decode(model, rows, stop, 0, None, 60) == expected
    assert len(dropping) > 2
    assert len(passes) > 3
    assert {len(row.ids) for _, _, row, _ in passes} == {0 if kv_cache.window(model) else prefix}


def test_rows_that_ended_are_not_computed(monkeypatch):
    model, rows, stop = random_model("llama"), random_prompts(16), StopConditions(24, ENDS)
    answers = generation.generate(model, rows, stop, 0)
    with calls_of(greedy.GreedyBatch, "step") as steps:
        greedy.decode(model, rows, stop, 0, None, 4096)
    computed = sum(len(tokens) for _, tokens in steps)
    needed = sum(len(answer) - 1 for answer in answers)
    assert needed <= computed < needed / greedy.MAX_OPEN + len(steps)
    assert computed < 0.8 * len(rows) * len(steps)


@pytest.mark.parametrize("compute", ["fp32", "bf16"])
def test_the_backend_decodes_greedily_and_leaves_samples_and_other_models_to_generate(model, adapter, compute, monkeypatch):
    render, base = renderer.renderer(model), loading.load(model, "nf4", compute, CPU)
    rows, stop = [render.prompt_ids(example.prompt) for example in tiny.examples(12)], StopConditions(12, (2,), ("a", "q"))
    with loading.adapted(base, adapter) as tuned:
        for arm in (base, tuned):
            backend = TransformersBackend(arm, render)
            with calls_of(generation, "generate") as calls:
                answers = backend.generate(rows, stop)
            assert calls == []
            if compute == "fp32":
                assert answers == generation.generate(arm, rows, stop, render.pad_id, render.tokenizer)
                assert min(map(len, answers)) < 12
            with calls_of(generation, "generate") as calls:
                backend.generate(rows, stop, SamplingParams(1.0, 1.0, 0))
                with monkeypatch.context() as patch:
                    patch.setattr(kv_cache, "is_plain", lambda model: False)
                    backend.generate(rows, stop)
            assert len(calls) == 2


def test_a_stop_string_of_several_tokens_ends_a_row_with_its_last_token(model):
    render, base = renderer.renderer(model), loading.load(model, "nf4", "fp32", CPU)
    rows = [render.prompt_ids(example.prompt) for example in tiny.examples(12)]
    free = generation.generate(base, rows, StopConditions(16, (2,)), 0)
    text = render.decode(free[0])
    stop = StopConditions(16, (2,), (text[2:6],), separator="\n\n")
    answers = greedy.decode(base, rows, stop, 0, render.tokenizer, 4096)
    assert answers == generation.generate(base, rows, stop, 0, render.tokenizer)
    assert render.decode(answers[0]).rstrip().startswith(text[:6])
    assert len(answers[0]) < len(free[0])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mamba", {"hidden_size": 32, "num_hidden_layers": 1, "state_size": 4, "vocab_size": 300}),
        ("llama4_text", WIDTHS | {"vocab_size": 300, "attention_chunk_size": 8, "num_local_experts": 1, "intermediate_size_mlp": 32}),
        (
            "qwen3_next",
            WIDTHS | {"vocab_size": 300, "num_experts": 2, "num_experts_per_tok": 1, "layer_types": HYBRID},
        ),
    ],
)
def test_models_with_other_states_are_left_to_generate(kind, options):
    from transformers import AutoConfig

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **options))
    assert not greedy.is_supported(model)
    assert greedy.batch_budget(model, 100) == 100


def test_code_of_a_models_own_is_left_to_generate():
    model = random_model("llama")
    assert greedy.is_supported(model)
    model.__class__ = type("Remote", (type(model),), {"__module__": "transformers_modules.remote"})
    assert not greedy.is_supported(model)


def test_batches_are_larger_while_a_cpu_decodes_and_their_cache_is_bounded(model, monkeypatch):
    render, base = renderer.renderer(model), loading.load(model, "nf4", "fp32", CPU)
    rows = [[1] * 20] * 50
    backend = TransformersBackend(base, render)
    backend.token_budget = 100

    def sizes(**options):
        return [len(batch) for batch in backend.generate_batches(rows, 5, **options)]

    assert sizes() == [16, 16, 16, 2]
    assert sizes(sampled=True) == [4] * 12 + [2]  # which samples are drawn depends on the batch
    cache = base(input_ids=torch.tensor([[1]]), use_cache=True).past_key_values
    bytes_per_token = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    monkeypatch.setattr(greedy, "MAX_CACHE_BYTES", 250 * bytes_per_token + 1)
    assert sizes() == [10] * 5
    monkeypatch.setattr(greedy, "MAX_CACHE_BYTES", 1)
    assert sizes() == [4] * 12 + [2]
    monkeypatch.undo()
    monkeypatch.setattr(batching, "MAX_LOGITS_PER_PASS", 13 * backend.vocabulary())
    assert sizes() == [13, 13, 13, 11]
    backend = TransformersBackend(base, render, max_batch_tokens=100)
    assert sizes() == [4] * 12 + [2]  # --tokens bounds what a batch holds


def test_common_prefix():
    long = list(range(20))
    assert prompts.prefix_length([[*long, 1, 2], [*long, 1, 3], [*long, 1]]) == 20
    assert prompts.prefix_length([long, long]) == 19  # what follows the last token of a prompt is computed with it
    assert prompts.prefix_length([long]) == 0
    assert prompts.prefix_length([[*long[:15], 1], [*long[:15], 2]]) == 0
    assert prompts.prefix_length([[*long[:16], 1], [*long[:16], 2]]) == 16
    assert prompts.prefix_length([[5, *long], [6, *long]]) == 0


def test_a_prefix_is_read_once_where_all_columns_are_in_the_window():
    model, rows = random_model("mistral"), random_prompts(6, 30)
    model.config.sliding_window = max(map(len, rows)) + 5
    assert len(prompts.read_prefix(model, rows, 5).ids) == 30
    assert prompts.read_prefix(model, rows, 6).ids == ()


@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma2"])
def test_choices_behind_a_common_prefix_score_as_one_by_one(kind):
    model, rows = random_model(kind), random_prompts(6, 30)
    answers = [[[5, 6, 7], [8], [9, 10]], [[4]], [[11, 12]], [[13, 14, 15, 16]] * 2, [[5]], [[6, 7]]]
    with calls_of(prompts, "read") as passes:
        sums = choices.logprobs(model, rows, answers, 0)
    assert [len(prefix.ids) for _, _, prefix, _ in passes] == [0 if kv_cache.window(model) else 30]
    for row, options, values in zip(rows, answers, sums, strict=True):
        for answer, value in zip(options, values, strict=True):
            assert value == pytest.approx(likelihood.row_logprobs(model, [TokenRow.from_prompt(row, answer)], 0)[0], abs=1e-4)


def mask_of(kind, rows, queries, keys):
    seen = torch.rand((rows, 1, queries, keys), generator=torch.Generator().manual_seed(1)) > 0.4
    seen[..., -1] = True
    return {"none": None, "bool": seen, "float": torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)}[kind]


@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize(("queries", "mask"), [(1, "none"), (1, "bool"), (1, "float"), (3, "bool"), (3, "float")])
def test_attention_of_few_queries_equals_that_of_torch(heads, queries, mask):
    rng = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, count, length, 8, generator=rng) for count, length in ((4, queries), (heads, 9), (heads, 9)))
    bias = mask_of(mask, 3, queries, 9)
    assert short_queries.is_short(query, key, bias)
    output = short_queries.attend_to_all(query, key, value, bias, None)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, bias, enable_gqa=True)
    assert torch.allclose(output, expected.transpose(1, 2), atol=1e-6)
    half = short_queries.attend_to_all(query.bfloat16(), key.bfloat16(), value.bfloat16(), bias, 0.5)
    halves = [part.bfloat16().double() for part in (query, key, value)]
    seen = bias if bias is None else mask_of("bool", 3, queries, 9)
    exact = torch.nn.functional.scaled_dot_product_attention(*halves, seen, scale=0.5, enable_gqa=True)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.double(), exact.transpose(1, 2), atol=1e-2)


def test_only_few_plain_queries_over_earlier_keys_take_the_short_way():
    query, key = torch.zeros(2, 4, 3, 8), torch.zeros(2, 4, 9, 8)
    mask = torch.ones(2, 1, 3, 9, dtype=torch.bool)
    assert short_queries.is_short(query, key, mask)
    assert not short_queries.is_short(query, key, None)  # torch's causal mask is elsewhere
    assert not short_queries.is_short(query, query, torch.ones(2, 1, 3, 3, dtype=torch.bool))  # a prompt
    assert not short_queries.is_short(query, key, mask.expand(2, 4, 3, 9))
    assert not short_queries.is_short(torch.zeros(2, 4, short_queries.MAX_QUERIES + 1, 8), torch.zeros(2, 4, 30, 8), mask)
    assert short_queries.unusual({"scaling": 1.0, "sliding_window": 4, "softcap": None, "use_cache": True}) == []
    assert short_queries.unusual({"softcap": 30.0, "s_aux": query}) == ["softcap", "s_aux"]


def test_decoding_takes_the_short_way_and_puts_the_interface_back():
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before, model = ALL_ATTENTION_FUNCTIONS["sdpa"], random_model("llama", torch.bfloat16)
    with calls_of(short_queries, "attend_to_all") as calls:
        greedy.decode(model, random_prompts(4), StopConditions(6, (2,)), 0, None, 4096)
    assert len(calls) == 2 * 5
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before
    with calls_of(short_queries, "attend_to_all") as calls:
        greedy.decode(random_model("gemma2"), random_prompts(4), StopConditions(6, (2,)), 0, None, 4096)
    assert calls == []  # soft caps need eager attention


def test_a_cache_grows_in_place_and_copes_with_rows_that_were_selected(monkeypatch):
    monkeypatch.setattr(kv_cache, "SPARE_COLUMNS", 4)
    rng, cache, plain = torch.Generator().manual_seed(0), kv_cache.spacious_cache(), kv_cache.new_cache()
    places, rows = set(), 3
    for step in range(12):
        new = torch.randn(rows, 2, 1, 8, generator=rng)
        for whole in (cache, plain):
            keys, _ = whole.update(new, -new, 0)
        assert torch.equal(cache.layers[0].keys, plain.layers[0].keys)
        assert torch.equal(cache.layers[0].values, plain.layers[0].values)
        places.add(cache.layers[0].keys.data_ptr())
        if step == 5:
            for whole in (cache, plain):
                whole.batch_select_indices(torch.tensor([2, 0]))
            rows = 2
    assert keys.shape == (2, 2, 12, 8)
    assert len(places) < 7
