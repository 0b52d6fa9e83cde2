"""Packed documents have the outputs and gradients that they have alone."""

import inspect
import itertools

import pytest
import torch
from torch.nn.attention.varlen import varlen_attn
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.acceptance.training import checkpoint_activations
from pipeline.engine import batching, document_attention
from pipeline.engine.batching import TokenRow
from pipeline.engine.document_attention import DocumentAttention, by_document, is_supported
from pipeline.stages.finetune import Passes
from tests import tiny

WIDTHS = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0, "initializer_range": 0.2,
}  # fmt: skip
LENGTHS = [17, 3, 30, 1, 9]


def make(kind, **more):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **WIDTHS, **more)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32).eval()


def documents():
    draw = torch.Generator().manual_seed(1)
    ids = [torch.randint(1, 100, (length,), generator=draw).tolist() for length in LENGTHS]
    return [TokenRow.from_prompt(row[:1], row[1:]) for row in ids]


MODELS = {
    "llama": ("llama", {}),
    "sliding window": ("mistral", {"sliding_window": 8}),
    "some layers sliding": ("gemma3_text", {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}),
    "qwen3": ("qwen3", {"head_dim": 8}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_packed_document_has_the_logits_that_it_has_alone(name):
    kind, more = MODELS[name]
    model, rows = make(kind, **more), documents()
    assert is_supported(model)
    batch = batching.packed(rows, model.device)
    with torch.inference_mode():
        with by_document(model, [len(row) for row in rows]):
            packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
        alone = torch.cat([model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0] for row in rows])
    assert torch.allclose(packed, alone, atol=1e-4)
    assert model.config._attn_implementation == "sdpa"


def test_no_dense_mask_is_built(monkeypatch):
    """It would be of all tokens by all tokens, and its kernel would compute as many scores."""
    masks = []

    def one_by_one(self, query, key, value, scaling, window):
        masks.append(window)
        return original(self, query, key, value, scaling, window)

    original = DocumentAttention.one_by_one
    monkeypatch.setattr(DocumentAttention, "one_by_one", one_by_one)
    monkeypatch.setattr("transformers.masking_utils.sdpa_mask", lambda *args, **more: pytest.fail("a mask is built"))
    model, rows = make("llama"), documents()
    batch = batching.packed(rows, model.device)
    with by_document(model, [len(row) for row in rows]):
        model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False)
    assert masks == [None, None]


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
def test_gradients_are_those_of_padded_rows(model, checkpointing):
    from pipeline.engine.seeding import seed_everything
    from pipeline.models import adapters, loading, renderer

    render = renderer.renderer(model)
    rows = [TokenRow.from_prompt(render.prompt_ids(e.prompt), render.target_ids(e.prompt, e.target)) for e in tiny.examples(12)]
    base = loading.load(model, "nf4", "fp32", torch.device("cpu"))
    seed_everything(0)
    tuned = adapters.attach(base, tiny.FINETUNE)
    gradients = []
    try:
        for value in (value for name, value in adapters.trainable_parameters(tuned).items() if "lora_B" in name):
            torch.nn.init.normal_(value, 0, 0.05)
        if checkpointing:
            checkpoint_activations(base)
            tuned.enable_input_require_grads()
        for packing in (False, True):
            tuned.zero_grad()
            passes = Passes(tuned, "fp32", 0, packing)
            assert passes.by_document == packing
            loss = passes.gradients(rows, 200)
            gradients.append((loss, torch.cat([value.grad.flatten() for value in adapters.trainable_parameters(tuned).values()])))
    finally:
        tuned.unload()
        checkpoint_activations(base, False)
    (padded_loss, padded), (packed_loss, packed) = gradients
    assert packed_loss == pytest.approx(padded_loss, rel=1e-5)
    assert float((packed - padded).norm() / padded.norm()) < 1e-4


@pytest.mark.parametrize(
    ("kind", "more"),
    [("gemma2", {"head_dim": 8}), ("gpt_neo", {}), ("llama", {"attention_dropout": 0.1}), ("gpt_oss", {"num_local_experts": 2})],
    ids=["softcap", "attention of its own", "dropout", "sinks"],
)
def test_what_documents_cannot_have_keeps_the_dense_mask(kind, more):
    widths = {"max_position_embeddings": 128, "attention_types": [[["global"], 2]], "hidden_size": 32, "num_heads": 4, "num_layers": 2}
    config = AutoConfig.for_model(kind, **(widths if kind == "gpt_neo" else {**WIDTHS, **more}))
    with torch.device("meta"):
        assert not is_supported(AutoModelForCausalLM.from_config(config))


def test_what_a_model_asks_for_and_documents_lack_is_an_error():
    attention = DocumentAttention([2], torch.device("cpu"))
    part = torch.zeros(1, 1, 2, 4)
    with pytest.raises(ValueError, match="has no s_aux"):
        attention(None, part, part, part, None, s_aux=part)


def test_the_kernel_gets_the_arguments_of_this_version_of_torch():
    """torch 2.10 takes is_causal, later ones window_size; the window holds the token itself."""
    ours = document_attention.causal_options(inspect.signature(varlen_attn).parameters, None)
    assert ours in ({"window_size": (-1, 0)}, {"is_causal": True})
    assert document_attention.causal_options({"window_size": 0}, 8) == {"window_size": (7, 0)}
    assert document_attention.causal_options({"is_causal": 0}, None) == {"is_causal": True}
    with pytest.raises(ValueError, match="no sliding window"):
        document_attention.causal_options({"is_causal": 0}, 8)


@pytest.mark.parametrize("window", [None, 4])
def test_the_call_of_the_kernel_is_causal_attention_by_document(monkeypatch, window):
    """The kernel runs on CUDA alone (tests/test_gpu.py); here its arguments are computed with, as its documentation words them."""

    def reference(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1)):
        assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
        assert max_q == max_k == max(LENGTHS)
        left, right = window_size
        assert right == 0
        outputs = []
        for start, end in itertools.pairwise(cu_seq_q.tolist()):
            distance = torch.arange(end - start)[:, None] - torch.arange(end - start)
            seen = (distance >= 0) & ((distance <= left) if left >= 0 else True)
            parts = (part[start:end].transpose(0, 1) for part in (query, key, value))
            outputs.append(torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=seen, scale=scale).transpose(0, 1))
        return torch.cat(outputs)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", reference)
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, sum(LENGTHS), 8, generator=draw) for heads in (4, 2, 2))
    attention = DocumentAttention(LENGTHS, torch.device("cpu"))
    in_one_kernel = attention.in_one_kernel(query, key, value, 0.3, window)
    assert torch.allclose(in_one_kernel, attention.one_by_one(query, key, value, 0.3, window), atol=1e-5)
