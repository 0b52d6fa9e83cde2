"""Writes a LoRA adapter as a GGUF file, for a base of the Llama architecture"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.export import gguf_model
from pipeline.export.gguf_model import Tensor
from pipeline.models import low_rank
from pipeline.models.adapter_source import CONFIG, WEIGHTS

PREFIX = "base_model.model."
"""Of the names in an adapter that peft saved."""
REMEDY = "Export with --form gguf, which merges it, or --form adapter."


def check(folder: Path) -> None:
    """Raise ModelError for an adapter that llama.cpp cannot add to its base.

    Args:
        folder: with the adapter, as peft saved it.
    """
    from safetensors import safe_open

    config = json.loads((folder / CONFIG).read_text("utf-8"))
    with safe_open(folder / WEIGHTS, "pt") as file:
        names = list(file.keys())
    faults = {
        "DoRA": bool(config.get("use_dora")),
        f"the kind {config['peft_type']}": config["peft_type"] != "LORA",
        "whole modules (modules_to_save)": bool(config.get("modules_to_save")),
        "an adapted embedding": any("lora_embedding_" in name for name in names),
        "biases": any(name.endswith("bias") for name in names),
        "an adapted output layer": any("lm_head." in name for name in names),
    }
    if fault := next((name for name, holds in faults.items() if holds), ""):
        raise ModelError(f"--form gguf-adapter: the adapter has {fault}, which llama.cpp does not take from an adapter", REMEDY)


def write(folder: Path, base: Path, out: Path, file_type: str) -> None:
    """Write the adapter of a folder as one GGUF file.

    Args:
        base: the folder of its base, for config.json.
    """
    from gguf import GGUFWriter
    from transformers import AutoConfig

    writer = GGUFWriter(out, gguf_model.ARCHITECTURE)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha(folder))
    gguf_model.write_tensors(writer, list(tensors(folder, AutoConfig.from_pretrained(base))), file_type)


def alpha(folder: Path) -> float:
    """What llama.cpp divides by the rank for the scale: that of an adapter with the adapter's own rank and alpha."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    return float(config["lora_alpha"]) * (math.sqrt(config["r"]) if config.get("use_rslora") else 1.0)


def tensors(folder: Path, config: Any) -> Iterator[Tensor]:
    """A and B of every module, B times what its scale has beyond llama.cpp's.

    Args:
        config: of the base.
    """
    from safetensors import safe_open

    name_of = gguf_model.names(config)
    adapter = json.loads((folder / CONFIG).read_text("utf-8"))
    with safe_open(folder / WEIGHTS, "pt") as file:
        for name in sorted(file.keys()):
            module, _, part = name.removeprefix(PREFIX).removesuffix(".weight").rpartition(".lora_")
            values = file.get_tensor(name).float().numpy()
            if part == "B":
                values = values * (low_rank.scale(adapter, module, values.shape[1]) * values.shape[1] / alpha(folder))
                heads = gguf_model.heads_of(name, config)
                values = gguf_model.permuted(values, heads) if heads else values
            yield Tensor(f"{name_of(f'{module}.weight')}.lora_{part.lower()}", values.shape, lambda values=values: values)  # type: ignore[misc]
