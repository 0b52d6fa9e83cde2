"""Joins and thins caches of attention keys and values, so that rows enter and leave a batch between decoding steps.

Caches are left-padded as prompts are: the newest token of every row is in the last column.
"""

from typing import Any

from pipeline.errors import ModelError


def new_cache() -> Any:
    """An empty cache that keeps every column. Layers with a sliding window mask what lies outside of it, so no column is dropped."""
    from transformers import DynamicCache

    return DynamicCache()


def check(cache: Any, name: str) -> None:
    """Raise ModelError unless a model keeps its state in keys and values alone: other states cannot be joined.

    Args:
        cache: after a forward pass.
        name: of the base, for the message.
    """
    from transformers.cache_utils import DynamicLayer

    others = sorted({type(layer).__name__ for layer in cache.layers if type(layer) is not DynamicLayer})
    if others or not cache.layers:
        raise ModelError(
            f"{name} keeps a state that is no attention cache ({', '.join(others) or 'none'}), so its rows cannot share a batch",
            "Serve a base with attention in every layer.",
        )


def width(cache: Any) -> int:
    """Columns."""
    return int(cache.layers[0].keys.shape[-2])


def join(cache: Any, other: Any) -> None:
    """Append the rows of another cache; the narrower one is padded on the left."""
    import torch

    columns = max(width(cache), width(other))
    for layer, added in zip(cache.layers, other.layers, strict=True):
        layer.keys = torch.cat([widened(layer.keys, columns), widened(added.keys, columns)])
        layer.values = torch.cat([widened(layer.values, columns), widened(added.values, columns)])


def widened(tensor: Any, columns: int) -> Any:
    """Keys or values (rows, heads, columns, dimension) with zeros on the left up to a number of columns."""
    from torch.nn.functional import pad

    return pad(tensor, (0, 0, columns - tensor.shape[-2], 0))


def select(cache: Any, rows: Any, first_column: int) -> None:
    """Keep these rows, and the columns from one on.

    Args:
        rows: their indices (rows,).
    """
    for layer in cache.layers:
        layer.keys = layer.keys[rows, :, first_column:]
        layer.values = layer.values[rows, :, first_column:]
