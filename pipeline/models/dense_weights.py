"""Holds 4-bit weights dequantized, once for many products, where memory allows: the same values bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import MachineError


class DenseWeights:
    """The dequantized copies that 4-bit modules multiply by instead of their own weights."""

    def __init__(self, linears: list[Any], is_required: bool) -> None:
        """Make the copies.

        Args:
            linears: the Linear4bit modules.
            is_required: whether the user asked for them, so that they stay when memory runs out.
        """
        self.linears = linears
        self.is_required = is_required
        for module in linears:
            module.forward = dense_forward(module)

    @property
    def are_held(self) -> bool:
        return bool(self.linears)

    def drop(self) -> None:
        """Go back to the 4-bit weights."""
        for module in self.linears:
            del module.forward
        self.linears = []

    def make_room(self) -> bool:
        """Drop the copies because memory ran out; whether that freed any."""
        if self.is_required or not self.are_held:
            return False
        self.drop()
        return True


@contextmanager
def dequantized(model: Any, residency: str = "auto") -> Iterator[DenseWeights]:
    """Multiply by dense copies of the 4-bit weights while this lasts. Their values, and so the answers and gradients, are the same bit
    for bit.

    Decoding multiplies few rows per step, and a training step passes every weight twice, so dequantizing each time would take much of
    the time.

    Args:
        residency: `auto`: copies are held if twice their size is free; `packed`: never; `dequantized`: always.

    Raises:
        MachineError: they are asked for and do not fit.
    """
    import bitsandbytes

    linears = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    needed, free = sum(map(dense_bytes, linears)), free_bytes(model.device)
    if residency == "dequantized" and needed >= free:
        raise MachineError(
            f"--residency dequantized: the 4-bit weights take {needed / 1e9:.1f} GB dequantized, and {free / 1e9:.1f} GB are free",
            "Leave the option out, and they stay in 4 bit where memory is short.",
        )
    is_held = residency == "dequantized" or (residency == "auto" and 2 * needed < free)
    weights = DenseWeights(linears if is_held else [], residency == "dequantized")
    try:
        yield weights
    finally:
        weights.drop()


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
