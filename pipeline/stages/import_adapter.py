"""Copies an adapter that was trained elsewhere into a folder as `finetune` writes it, if it fits the base: no tensor too few or too many.

Nothing in its folder is executed: weights come from safetensors, settings from JSON.
"""

from typing import Any

from pipeline.machine import Work
from pipeline.models import adapter_fit, adapter_source
from pipeline.store.folders import AdapterFolder

VERSION = 1


def run(work: Work) -> dict[str, Any]:
    """Write the adapter into work.out.

    Raises:
        ModelError: it cannot be fetched, does not fit the base, or changes nothing.
    """
    source = adapter_source.local_folder(work.params["adapter"])
    fit = adapter_fit.fit(source, work.params["model"])
    folder = AdapterFolder(work.out)
    adapter_fit.save(fit, work.out)
    ranks = {fit.config["r"], *fit.config["rank_pattern"].values()}
    return {
        "targets": fit.targets,
        "zero_modules": fit.zero_modules,
        "trainable_parameters": sum(value.numel() for value in fit.tensors.values()),
        "adapter_bytes": folder.weights_bytes(),
        "rank": sorted(ranks),
        "alpha": fit.config["lora_alpha"],
        "rslora": fit.config["use_rslora"],
        "dora": fit.config["use_dora"],
        "modules_to_save": sorted(fit.config["modules_to_save"] or []),
        "warnings": fit.warnings,
    }
