"""Attaches adapters to a base, counts their modules, and writes them with plain peft."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError, suggest
from pipeline.models import adalora, adapter_kinds, module_ranks
from pipeline.models.linears import is_linear
from pipeline.models.quiet import silence_warnings

MIN_STEPS = 2
"""Optimizer steps of the shortest schedule of AdaLoRA; a shorter training is refused where it begins."""


def attach(base: Any, params: dict[str, Any], steps: int = 1) -> Any:
    """Attach a new adapter to a frozen base; its initial weights depend on the global seed.

    Args:
        params: of finetune: targets, layers, patterns, and what the kind of adapter reads.
        steps: optimizer steps of the training, over which AdaLoRA prunes.

    Raises:
        ModelError: a target names no linear module of the base, a layer is not there, or a pattern of ranks fits none.
    """
    from peft import get_peft_model

    silence_warnings()
    kind = adapter_kinds.of_params(params)
    unreachable = unreachable_linears(base)
    modules = targeted_modules(base, params, unreachable)
    patterns = module_ranks.patterns(module_ranks.ranks(modules, params), params)
    targets = params["targets"] if params["layers"] is None else modules
    targets = targets if targets == "all-linear" else sorted(targets)
    config = kind.config({**params, **patterns, "steps": max(steps, MIN_STEPS)}, targets, unreachable or None)
    return get_peft_model(base, config)


def targeted_modules(base: Any, params: dict[str, Any], unreachable: Collection[str]) -> list[str]:
    """The full names of the linear modules that get an adapter. Raises ModelError as attach() does."""
    targets, layers = params["targets"], params["layers"]
    if targets != "all-linear":
        check_targets(base, targets)
    output = base.get_output_embeddings() if targets == "all-linear" else None  # peft leaves it out, too
    reached = [name for name, module in linears(base).items() if name not in unreachable and module is not output]
    targeted = [name for name in reached if module_ranks.is_target(name, targets)]
    if layers is not None:
        module_ranks.check_layers(targeted, layers)
    return module_ranks.in_layers(targeted, layers)


def linears(base: Any) -> dict[str, Any]:
    """Full name to module for every linear module, 4-bit and transposed ones too."""
    return {name: module for name, module in base.named_modules() if is_linear(module)}


def unreachable_linears(base: Any) -> list[str]:
    """The linear modules outside of the text model, such as a vision tower's: adapters on them would never get a gradient."""
    reached = {*base.get_decoder().modules(), base.get_output_embeddings()}
    return [name for name, module in linears(base).items() if module not in reached]


def check_targets(base: Any, targets: list[str]) -> None:
    """Raise ModelError for a target that no linear module of the base ends with; peft itself ignores one among several."""
    names = linears(base).keys() - {*unreachable_linears(base)}
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise ModelError(
                f"finetune.targets: the base has no linear module '{target}'.", suggest(target, {name.rsplit(".", 1)[-1] for name in names})
            )


def adapted_modules(model: Any) -> list[str]:
    """The full names of the modules that carry the adapter, sorted."""
    tensor = adapter_kinds.of_model(model).liveness_tensor
    return sorted(name.removeprefix("base_model.model.") for name, module in model.named_modules() if hasattr(module, tensor))


def module_of(tensor: str) -> str:
    """The full name of the module that a tensor of an adapter belongs to."""
    return tensor.removeprefix("base_model.model.").partition(".lora_")[0]


def liveness_tensors(model: Any) -> dict[str, Any]:
    """By name, the tensors that decide whether the adapter is alive: LoRA's B matrices, but not DoRA's magnitudes."""
    tensor = adapter_kinds.of_model(model).liveness_tensor
    return {name: value for name, value in model.named_parameters() if tensor in name}


def trainable_parameters(model: Any) -> dict[str, Any]:
    """Name to parameter for everything that is trained."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def neutral_tensors(model: Any) -> list[str]:
    """Names of the tensors that change nothing, such as B matrices of zeros; a dead adapter has them."""
    kind, tensors = adapter_kinds.of_model(model), liveness_tensors(model)
    neutral = [name for name, value in tensors.items() if not bool((value != kind.neutral_value).any())]
    return [] if kind.prunes and len(neutral) < len(tensors) else neutral


def save(model: Any, folder: Path) -> list[str]:
    """Write `adapter_model.safetensors` and `adapter_config.json`; equal adapters give equal bytes.

    Returns the full names of the modules that carry what is written; of AdaLoRA not those that it pruned.
    """
    if adapter_kinds.of_model(model).prunes:
        modules = adalora.save(model, folder)
    else:
        modules = adapted_modules(model)
        model.save_pretrained(folder, save_embedding_layers=False)  # "auto" would ask the hub whether they were resized
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    for key, value in config.items():
        if isinstance(value, list):  # peft keeps these as sets, whose order differs between processes
            config[key] = sorted(value, key=str)
    path.write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")
    (folder / "README.md").unlink(missing_ok=True)  # peft's card is an empty form
    return modules
