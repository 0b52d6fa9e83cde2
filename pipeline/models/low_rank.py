"""Takes the update that a LoRA adapter learned apart: singular values of B A for every module, and B A cut to a smaller rank.

QR of B and A and an SVD of an r x r matrix give the SVD of B A without ever forming it, so no base is needed (Eckart-Young: the cut is
the nearest matrix of its rank).
"""

import json
import math
from collections.abc import Iterator, Mapping
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


def scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """What B A of a module is multiplied by where the adapter is used, as peft does: its alpha over its rank, or over the root of it.

    Args:
        config: its adapter_config.json.
        module: its full name.
    """
    from peft.utils.other import get_pattern_key

    patterns = config.get("alpha_pattern") or {}
    alpha = float(patterns.get(get_pattern_key(patterns.keys(), module), config["lora_alpha"]))
    return alpha / divisor(config, rank)


def divisor(config: Mapping[str, Any], rank: int) -> float:
    """What alpha is divided by."""
    return math.sqrt(rank) if config.get("use_rslora") else rank


def spectrum(folder: Path) -> dict[str, list[float]]:
    """By full name of the module the singular values of its scaled update, the largest first."""
    config, tensors = read(folder)
    factors = {module_of(b): Factors.of(tensors[b], tensors[a]) for b, a in pairs(tensors)}
    return {module: (abs(scale(config, module, len(one.values))) * one.values).tolist() for module, one in factors.items()}


def cut(folder: Path, out: Path, rank: int) -> int:
    """Write the adapter with every update of a larger rank cut to a rank, at the same scale, and return its number of weights.

    Args:
        folder: an adapter that was trained here, without DoRA.
        rank: smaller than the one that it was trained with.
    """
    from safetensors.torch import save_file

    config, tensors = read(folder)
    assert rank < config["r"]
    assert not config["use_dora"]
    cut_tensors = dict(tensors)
    usual = float(config["lora_alpha"]) / divisor(config, config["r"]) * divisor(config, rank)
    patterns: dict[str, dict[str, float]] = {"rank_pattern": {}, "alpha_pattern": {}}
    for b, a in pairs(tensors):
        module, own = module_of(b), len(tensors[a])
        patterns["rank_pattern"] |= {module: own} if own < rank else {}
        alpha = scale(config, module, own) * divisor(config, min(own, rank))
        patterns["alpha_pattern"] |= {} if math.isclose(alpha, usual) else {module: alpha}
        new_b, new_a = Factors.of(tensors[b], tensors[a]).cut(rank)
        cut_tensors[b], cut_tensors[a] = new_b.to(tensors[b].dtype).contiguous(), new_a.to(tensors[a].dtype).contiguous()
    save_file(dict(sorted(cut_tensors.items())), out / WEIGHTS, {"format": "pt"})
    settings = {**config, **patterns, "r": rank, "lora_alpha": usual}
    (out / CONFIG).write_text(json.dumps(settings, indent=1, sort_keys=True), "utf-8")
    return sum(tensor.numel() for tensor in cut_tensors.values())
