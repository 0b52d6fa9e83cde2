"""Takes the update that a LoRA adapter learned apart: singular values of B A for every module, and B A cut to a smaller rank.

QR of B and A and an SVD of an r x r matrix give the SVD of B A without ever forming it, so no base is needed (Eckart-Young: the cut is
the nearest matrix of its rank).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.models.adapter_source import CONFIG, WEIGHTS
from pipeline.models.adapters import module_of

A, B = ".lora_A.", ".lora_B."


@dataclass(frozen=True)
class Factors:
    """U S V^T of the update of one module, in double precision."""

    u: Any
    """(out, r) with orthonormal columns."""
    values: Any
    """(r,) singular values, the largest first; LoRA's scale is not in them."""
    v: Any
    """(in, r) with orthonormal columns."""

    @classmethod
    def of(cls, b: Any, a: Any) -> "Factors":
        """Of B (out, r) and A (r, in)."""
        import torch

        q_b, r_b = torch.linalg.qr(b.double())
        q_a, r_a = torch.linalg.qr(a.double().T)
        u, values, vh = torch.linalg.svd(r_b @ r_a.T)
        return cls(q_b @ u, values, q_a @ vh.T)

    def cut(self, rank: int) -> tuple[Any, Any]:
        """B (out, rank) and A (rank, in) of the nearest update of this rank, with equal shares of every singular value."""
        roots = self.values[:rank].sqrt()
        return self.u[:, :rank] * roots, (self.v[:, :rank] * roots).T


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configuration and tensors by name of an adapter that peft saved."""
    from safetensors.torch import load_file

    return json.loads((folder / CONFIG).read_text("utf-8")), load_file(folder / WEIGHTS)


def pairs(tensors: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of the B and the A matrix of every module."""
    for name in sorted(tensors):
        if B in name:
            yield name, name.replace(B, A)


def scale(config: dict[str, Any]) -> float:
    """What B A is multiplied by where the adapter is used."""
    divisor = math.sqrt(config["r"]) if config["use_rslora"] else config["r"]
    return float(config["lora_alpha"]) / divisor


def spectrum(folder: Path) -> dict[str, list[float]]:
    """By full name of the module the singular values of its scaled update, the largest first."""
    config, tensors = read(folder)
    factor = abs(scale(config))
    return {module_of(b): (factor * Factors.of(tensors[b], tensors[a]).values).tolist() for b, a in pairs(tensors)}


def cut(folder: Path, out: Path, rank: int) -> int:
    """Write the adapter with every update cut to a rank, at the same scale, and return its number of weights.

    Args:
        folder: an adapter that was trained here: one rank for all modules, no DoRA.
        rank: smaller than its own.
    """
    from safetensors.torch import save_file

    config, tensors = read(folder)
    assert rank < config["r"]
    assert not any(config[key] for key in ("rank_pattern", "alpha_pattern", "use_dora"))
    cut_tensors = dict(tensors)
    for b, a in pairs(tensors):
        new_b, new_a = Factors.of(tensors[b], tensors[a]).cut(rank)
        cut_tensors[b], cut_tensors[a] = new_b.to(tensors[b].dtype).contiguous(), new_a.to(tensors[a].dtype).contiguous()
    save_file(dict(sorted(cut_tensors.items())), out / WEIGHTS, {"format": "pt"})
    alpha = scale(config) * (math.sqrt(rank) if config["use_rslora"] else rank)
    (out / CONFIG).write_text(json.dumps({**config, "r": rank, "lora_alpha": alpha}, indent=1, sort_keys=True), "utf-8")
    return sum(tensor.numel() for tensor in cut_tensors.values())
