"""Joins and thins caches of attention keys and values, so that rows enter and leave a batch between decoding steps.

Caches are left-padded as prompts are: the newest token of every row is in the last column.
"""

import inspect
from functools import cache as cached
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


SPARE_COLUMNS = 64
"""Columns that are allocated beyond those in use: so many tokens are appended before a cache is copied."""


@cached
def spacious_layer() -> type:
    """A layer that appends new columns in place, where transformers' own copies the whole cache at every token."""
    import torch
    from transformers.cache_utils import DynamicLayer

    class SpaciousLayer(DynamicLayer):  # type: ignore[misc]
        """Keys and values are views (rows, heads, columns, dimension) into buffers with spare columns on the right."""

        buffers: tuple[Any, Any] | None = None

        def update(self, keys: Any, values: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.lazy_initialization(keys, values)
                self.keys, self.values = keys, values
                return keys, values
            columns = self.keys.shape[-2]
            end = columns + keys.shape[-2]
            if not self.has_room(end):
                self.allocate(end + SPARE_COLUMNS)
            assert self.buffers
            for buffer, new in zip(self.buffers, (keys, values), strict=True):
                buffer[:, :, columns:end] = new
            self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
            return self.keys, self.values

        def has_room(self, columns: int) -> bool:
            """Whether keys and values are still views of the buffers, and these have so many columns."""
            if self.buffers is None or self.keys.data_ptr() != self.buffers[0].data_ptr():
                return False  # no buffers yet, or rows were selected
            return len(self.keys) == len(self.buffers[0]) and self.buffers[0].shape[-2] >= columns

        def allocate(self, columns: int) -> None:
            """Copy keys and values into new buffers of so many columns."""
            keys, values = (
                torch.cat([part, part.new_empty((*part.shape[:2], columns - part.shape[2], part.shape[3]))], 2)
                for part in (self.keys, self.values)
            )
            self.buffers = (keys, values)

    return SpaciousLayer


def spacious_cache() -> Any:
    """An empty cache that appends in place and keeps every column, as new_cache does."""
    from transformers.cache_utils import Cache

    return Cache(layer_class_to_replicate=spacious_layer())


def copies(cache: Any, rows: int) -> Any:
    """A spacious cache of so many copies of the only row of another."""
    repeated = spacious_cache()
    for index, layer in enumerate(cache.layers):
        repeated.update(*(part.expand(rows, -1, -1, -1) for part in (layer.keys, layer.values)), index)
    return repeated


def is_plain(model: Any) -> bool:
    """Whether a model keeps its state in keys and values of every token alone, so that its rows can be joined and dropped.

    Models with other states, attention in chunks or code of their own are left to `generate` of transformers.

    Args:
        model: of transformers, or a PeftModel.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = model.config.get_text_config()
    if not type(model).__module__.startswith("transformers.models.") or model._is_stateful:
        return False
    if not {"position_ids", "logits_to_keep"} <= {*inspect.signature(model.forward).parameters}:
        return False
    has_chunks = "chunked_attention" in (getattr(config, "layer_types", None) or ())
    return not has_chunks and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers)


def window(model: Any) -> int | None:
    """Columns that the shortest sliding window of a model spans, padding included; None: every layer sees all."""
    from transformers.cache_utils import DynamicCache

    config = model.config.get_text_config()
    layers = [layer.sliding_window for layer in DynamicCache(config=config).layers if layer.is_sliding]
    local = getattr(config, "window_size", None)  # of GPT-Neo, whose cache has plain layers
    return min([*layers, *([local] if isinstance(local, int) else [])], default=None)
