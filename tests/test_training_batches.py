"""Rows of a training pass: bounded by tokens, and on a CPU by the logits and attention scores that they keep."""

from types import SimpleNamespace

import pytest
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from pipeline.engine import batching


def a_model(vocabulary=100, attention="sdpa", device="cpu"):
    config = SimpleNamespace(num_attention_heads=16, num_hidden_layers=8, _attn_implementation=attention)
    config.get_text_config = lambda: config
    head = SimpleNamespace(weight=torch.empty(vocabulary, 1, device="meta"))
    return SimpleNamespace(config=config, device=torch.device(device), get_output_embeddings=lambda: head)


def rows(*sizes):
    return [batching.TokenRow.from_prompt([5] * prompt, [6] * target) for prompt, target in sizes]


@pytest.mark.parametrize("packing", [False, True])
def test_small_vocabularies_and_fused_attention_are_bounded_by_tokens_alone(packing):
    several = rows(*[(10 * n, n) for n in range(1, 40)])
    lengths = [len(row) for row in several]
    group = batching.packed_batches if packing else batching.padded_batches
    assert batching.training_batches(several, 1000, a_model(8_000), packing) == group(lengths, 1000)


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("budget", [4096, 100_000])
def test_logits_of_a_pass_are_bounded(packing, budget):
    several = rows(*[(5, 200)] * 16)
    batches = batching.training_batches(several, budget, a_model(70_000), packing)
    assert [len(batch) for batch in batches] == [2] * 8  # 2 x 200 x 70,000 are 28 M, and 3 would be 42 M
    assert sorted(index for batch in batches for index in batch) == list(range(16))
    assert len(batching.training_batches(several, 4096, a_model(70_000, device="cuda"), packing)) == 1
    assert len(batching.training_batches(rows((5, 5000), (5, 5000)), budget, a_model(70_000), packing)) == 2


@pytest.mark.parametrize("budget", [4096, 100_000])
def test_scores_of_eager_attention_are_bounded(budget):
    several = rows(*[(250, 6)] * 16)
    batches = batching.training_batches(several, budget, a_model(attention="eager"), packing=False)
    assert [len(batch) for batch in batches] == [4] * 4  # 4 x 256 x 256 x 16 heads x 8 layers = 2 ** 25
    packs = batching.training_batches(several, budget, a_model(attention="eager"), packing=True)
    assert [len(batch) for batch in packs] == [2] * 8  # a pack of 512 tokens, since it is one row


def test_models_of_transformers_say_what_their_attention_keeps():
    config = GPTNeoConfig(vocab_size=50, hidden_size=8, num_layers=2, attention_types=[[["global", "local"], 1]], num_heads=4)
    assert batching.scores_per_pair(GPTNeoForCausalLM(config)) == 8
