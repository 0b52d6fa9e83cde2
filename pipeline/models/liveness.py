"""Distinguishes live adapters and models from dead ones: measured while the model is in memory, judged before anything is scored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ComparisonError
from pipeline.models import adapters
from pipeline.store.folders import AdapterFolder, LivenessMeasures

PROBES = 8
"""Held-out prompts whose next-token logits are compared with and without the adapter."""


def examine(model: Any, folder: Path, probes: list[list[int]]) -> LivenessMeasures:
    """Measure whether an adapter changes its base.

    Args:
        model: a PeftModel with the adapter switched on.
        folder: the adapter's artifact; its recorded module list is what must be matched.
        probes: token ids of prompts.
    """
    targets = set(AdapterFolder(folder).targets())
    saved_as_zero = AdapterFolder(folder).zero_modules()
    return {
        "tensors": len(adapters.liveness_tensors(model)),
        "zero_tensors": [name for name in adapters.neutral_tensors(model) if adapters.module_of(name) not in saved_as_zero],
        "targets": len(targets),
        "unmatched": sorted(targets - set(adapters.adapted_modules(model))),
        "probes": len(probes),
        "largest_logit_difference": max(logit_difference(model, ids) for ids in probes),
    }


def logit_difference(model: Any, ids: list[int]) -> float:
    """Largest absolute difference of the next-token logits with and without the adapter."""
    tuned = next_token_logits(model, ids)
    with model.disable_adapter():
        base = next_token_logits(model, ids)
    return largest_difference(tuned, base)


def next_token_logits(model: Any, ids: Sequence[int]) -> Any:
    """The logits (vocabulary,) of the token after a prompt, in float32."""
    import torch

    prompt = torch.tensor([list(ids)], device=model.device)
    with torch.inference_mode():
        return model(input_ids=prompt, use_cache=False).logits[0, -1].float()


def largest_difference(tuned: Any, base: Any) -> float:
    """Largest absolute difference of logits (vocabulary,); of models whose embeddings differ in rows, over those that both have."""
    rows = min(len(tuned), len(base))
    return float((tuned[:rows] - base[:rows]).abs().max())


def is_alive(row: LivenessMeasures) -> bool:
    """Whether an adapter changes its base."""
    return not row["zero_tensors"] and not row["unmatched"] and row["tensors"] > 0 and row["largest_logit_difference"] > 0.0


def require_alive(row: LivenessMeasures, arm: str) -> None:
    """Raise ComparisonError if an adapter or a fine-tuned model changes nothing; the message names every sign of it."""
    if is_alive(row):
        return
    signs = []
    if row["zero_tensors"]:
        signs.append(f"{len(row['zero_tensors'])} of {row['tensors']} tensors are as before training, the first {row['zero_tensors'][0]}")
    if row["unmatched"]:
        signs.append(f"{len(row['unmatched'])} of {row['targets']} target modules are missing, the first {row['unmatched'][0]}")
    if row["largest_logit_difference"] == 0.0:
        signs.append(f"the logits of {row['probes']} probes are those of the base")
    raise ComparisonError(
        f"{arm}: the fine-tuning has no effect: {'; '.join(signs)}", "Stopped before scoring. Check the training curve and retrain."
    )
