"""Writes the base that adapters were trained over as a checkpoint for other programs: its 4-bit weights, dequantized once, in 16 bit"""

import shutil
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError, ModelError
from pipeline.export import writing
from pipeline.models import base_model, loading
from pipeline.store.records import JsonObject

MIB = 2**20


def write(params: JsonObject, folder: Path, device: Any) -> Path:
    """Write generation_config.json, and the weights with their tokenizer where the base is quantized; returns the folder with the weights.

    A process of its own does it, so that the device's memory is free afterwards.

    Args:
        params: model, quantization and compute, as for loading.load().
        folder: an empty one.
        device: torch.device, on which the base is quantized as it was for training.

    Raises:
        ModelError: the base cannot be read, or comes with Python code that its copy would lack.
        MachineError: the disk has no room, or the memory is too small.
    """
    source = base_model.local_folder(params["model"])
    if params["quantization"] == "none":
        weights = source
    else:
        weights = folder
        check(params, folder)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            pool.submit(write_here, params, folder, device).result()
        except BrokenProcessPool:
            raise MachineError("the process that writes the base was killed: no memory, most likely", "Take a smaller base.") from None
    return weights


def check(params: JsonObject, folder: Path) -> None:
    """Raise ModelError for a base that a copy of its weights would not be; MachineError where the disk has no room for one."""
    spec = params["model"]
    name = spec["repo"] or Path(spec["folder"]).name
    if spec["trust_remote_code"]:
        raise ModelError(
            f"{name} comes with Python code of its own, which a copy of its weights would lack", "Say generate.quantization=none."
        )
    numbers = sum(map(prod, base_model.tensor_shapes(base_model.local_folder(spec)).values()))
    needed, free = numbers * writing.DTYPE_BYTES[params["compute"]], shutil.disk_usage(folder).free
    if free < needed:
        raise MachineError(
            f"{folder.parent}: the dequantized base takes {needed / MIB:,.0f} MiB, and {free / MIB:,.0f} MiB are free",
            "Set TMPDIR to a folder on another disk.",
        )


def write_here(params: JsonObject, folder: Path, device: Any) -> None:
    """The work of write(), in this process."""
    spec = params["model"]
    if params["quantization"] == "none":
        writing.generation_config(loading.load_unquantized(params, device), spec).save_pretrained(folder)
        return
    model = loading.dequantized_copy(params, device)
    model.generation_config = writing.generation_config(model, spec)
    model.save_pretrained(folder)
    writing.write_tokenizer(spec, folder)
