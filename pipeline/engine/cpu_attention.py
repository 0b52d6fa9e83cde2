"""Runs attention in float32 while a model trains in bf16 on a CPU: torch's kernel for bf16 spends most of a step in its backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAX_KEYS = 512
"""Keys up to which float32 is faster: forward and backward on one core with AVX512-BF16 take 0.3 to 0.9 of the time of bf16, and 1.1 of
it at 1,024 keys (docs/decisions.md)."""


def is_faster_in_float32(device: Any, keys: int) -> bool:
    """Whether attention in bf16 over rows of this many keys takes longer than in float32."""
    return bool(device.type == "cpu" and keys <= MAX_KEYS)


@contextmanager
def float32_attention(name: str) -> Iterator[None]:
    """While this lasts, a function of transformers' attention interface runs in float32; a backward pass that computes activations again
    belongs inside.

    Queries, keys and values are those of bf16, and so is the output; scores and sums are more exact.
    """
    import torch
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    attend = ALL_ATTENTION_FUNCTIONS[name]

    def attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, Any]:
        if attention_mask is not None and attention_mask.is_floating_point():
            attention_mask = attention_mask.float()
        with torch.autocast("cpu", enabled=False):
            output, weights = attend(module, query.float(), key.float(), value.float(), attention_mask, **options)
        return output.to(torch.bfloat16), weights

    ALL_ATTENTION_FUNCTIONS[name] = attention
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS[name] = attend
