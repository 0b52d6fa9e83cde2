"""Puts the memory and time that `plan` would name beside the measured ones, on a card of the measured limits."""

from typing import Any

from benchmarks.acceptance import training
from benchmarks.acceptance.machine_limits import Limits
from pipeline.commands import estimate
from pipeline.models.shapes import Shape

CPU_BYTES = 1e12
"""A card without a limit: a CPU's memory decides nothing here."""


def card(limits: Limits, device: Any) -> estimate.Gpu:
    """A card of the measured limits; its memory is the device's."""
    import torch

    memory = float(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else CPU_BYTES
    return estimate.Gpu("measured", limits.flops, limits.bandwidth, memory, fused_rows=5, cuda_name="")


def work_of(steps: training.Steps) -> estimate.Training:
    """The timed steps, as plan describes a training job."""
    rows = steps.rows
    share = sum(row.target_count for row in rows) / sum(map(len, rows))
    method = estimate.AdapterSetup(training.RANK, target_share=share)
    lengths = [len(row) for row in rows]
    return estimate.Training(method, len(steps.batches()) - 1, steps.batch_examples, sum(lengths) / len(lengths), max(lengths))


def beside(results: list[dict[str, Any]], shape: Shape, steps: training.Steps, limits: Limits, device: Any) -> dict[str, Any]:
    """Estimate and measurement of the setting that is the default, `packed` aside: padded rows over 4-bit weights."""
    expected = estimate.training_estimate(shape, work_of(steps), card(limits, device))
    padded = next(row for row in results if row["name"] == "padded")
    return {
        "estimate": {"peak_bytes": expected.bytes, "seconds": expected.seconds},
        "measured": {name: padded.get(name) for name in ("peak_bytes", "seconds", "error")},
        "utilization": estimate.UTILIZATION,
    }
