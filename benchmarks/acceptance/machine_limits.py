"""Measures what the device can do: its rate of bf16 products and of copies, the ceilings that every rate is a share of."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.engine.timing import synchronize

REPEATS = 10


@dataclass(frozen=True)
class Limits:
    """Ceilings measured in this process."""

    flops: float
    """FLOP/s of a square bf16 product with fp32 accumulation."""
    bandwidth: float
    """Bytes/s read and written by a copy."""


def best_seconds(call: Callable[[], Any], device: Any, repeats: int = REPEATS) -> float:
    """Least seconds of a call, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def measure(device: Any) -> Limits:
    """The ceilings of a device. Products of 8192 x 8192 saturate an H100; a CPU gets smaller ones."""
    import torch

    size = 8192 if device.type == "cuda" else 512
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    product = best_seconds(lambda: left @ right, device)
    block = torch.empty(size * size * 8, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(block)
    copy = best_seconds(lambda: target.copy_(block), device)
    return Limits(2 * size**3 / product, 2 * block.nbytes / copy)
