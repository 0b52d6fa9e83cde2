"""Holds 4-bit weights dequantized, once for many products, where memory allows: the same values bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def dequantized(model: Any) -> Iterator[bool]:
    """Replace the 4-bit weights by dense ones of the same values while a model generates, if there is memory for them.

    Decoding multiplies few rows per step, so dequantizing every weight at every step would take most of the
    time. The values, and so the answers, are the same bit for bit. Yields whether the weights are dense.
    """
    import bitsandbytes

    linears = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    fits = 2 * sum(dense_bytes(module) for module in linears) < free_bytes(model.device)
    for module in linears if fits else []:
        module.forward = dense_forward(module)
    try:
        yield fits
    finally:
        for module in linears if fits else []:
            del module.forward


def dense_bytes(module: Any) -> int:
    """Bytes of the weights of a Linear4bit once they are dequantized."""
    return int(module.in_features * module.out_features * module.weight.quant_state.dtype.itemsize)


def free_bytes(device: Any) -> int:
    """Bytes that can still be allocated on a device."""
    import psutil
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()  # what training left in torch's cache is free
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def dense_values(module: Any) -> Any:
    """The dequantized weights (out, in) of a Linear4bit, in its compute dtype."""
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(module.weight.data, module.weight.quant_state).to(module.compute_dtype)


def dense_forward(module: Any) -> Any:
    """The forward of a Linear4bit over weights that are dequantized once."""
    import torch

    dtype = module.compute_dtype
    weight = dense_values(module)
    bias = None if module.bias is None else module.bias.to(dtype)

    def forward(x: Any) -> Any:
        return torch.nn.functional.linear(x.to(dtype), weight, bias).to(x.dtype)

    return forward
