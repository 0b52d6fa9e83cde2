"""Attention of a training in bf16 on a CPU: float32 for short rows, and no mask for rows padded on the right."""

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from pipeline.engine import batching, cpu_attention
from pipeline.models import adapters, loading
from pipeline.stages import finetune
from tests import tiny

CPU = torch.device("cpu")
SDPA = torch.nn.functional.scaled_dot_product_attention


@pytest.fixture
def calls(monkeypatch):
    """The (dtype, mask) of every call of torch's attention."""
    seen = []

    def spy(query, key, value, attn_mask=None, **options):
        seen.append((query.dtype, attn_mask))
        return SDPA(query, key, value, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    return seen


def heads(tokens, dtype):
    torch.manual_seed(0)
    return [torch.randn(2, 4, tokens, 8).to(dtype).requires_grad_() for _ in range(3)]


def attend(inputs, mask=None):
    return ALL_ATTENTION_FUNCTIONS["sdpa"](torch.nn.Module(), *inputs, mask)[0]


@pytest.mark.parametrize(
    ("mask", "causal"),
    [("none", True), ("bool", False), ("additive", False)],
    ids=["no mask", "a mask of truth values", "an additive mask"],
)
def test_outputs_and_gradients_are_those_of_float32(mask, causal):
    allowed = torch.ones(20, 20, dtype=torch.bool).tril()
    masks = {"none": None, "bool": allowed, "additive": torch.zeros(20, 20, dtype=torch.bfloat16).masked_fill(~allowed, -1e9)}
    inputs, exact = heads(20, torch.bfloat16), heads(20, torch.bfloat16)
    with cpu_attention.float32_attention("sdpa"), torch.autocast("cpu", torch.bfloat16):
        output = attend(inputs, masks[mask])
    expected = SDPA(*(value.float() for value in exact), attn_mask=None if causal else allowed, is_causal=causal).transpose(1, 2)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, expected.to(torch.bfloat16))
    output.sum().backward()
    expected.sum().backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(inputs, exact, strict=True))


def test_attention_is_as_before_once_a_pass_is_over_or_has_failed():
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    with pytest.raises(RuntimeError), cpu_attention.float32_attention("sdpa"):
        attend([torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 4)])
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before


LONG = cpu_attention.MAX_KEYS + 1


@pytest.mark.parametrize(
    ("compute", "packing", "lengths", "runs_in"),
    [
        ("bf16", False, (4, 9, 30), torch.float32),
        ("bf16", False, (4, LONG), torch.bfloat16),
        ("bf16", True, (4, 9, LONG - 10), torch.float32),  # the keys of a document, not those of the pack
        ("fp32", False, (4, LONG), torch.float32),
    ],
)
def test_passes_of_a_training_run_in_what_is_faster_and_without_a_mask(model, calls, compute, packing, lengths, runs_in):
    rows = [batching.TokenRow.from_prompt([5] * (length - 2), (6, 7)) for length in lengths]
    tuned = adapters.attach(loading.load(model, "nf4", compute, CPU), tiny.FINETUNE)
    try:
        passes = finetune.Passes(tuned, compute, 0, packing)
        passes.gradients(rows, 4096)
        passes.mean_loss(rows, 4096)
    finally:
        tuned.unload()
    per_layer = len(rows) if packing else 1
    assert calls == [(runs_in, None)] * 2 * 2 * per_layer  # two layers, two passes


def test_a_dense_pack_counts_as_long_as_it_is(model, calls, monkeypatch):
    monkeypatch.setattr(finetune.document_attention, "is_supported", lambda model: False)
    rows = [batching.TokenRow.from_prompt([5] * 300, (6, 7)) for _ in range(2)]
    tuned = adapters.attach(loading.load(model, "nf4", "bf16", CPU), tiny.FINETUNE)
    try:
        finetune.Passes(tuned, "bf16", 0, packing=True).gradients(rows, 4096)
    finally:
        tuned.unload()
    assert [dtype for dtype, _ in calls] == [torch.bfloat16] * 2
