"""Checks that a model that was fine-tuned elsewhere fits its base, and records which one it is; its weights stay where they are.

Nothing in its folder is executed: weights come from safetensors, settings from JSON.
"""

from typing import Any

from pipeline.machine import Work
from pipeline.models import model_fit
from pipeline.store.folders import ModelFolder

VERSION = 1


def run(work: Work) -> dict[str, Any]:
    """Write what identifies the model into work.out.

    Raises:
        ModelError: it cannot be fetched, is no fine-tune of the base, or changes nothing.
    """
    fit = model_fit.fit(work.params["tuned"], work.params["model"])
    ModelFolder(work.out).write_spec(work.params["tuned"])
    return {
        "targets": sorted({name.removesuffix(".weight").removesuffix(".bias") for name in fit.changed}),
        "tensors": fit.tensors,
        "changed_tensors": len(fit.changed),
        "trainable_parameters": fit.parameters,
        "model_bytes": fit.bytes,
        "warnings": fit.warnings,
    }
