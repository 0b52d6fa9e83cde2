"""Checks by shapes alone that an adapter fits a base: it has every tensor that peft expects on it, and no other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import adapter_origin, adapter_source, adapters, base_model
from pipeline.models.adapter_source import CONFIG, MERGE, WEIGHTS
from pipeline.models.quiet import silence_warnings

PREFIX = "base_model.model."
MAX_NAMED = 3
"""Modules of zero B matrices, of which so many are named."""
EMBEDDINGS = ("embed_tokens.weight", "lm_head.weight", "wte.weight", "embed_in.weight", "embed_out.weight")
"""Ends of the names of embedding and output layer, which peft may save beside an adapter."""


@dataclass(frozen=True)
class Fit:
    """An adapter that fits its base."""

    targets: list[str]
    """Full names of the modules that carry it."""
    config: dict[str, Any]
    """Its configuration as peft understands it, without paths of the machine that trained it."""
    tensors: dict[str, Any]
    """By name; without copies of the base's own."""
    warnings: list[str]
    """What may mean another base, another form of prompts, or a training that did not reach every module."""
    zero_modules: list[str]
    """Modules whose B matrix is zero, so that they are those of the base."""


def fit(folder: Path, spec: Mapping[str, Any]) -> Fit:
    """The adapter in a folder, if it fits a base.

    Args:
        folder: from adapter_source.local_folder.
        spec: of the base, from base_model.Model.spec().

    Raises:
        ModelError: it does not fit, is incomplete, or changes nothing.
    """
    config = known_config(folder)
    tensors = read_tensors(folder)
    model = skeleton(folder, spec, config)
    expected = expected_shapes(model)
    tensors = without_copies(folder, tensors, expected, spec)
    check_tensors(folder, expected, {name: tuple(value.shape) for name, value in tensors.items()})
    check_values(folder, tensors)
    zeros = sorted(adapters.module_of(name) for name, value in tensors.items() if is_b_matrix(name) and not bool((value != 0).any()))
    b_matrices = sum(map(is_b_matrix, tensors))
    if len(zeros) == b_matrices:
        raise ModelError(
            f"{folder} changes nothing: all of its {b_matrices} B matrices are zero, as before training",
            "Train it, or look at how it was saved.",
        )
    warnings = adapter_origin.warnings(folder, spec) + zero_warning(zeros, b_matrices)
    return Fit(adapters.adapted_modules(model), config.to_dict(), tensors, warnings, zeros)


def save(fit: Fit, folder: Path) -> None:
    """Write the adapter as adapters.save does; equal adapters give equal bytes."""
    from safetensors.torch import save_file

    save_file(dict(sorted(fit.tensors.items())), folder / WEIGHTS, {"format": "pt"})
    config = {key: sorted(value) if isinstance(value, set) else value for key, value in fit.config.items()}
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")


def known_config(folder: Path) -> Any:
    """The configuration as peft understands it; paths and settings of the training that do not concern an adapter in use are left out.

    Raises:
        ModelError: peft does not know a key that says something, or refuses a value.
    """
    from peft import LoraConfig, __version__

    raw = adapter_source.read_config(folder)
    names = {field.name for field in fields(LoraConfig)} | {"auto_mapping", "peft_version"}
    for key, value in raw.items():
        if key not in names and value not in (None, False, [], {}, ""):
            raise ModelError(
                f"{folder / CONFIG} has the key {key} ({json.dumps(value)[:60]}), which peft {__version__} does not know",
                "It may change what the adapter computes. Update peft, or save the adapter with this version.",
            )
    dropped = {
        "auto_mapping",
        "peft_version",
        "peft_type",
        "task_type",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "loftq_config",
        "runtime_config",
    }
    settings = {key: value for key, value in raw.items() if key in names - dropped}
    settings |= {
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
        "init_lora_weights": True,
        "base_model_name_or_path": None,
        "revision": None,
    }
    try:
        return LoraConfig(**settings)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{folder / CONFIG}: {' '.join(str(error).split())[:200]}", "Save the adapter again.") from None


def read_tensors(folder: Path) -> dict[str, Any]:
    """The tensors of an adapter by name, under the names that this version of peft gives them.

    Raises:
        ModelError: the file is damaged, or holds none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder / WEIGHTS} cannot be read: {str(error)[:200]}", "Copy the adapter again; the file may be incomplete."
        ) from None
    if not tensors:
        raise ModelError(
            f"{folder / WEIGHTS} holds no tensors: the adapter was saved empty",
            "Save it again with save_pretrained of peft, before it is merged or unloaded.",
        )
    return {name.removesuffix(".weight") if "lora_magnitude_vector" in name else name: value for name, value in tensors.items()}


def skeleton(folder: Path, spec: Mapping[str, Any], config: Any) -> Any:
    """The base with the adapter on it, without any values.

    Raises:
        ModelError: the base has none of the modules that the adapter names.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    silence_warnings()
    trust = spec["trust_remote_code"]
    base_folder = base_model.local_folder(dict(spec))
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base_folder, trust_remote_code=trust), trust_remote_code=trust)
        try:
            return get_peft_model(base, config)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ModelError(
                f"{folder} does not fit the base {name_of(spec)}: {' '.join(str(error).split())[:160]}",
                "Name the base that it was trained on.",
            ) from None


def expected_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """By name, the shape of every tensor that peft saves of an adapter."""
    from peft import get_peft_model_state_dict

    return {name: tuple(value.shape) for name, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()}


def without_copies(
    folder: Path, tensors: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], spec: Mapping[str, Any]
) -> dict[str, Any]:
    """The tensors without embeddings that peft has saved beside the adapter and that are those of the base.

    Raises:
        ModelError: they are not, so that the adapter needs an embedding of its own.
    """
    import torch

    remaining = dict(tensors)
    for name in sorted(tensors.keys() - expected.keys()):
        in_base = name.removeprefix(PREFIX).replace(".base_layer", "")  # of an embedding that carries LoRA
        if not in_base.endswith(EMBEDDINGS):
            continue
        own = base_tensor(in_base, spec)
        if own is not None and own.shape == tensors[name].shape and torch.equal(tensors[name].to(own.dtype), own):
            del remaining[name]
            continue
        rows = f"{tensors[name].shape[0]:,} rows, the base {own.shape[0]:,}" if own is not None else f"{tensors[name].shape[0]:,} rows"
        raise ModelError(
            f"{folder} was trained with an embedding of its own ({name.removeprefix(PREFIX)}: {rows}), as where tokens were added", MERGE
        )
    return remaining


def base_tensor(name: str, spec: Mapping[str, Any]) -> Any:
    """A tensor of the base's files; of a tied output layer the embedding. None where it is not there."""
    from safetensors import safe_open

    names = (name, "model.embed_tokens.weight", "transformer.wte.weight")
    for wanted in names[: 3 if "lm_head" in name else 1]:
        for path in sorted(base_model.local_folder(dict(spec)).glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                if wanted in file.keys():  # noqa: SIM118 (it is no mapping)
                    return file.get_tensor(wanted)
    return None


def check_tensors(folder: Path, expected: Mapping[str, tuple[int, ...]], present: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless the tensors of a file are those that peft expects on this base."""
    differing = [f"{name} {present[name]}, not {shape}" for name, shape in sorted(expected.items()) if present.get(name, shape) != shape]
    if differing:
        raise ModelError(
            f"{folder} was trained on another base: {len(differing)} of {len(expected)} tensors differ in shape, the first {differing[0]}",
            "Name the base that it was trained on.",
        )
    if missing := sorted(expected.keys() - present.keys()):
        raise ModelError(
            f"{folder} would be half loaded: {len(missing)} of {len(expected)} tensors are missing, the first {missing[0]}",
            f"Its {CONFIG} and {WEIGHTS} do not belong together, or the base is another one.",
        )
    if unexpected := sorted(present.keys() - expected.keys()):
        raise ModelError(
            f"{folder} would be half loaded: {len(unexpected)} of {len(present)} tensors have no place here, the first {unexpected[0]}",
            f"Its {CONFIG} and {WEIGHTS} do not belong together, or the base is another one.",
        )


def check_values(folder: Path, tensors: Mapping[str, Any]) -> None:
    """Raise ModelError for values that are no weights, or not finite."""
    import torch

    if others := sorted(name for name, value in tensors.items() if not value.is_floating_point()):
        kind = str(tensors[others[0]].dtype).removeprefix("torch.")
        raise ModelError(
            f"{folder}: {len(others)} of {len(tensors)} tensors hold no weights but {kind}, the first {others[0]}",
            "Save the adapter again, unquantized.",
        )
    if broken := sorted(name for name, value in tensors.items() if not bool(torch.isfinite(value.float()).all())):
        raise ModelError(
            f"{folder}: {len(broken)} of {len(tensors)} tensors are not finite, the first {broken[0]}",
            "The training diverged. Train it again.",
        )


def zero_warning(modules: list[str], b_matrices: int) -> list[str]:
    """That the adapter leaves some of its modules as they are in the base, with their number and names."""
    if not modules:
        return []
    more = f" and {len(modules) - MAX_NAMED} more" if len(modules) > MAX_NAMED else ""
    names = ", ".join(modules[:MAX_NAMED]) + more
    return [f"{len(modules)} of {b_matrices} B matrices of the adapter are zero, so these modules are those of the base: {names}."]


def is_b_matrix(name: str) -> bool:
    """Whether a tensor starts as zero and makes the adapter's effect."""
    return name.endswith(("lora_B.weight", "lora_embedding_B"))


def name_of(spec: Mapping[str, Any]) -> str:
    return str(spec["repo"] or Path(spec["folder"]).name)
