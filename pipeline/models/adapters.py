"""LoRA adapters on a base: attached, found alive or dead, written and read with plain peft."""

import json
import math
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError, suggest
from pipeline.models.quiet import hush


def attach(base: Any, params: dict[str, Any]) -> Any:
    """A fresh adapter on a frozen base, an exact no-op until its first step; its A matrices come from the global seed.

    Args:
        params: of finetune: rank, alpha_per_rank, rslora, dora, dropout, targets.

    Raises:
        ModelError: a target names no linear module of the base.
    """
    from peft import LoraConfig, get_peft_model

    hush()
    targets = params["targets"]
    if targets != "all-linear":
        check_targets(base, targets)
        targets = sorted(targets)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=params["rank"], lora_alpha=alpha(params), target_modules=targets, lora_dropout=params["dropout"],
        use_rslora=params["rslora"], use_dora=params["dora"], bias="none", exclude_modules=unreached(base) or None,
    )  # fmt: skip
    return get_peft_model(base, config)


def alpha(params: dict[str, Any]) -> float:
    """The alpha that gives the scale alpha_per_rank at every rank: LoRA divides by rank, rsLoRA by its root (arXiv 2312.03732)."""
    rank: int = params["rank"]
    return float(params["alpha_per_rank"]) * (math.sqrt(rank) if params["rslora"] else rank)


def linears(base: Any) -> dict[str, Any]:
    import torch

    return {name: module for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)}


def unreached(base: Any) -> list[str]:
    """The linear modules that no text passes through, such as a vision tower's: adapters on them would stay zero for ever."""
    reached = {*base.get_decoder().modules(), base.get_output_embeddings()}
    return [name for name, module in linears(base).items() if module not in reached]


def check_targets(base: Any, targets: list[str]) -> None:
    """Raise ModelError for a target that no linear module of the base ends with; peft itself ignores one among several."""
    names = linears(base).keys() - {*unreached(base)}
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise ModelError(
                f"finetune.targets: the base has no linear module '{target}'.", suggest(target, {name.rsplit(".", 1)[-1] for name in names})
            )


def matched(model: Any) -> list[str]:
    """The full names of the modules that carry the adapter, sorted."""
    return sorted(name.removeprefix("base_model.model.") for name, module in model.named_modules() if hasattr(module, "lora_A"))


def trainable(model: Any) -> dict[str, Any]:
    """Name to parameter for everything that is trained."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def zero_tensors(model: Any) -> list[str]:
    """The adapter's B matrices (and DoRA magnitudes) that hold nothing but zeros: a dead adapter's mark."""
    return [name for name, value in model.named_parameters() if "lora_B" in name and not bool(value.any())]


def save(model: Any, folder: Path) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`; equal adapters give equal bytes."""
    model.save_pretrained(folder, save_embedding_layers=False)  # "auto" would ask the hub whether they were resized
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    for key, value in config.items():
        if isinstance(value, list):  # peft keeps these as sets, whose order differs between processes
            config[key] = sorted(value, key=str)
    path.write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")
    (folder / "README.md").unlink(missing_ok=True)  # peft's card is an empty form
