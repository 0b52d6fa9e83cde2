"""Tells the linear modules of a model, of which GPT-2 has the weights transposed."""

from typing import Any


def is_transposed(module: Any) -> bool:
    """Whether this is a linear module whose weight is (in, out), as in GPT-2."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def is_linear(module: Any) -> bool:
    """Whether this is a linear module, in 4 bit or not."""
    import torch

    return isinstance(module, torch.nn.Linear) or is_transposed(module)
