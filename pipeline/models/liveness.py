"""Tells live adapters from dead ones: measured while the model is in memory, judged before anything is scored."""

from pathlib import Path
from typing import Any

from pipeline.errors import ComparisonError
from pipeline.models import adapters
from pipeline.store.folders import AdapterFolder

PROBES = 8
"""Held-out prompts whose next-token logits are compared with and without the adapter."""


def examine(model: Any, folder: Path, probes: list[list[int]]) -> dict[str, Any]:
    """What can be seen of an adapter on its base.

    Args:
        model: a PeftModel with the adapter switched on.
        folder: the adapter's artifact; its recorded module list is what must be matched.
        probes: token ids of prompts.
    """
    wanted = AdapterFolder(folder).targets()
    found = set(adapters.matched(model))
    return {
        "tensors": sum("lora_B" in name for name, _ in model.named_parameters()),
        "zero_tensors": adapters.zero_tensors(model),
        "targets": len(wanted),
        "unmatched": sorted(set(wanted) - found),
        "probes": len(probes),
        "largest_logit_difference": max(logit_difference(model, ids) for ids in probes),
    }


def logit_difference(model: Any, ids: list[int]) -> float:
    """Largest absolute difference of the next-token logits with and without the adapter."""
    import torch

    given = torch.tensor([ids], device=model.device)
    with torch.inference_mode():
        tuned = model(input_ids=given, use_cache=False).logits[0, -1].float()
        with model.disable_adapter():
            base = model(input_ids=given, use_cache=False).logits[0, -1].float()
    return float((tuned - base).abs().max())


def is_alive(found: dict[str, Any]) -> bool:
    return not found["zero_tensors"] and not found["unmatched"] and found["tensors"] > 0 and found["largest_logit_difference"] > 0.0


def gate(found: dict[str, Any], arm: str) -> None:
    """Raise ComparisonError if an adapter changes nothing, saying by what it was known."""
    if is_alive(found):
        return
    signs = []
    if found["zero_tensors"]:
        signs.append(f"{len(found['zero_tensors'])} of {found['tensors']} B matrices are zero")
    if found["unmatched"]:
        signs.append(f"{len(found['unmatched'])} of {found['targets']} target modules are missing, the first {found['unmatched'][0]}")
    if found["largest_logit_difference"] == 0.0:
        signs.append(f"the logits of {found['probes']} probes are those of the base")
    raise ComparisonError(
        f"{arm}: the adapter is dead: {'; '.join(signs)}", "Nothing was scored. Look at its training curve, then fine-tune again."
    )
