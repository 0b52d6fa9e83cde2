"""Reads the names of an adapter's tensors, from the header of its file alone"""

from pathlib import Path

from pipeline.models.adapter_source import WEIGHTS


def tensor_names(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        return list(file.keys())
