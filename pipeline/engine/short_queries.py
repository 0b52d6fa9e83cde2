"""Runs the attention of few new tokens over many keys as products in float32 on a CPU, where torch's kernel takes several times as long.

That kernel works through blocks of queries, row by row and head by head; an answer adds one token to each row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAX_QUERIES = 8
"""New tokens up to which the products are faster (docs/decisions.md)."""
PLAIN = {"scaling", "dropout", "is_causal", "sliding_window", "position_ids", "use_cache"}
"""Options of an attention call that are in the mask already, or count here."""


@contextmanager
def attention(model: Any) -> Iterator[None]:
    """While this lasts, a model on a CPU with sdpa attention takes the faster way for few new tokens."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    name = "sdpa"
    if model.device.type != "cpu" or model.config.get_text_config()._attn_implementation != name:
        yield
        return
    attend = ALL_ATTENTION_FUNCTIONS[name]

    def attention_of_any(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, Any]:
        if is_short(query, key, attention_mask) and not options.get("dropout") and not unusual(options):
            return attend_to_all(query, key, value, attention_mask, options.get("scaling")), None
        output: tuple[Any, Any] = attend(module, query, key, value, attention_mask, **options)
        return output

    ALL_ATTENTION_FUNCTIONS[name] = attention_of_any
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS[name] = attend


def is_short(query: Any, key: Any, mask: Any) -> bool:
    """Whether few new tokens meet keys of earlier ones, under a mask that is the same for all heads; one token alone needs none."""
    queries = query.shape[2]
    if not queries <= MAX_QUERIES or queries == key.shape[2]:
        return False
    return bool(queries == 1 if mask is None else mask.ndim == 4 and mask.shape[1] == 1)


def unusual(options: dict[str, Any]) -> list[str]:
    """Options that ask for more than products and a softmax."""
    return [name for name, value in options.items() if name not in PLAIN and value is not None and value is not False]


def attend_to_all(query: Any, key: Any, value: Any, mask: Any, scaling: float | None) -> Any:
    """Attention over query (rows, heads, new tokens, width) and key and value (rows, key heads, tokens, width), computed in float32.

    Args:
        mask: (rows or 1, 1, new tokens, tokens): True where a token is seen, or what is added to the scores; None: all are seen.

    Returns:
        (rows, new tokens, heads, width), in the query's dtype.
    """
    rows, heads, queries, width = query.shape
    group = heads // key.shape[1]
    q = query.float().reshape(rows, key.shape[1], group * queries, width)
    scores = (q @ key.float().transpose(2, 3)).mul_(width**-0.5 if scaling is None else scaling)
    if mask is not None:
        mask = mask.repeat(1, 1, group, 1)
        scores = scores.add_(mask) if mask.is_floating_point() else scores.masked_fill_(~mask, float("-inf"))
    output = scores.softmax(-1) @ value.float()
    return output.reshape(rows, heads, queries, value.shape[3]).to(query.dtype).transpose(1, 2)
