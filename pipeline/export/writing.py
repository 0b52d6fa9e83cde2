"""Writes what an export consists of: weights, configuration, tokenizer with its chat template, and the ids that end an answer"""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config.data_paths import is_whole_path
from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import ModelError
from pipeline.export import gguf_files, modelfile
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.request import Form
from pipeline.machine import Machine
from pipeline.models import base_model, loading, renderer
from pipeline.models.adapter_source import CONFIG, WEIGHTS
from pipeline.store.folders import AdapterFolder
from pipeline.store.records import JsonObject

DTYPE_BYTES = {"bf16": 2, "f16": 2, "fp32": 4}
MODELFILE = "Modelfile"
PIECES = ("*.json", "*.model", "*.txt", "*.jinja")
"""Files of a base beside its weights, about as large as those of an export."""


def check(tuned: FineTuned, form: Form) -> None:
    """Raise ModelError for a base that cannot be saved as a model of its own."""
    if (form.merge or form.gguf) and tuned.spec["trust_remote_code"]:
        raise ModelError(
            f"--form {form.name}: {tuned.trained.cell.base} comes with Python code of its own, which a merged model would lack",
            "Export with --form adapter.",
        )
    if form.gguf:
        gguf_files.check(tuned, form)


def size(tuned: FineTuned, form: Form) -> int:
    """Bytes of the export, about."""
    base = base_model.local_folder(tuned.spec)
    beside = sum(path.stat().st_size for pattern in PIECES for path in base.glob(pattern))
    if not form.merge and not form.gguf:
        return AdapterFolder(tuned.trained.adapter.path).weights_bytes() + beside
    numbers = sum(map(prod, base_model.tensor_shapes(base).values()))
    return numbers * (DTYPE_BYTES[tuned.loading["compute"]] + (DTYPE_BYTES["f16"] if form.gguf else 0)) + beside


def write(tuned: FineTuned, form: Form, folder: Path, machine: Machine) -> None:
    """Write weights, configuration, tokenizer and generation_config.json into an empty folder.

    Raises:
        ModelError: the adapter does not fit the base.
    """
    if form.gguf:
        with TemporaryDirectory(dir=folder) as place:
            write_source(tuned, form, Path(place), machine)
            gguf_files.write(tuned, form, Path(place), folder)
        (folder / MODELFILE).write_text(modelfile.text(tuned, form), "utf-8")
        return
    if form.merge:
        write_merged(tuned, form, folder, machine)
    else:
        write_adapter(tuned, folder)
        base = loading.load(tuned.spec, tuned.loading["quantization"], tuned.loading["compute"], machine.torch_device())
        generation_config(base, tuned.spec).save_pretrained(folder)
    write_tokenizer(tuned.spec, folder)


def write_tokenizer(spec: JsonObject, folder: Path) -> None:
    """Save the tokenizer of a base, with its chat template."""
    from transformers import AutoTokenizer

    source = base_model.local_folder(spec)
    AutoTokenizer.from_pretrained(source, trust_remote_code=spec["trust_remote_code"]).save_pretrained(folder)


def write_source(tuned: FineTuned, form: Form, folder: Path, machine: Machine) -> None:
    """Save what GGUF files are made from: the merged model, or the base over which the adapter was trained, with its tokenizer."""
    write_tokenizer(tuned.spec, folder)
    if form.merge:
        write_merged(tuned, form, folder, machine)
    else:
        loading.dequantized_copy(tuned.loading, machine.torch_device()).save_pretrained(folder)


def write_adapter(tuned: FineTuned, folder: Path) -> None:
    """Copy the adapter; a base in a folder of this machine is named by the folder's last part."""
    source = tuned.trained.adapter.path
    shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
    config = json.loads((source / CONFIG).read_text("utf-8"))
    if is_whole_path(base := config.get("base_model_name_or_path")):
        config["base_model_name_or_path"] = Path(base).name
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", "utf-8")


def write_merged(tuned: FineTuned, form: Form, folder: Path, machine: Machine) -> None:
    """Save the merged model in the type that products are computed in, without a trace of quantization or of peft.

    Raises:
        ModelError: the adapter cannot be merged.
    """
    with mergeable(form), loading.merged(tuned.loading, tuned.trained.adapter.path, form.merge, machine.torch_device()) as merged:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an output layer is no longer tied, which the saved configuration says
            model = merged.merge_and_unload()
        model.generation_config = generation_config(model, tuned.spec)
        model.save_pretrained(folder)


@contextmanager
def mergeable(form: Form) -> Iterator[None]:
    """Turn what peft raises for an adapter that it cannot merge into a message that a user can act on."""
    try:
        yield
    except RuntimeError as error:
        if "Impossible to merge" not in str(error):
            raise
        raise ModelError(f"--form {form.name}: the adapter cannot be merged: {error}", "Export with --form adapter.") from error


def generation_config(model: Any, spec: JsonObject) -> Any:
    """Greedy, with every id that ends an answer: those of the base, and the one that training taught."""
    from transformers import GenerationConfig

    render = renderer.renderer(spec)
    return GenerationConfig(eos_token_id=list(TransformersBackend(model, render).eos_ids), pad_token_id=render.pad_id, do_sample=False)
