"""Runs causal attention document by document over packed rows, instead of under a mask of all tokens by all tokens.

On CUDA that is torch's kernel for rows of variable length (Ampere and newer), elsewhere one call per document. The scores are those of the
dense mask, rounding apart; the work grows with the documents' lengths, not with the pack's.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

NAME = "by_document"
"""In transformers' attention interface; it is missing in that of masks, so that no mask is built."""
LAYER_TYPES = {"full_attention", "sliding_attention"}
WITH_SINKS = {"gpt_oss"}
"""Kinds whose attention may go to no token."""
MAX_HEAD_WIDTH = 256
"""Of torch's CUDA kernel."""


def is_supported(model: Any) -> bool:
    """Whether a model's attention is plain: through the interface with sdpa, causal, at most with a sliding window."""
    config = model.config.get_text_config()
    if not model.is_backend_compatible() or config._attn_implementation != "sdpa" or config.model_type in WITH_SINKS:
        return False
    layer_types = getattr(config, "layer_types", None) or LAYER_TYPES
    return {*layer_types} <= LAYER_TYPES and not any(
        getattr(config, name, None) for name in ("attn_logit_softcapping", "attention_dropout")
    )


@contextmanager
def by_document(model: Any, lengths: Sequence[int]) -> Iterator[None]:
    """While this lasts, a model reads rows of packed documents. A backward pass that computes activations again belongs inside.

    Args:
        model: a PeftModel or a base for which is_supported() holds; its rows are (1, sum of lengths).
        lengths: tokens of each document, in their order.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    config = model.config.get_text_config()
    before = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS[NAME] = DocumentAttention(lengths, model.device)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[NAME]


class DocumentAttention:
    """An attention function of transformers for one pack."""

    def __init__(self, lengths: Sequence[int], device: Any) -> None:
        import torch

        self.lengths = list(lengths)
        self.ends = torch.tensor([0, *lengths], device=device).cumsum(0, dtype=torch.int32)
        self.has_kernel = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)

    def __call__(self, module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, None]:
        """Attention over query (1, heads, tokens, width) and key and value (1, key heads, tokens, width), as (1, tokens, heads, width).

        Args:
            options: `scaling` and `sliding_window` count.

        Raises:
            ValueError: the model asks for what documents cannot have here.
        """
        odd = [name for name in ("softcap", "s_aux", "position_bias", "cache") if options.get(name) is not None]
        if odd or options.get("dropout") or attention_mask is not None:
            raise ValueError(f"attention by document has no {', '.join(odd) or 'dropout or mask'}")
        scaling, sliding_window = options.get("scaling"), options.get("sliding_window")
        window = sliding_window if sliding_window and sliding_window < max(self.lengths) else None
        if self.has_kernel and query.shape[-1] <= MAX_HEAD_WIDTH and query.dtype.itemsize == 2:
            return self.in_one_kernel(query, key, value, scaling, window), None
        return self.one_by_one(query, key, value, scaling, window), None

    def in_one_kernel(self, query: Any, key: Any, value: Any, scaling: float | None, window: int | None) -> Any:
        """torch's attention over rows of variable length."""
        from torch.nn.attention.varlen import varlen_attn

        key, value = (with_heads(part, query.shape[1]) for part in (key, value))
        q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))  # tokens first
        longest = max(self.lengths)
        how = causal_options(inspect.signature(varlen_attn).parameters, window)
        output: Any = varlen_attn(q, k, v, self.ends, self.ends, longest, longest, scale=scaling, **how)
        return output[None]

    def one_by_one(self, query: Any, key: Any, value: Any, scaling: float | None, window: int | None) -> Any:
        """One causal call per document."""
        import torch

        key, value = (with_heads(part, query.shape[1]) for part in (key, value))
        outputs = []
        for q, k, v in zip(*(part.split(self.lengths, dim=2) for part in (query, key, value)), strict=True):
            mask = None if window is None else band(q.shape[2], window, query.device)
            outputs.append(torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None, scale=scaling))
        return torch.cat(outputs, dim=2).transpose(1, 2)


def with_heads(part: Any, heads: int) -> Any:
    """Keys or values (1, key heads, tokens, width), each repeated for the query heads that share it."""
    return part if part.shape[1] == heads else part.repeat_interleave(heads // part.shape[1], dim=1)


def band(length: int, window: int, device: Any) -> Any:
    """Mask (length, length) of the keys that a token sees: itself and the `window` - 1 before it."""
    import torch

    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
    return (distance >= 0) & (distance < window)


def causal_options(parameters: Any, window: int | None) -> Any:
    """How this version of torch is told that attention is causal.

    Args:
        parameters: of varlen_attn; torch 2.10 has `is_causal`, later versions have `window_size`.

    Raises:
        ValueError: a sliding window is asked of a version without one.
    """
    if "window_size" in parameters:
        return {"window_size": (-1 if window is None else window - 1, 0)}
    if window is not None:
        raise ValueError("this torch has no sliding window for rows of variable length")
    return {"is_causal": True}
