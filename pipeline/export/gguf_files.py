"""Writes the GGUF files of an export, by llama.cpp's converter where it is installed, else by our own writer for the Llama architecture"""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.errors import MachineError, ModelError
from pipeline.export import gguf_adapter, gguf_back, gguf_model, llama_converter
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.request import Form
from pipeline.models import base_model, renderer
from pipeline.models.adapter_source import CONFIG, WEIGHTS
from pipeline.progress import say

SENTENCEPIECE = "tokenizer.model"
"""What llama.cpp's converter reads of a tokenizer of SentencePiece, where a base has it."""


def check(tuned: FineTuned, form: Form) -> None:
    """Raise MachineError without the package `gguf`, ModelError for a base or an adapter that cannot be written."""
    from transformers import AutoConfig

    if find_spec("gguf") is None:
        raise MachineError(f"--form {form.name}: the package gguf is not installed", "Install it: pip install 'loralift[gguf]'")
    if not form.merge:
        gguf_adapter.check(tuned.trained.adapter.path)
    script = llama_converter.MODEL if form.merge else llama_converter.ADAPTER
    config = AutoConfig.from_pretrained(base_model.local_folder(tuned.spec), trust_remote_code=tuned.spec["trust_remote_code"])
    if llama_converter.find(script) is None and (reason := gguf_model.unsupported(config)):
        raise ModelError(
            f"--form {form.name}: {tuned.trained.cell.base} cannot be written here: {reason}",
            f"llama.cpp's {script} may know it: set {llama_converter.FOLDER} to a folder of llama.cpp, or put it on PATH.",
        )


def write(tuned: FineTuned, form: Form, source: Path, folder: Path) -> None:
    """Write the files into a folder.

    Args:
        source: a folder of safetensors with its tokenizer: the merged model, or the base of the adapter.

    Raises:
        ModelError: they cannot be written.
    """
    if (original := base_model.local_folder(tuned.spec) / SENTENCEPIECE).is_file():
        shutil.copyfile(original, source / SENTENCEPIECE)
    write_model(tuned, source, folder / gguf_back.model_file(form), form.gguf)
    if not form.merge:
        write_adapter(tuned.trained.adapter.path, source, folder / gguf_back.adapter_file(form), form.gguf)


def write_model(tuned: FineTuned, source: Path, out: Path, file_type: str) -> None:
    """Write the model of a folder."""
    render = renderer.renderer(tuned.spec)
    if script := llama_converter.find(llama_converter.MODEL):
        try:
            return llama_converter.convert(script, source, out, file_type)
        except ModelError as error:  # such as a tokenizer that it does not know, or a package that it lacks
            if gguf_model.unsupported(config_of(source)):
                raise
            say(f"  {error.problem}; loralift writes the file itself")
    return gguf_model.write(source, out, file_type, render, tuned.name)


def write_adapter(adapter: Path, base: Path, out: Path, file_type: str) -> None:
    """Write the adapter of a folder."""
    script = llama_converter.find(llama_converter.ADAPTER)
    if script is None or not gguf_model.unsupported(config_of(base)):
        return gguf_adapter.write(adapter, base, out, file_type)  # with scales that the converter leaves out
    with TemporaryDirectory(dir=out.parent) as place:
        copy = Path(place)
        shutil.copyfile(adapter / WEIGHTS, copy / WEIGHTS)
        settings = json.loads((adapter / CONFIG).read_text("utf-8"))
        if settings.get("alpha_pattern") or settings.get("rank_pattern"):
            raise ModelError(
                "--form gguf-adapter: the scales of the adapter differ by module, which llama.cpp's converter leaves out",
                gguf_adapter.REMEDY,
            )
        (copy / CONFIG).write_text(json.dumps({**settings, "lora_alpha": gguf_adapter.alpha(adapter)}), "utf-8")
        return llama_converter.convert(script, copy, out, file_type, base)


def config_of(folder: Path) -> Any:
    """The configuration of a folder without code of its own."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)
