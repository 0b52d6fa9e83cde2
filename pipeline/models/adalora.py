"""Writes what AdaLoRA trained as plain LoRA: B diag(E) A with the pruned directions left out, so that every program can read it"""

from pathlib import Path
from typing import Any

from pipeline.models.adapter_source import WEIGHTS


def save(model: Any, folder: Path) -> list[str]:
    """Write an AdaLoRA adapter as LoRA with a rank for each module, and return the full names of the modules that keep one."""
    from peft import LoraConfig
    from safetensors.torch import save_file

    config = model.active_peft_config
    tensors: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for name, module in model.named_modules():
        if not hasattr(module, "lora_E"):
            continue
        b, a = factors(module, model.active_adapter)
        if len(a):
            tensors |= {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
            ranks[name.removeprefix("base_model.model.")] = len(a)
    scale = config.lora_alpha / config.init_r
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=config.target_r, lora_alpha=scale * config.target_r, target_modules=sorted(ranks), bias="none",
        lora_dropout=config.lora_dropout, inference_mode=True, base_model_name_or_path=config.base_model_name_or_path,
        rank_pattern={name: rank for name, rank in ranks.items() if rank != config.target_r},
        alpha_pattern={name: scale * rank for name, rank in ranks.items() if rank != config.target_r},
    )  # fmt: skip
    save_file(dict(sorted(tensors.items())), folder / WEIGHTS, {"format": "pt"})
    lora.save_pretrained(folder)
    return sorted(ranks)


def factors(module: Any, adapter: str) -> tuple[Any, Any]:
    """B (out, r) and A (r, in) of the same update at the scale of its LoRA, alpha / rank; r is what was not pruned.

    Args:
        module: with an AdaLoRA adapter.
        adapter: its name.
    """
    weights, rank = module.lora_E[adapter].detach(), float(module.ranknum[adapter])
    mask = (weights != 0).flatten()
    rows = (module.lora_A[adapter].detach() * weights)[mask] * (rank / (rank + 1e-5))  # peft divides by the rank and 1e-5
    return module.lora_B[adapter].detach()[:, mask].contiguous().cpu(), rows.contiguous().cpu()
