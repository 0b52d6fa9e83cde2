"""Loads the GGUF files of an export: with llama.cpp where it is installed, else their weights alone with transformers' GGUF reader"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import ModelError
from pipeline.export import gguf_model, llama_cpp
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.loaded import Loaded, target_logits
from pipeline.export.request import Form
from pipeline.machine import Machine
from pipeline.models import loading, renderer
from pipeline.models.harness_renderer import HarnessRenderer
from pipeline.models.quiet import silence_warnings
from pipeline.models.renderer import Renderer
from pipeline.store import records
from pipeline.store.records import Prompt, as_turns, prompt_text

USUAL_WINDOW = 4096
"""Tokens that llama.cpp makes room for, where the base takes them and no prompt needs more."""
LLAMA_CPP, READER = "llama.cpp", "transformers' GGUF reader"


def model_file(form: Form) -> str:
    """The name of the model's file in an export; of an adapter that of its base."""
    return f"{'model' if form.merge else 'base'}-{form.gguf}.gguf"


def adapter_file(form: Form) -> str:
    """The name of the adapter's file in an export."""
    return f"adapter-{form.gguf}.gguf"


@contextmanager
def opened(tuned: FineTuned, form: Form, folder: Path, machine: Machine) -> Iterator[Loaded]:
    """Load the files of a folder.

    Raises:
        ModelError: they do not load.
    """
    render = renderer.renderer(tuned.spec)
    model, adapter = folder / model_file(form), None if form.merge else folder / adapter_file(form)
    if llama_cpp.is_installed():
        on_gpu = machine.torch_device().type == "cuda"
        with llama_cpp.opened(model, adapter, window(tuned, render), render, on_gpu) as backend:
            yield Loaded(backend, render, LLAMA_CPP, backend.target_logits, lambda prompt: backend.prompt_ids(*text_of(prompt, render)))
    else:
        read = by_transformers(model, machine.torch_device())
        if adapter is not None:
            add_adapter(read, adapter)
        reader = TransformersBackend(read, render, machine.tokens, is_dense=True)
        reader.eos_ids = end_ids(model)
        yield Loaded(reader, render, READER, lambda rows: target_logits(read, rows))


def window(tuned: FineTuned, render: Renderer) -> int:
    """Tokens of prompt and answer together that the test examples need, and those of usual requests."""
    longest = max((len(render.prompt_ids(example.prompt)) for example in tuned.examples), default=0)
    answer = records.answer_tokens(tuned.loading["max_new_tokens"], tuned.examples)
    return min(loading.configured_window(tuned.spec), max(USUAL_WINDOW, longest + answer + 1))


def text_of(prompt: Prompt, render: Renderer) -> tuple[str, bool]:
    """The text of a prompt, as a program sends it, and whether control tokens in it are tokens."""
    if isinstance(render, HarnessRenderer):
        return prompt_text(prompt), True
    return (render.conversation(as_turns(prompt)), True) if render.chat else (render.prompt_answer_boundary(prompt)[0], False)


def by_transformers(path: Path, device: Any) -> Any:
    """The model of a GGUF file, dequantized to float32, frozen.

    Raises:
        ModelError: transformers cannot read it as llama.cpp does.
    """
    import torch
    from transformers import AutoModelForCausalLM

    silence_warnings()
    if any("rope.scaling" in name or name == "rope_freqs.weight" for name in [*fields(path), *tensor_names(path)]):
        raise ModelError(
            f"{path.name}: transformers' GGUF reader leaves out the scaling of the rotary embedding",
            "Install llama-cpp-python, which reads it.",
        )
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, device_map={"": device}, output_loading_info=True
        )
    except Exception as error:  # of the library, which has no type of its own for a file that it cannot read
        raise ModelError(
            f"transformers cannot read {path.name}: {' '.join(str(error).split())[:200]}", "Install llama-cpp-python."
        ) from error
    loading.refuse_unmatched(path, report)
    return model.eval().requires_grad_(False)


def add_adapter(model: Any, path: Path) -> None:
    """Add B A of the adapter's GGUF file to the weights of its base, as llama.cpp does for every product."""
    import torch
    from gguf import GGUFReader, dequantize
    from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

    reader = GGUFReader(path)
    alpha = reader.fields["adapter.lora.alpha"].contents()
    name_of = gguf_model.names(model.config)
    modules = {name_of(f"{name}.weight"): module for name, module in model.named_modules() if getattr(module, "weight", None) is not None}
    processor = LlamaTensorProcessor(model.config.to_dict())
    values = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    for name in sorted(name.removesuffix(".lora_a") for name in values if name.endswith(".lora_a")):
        a, b = values[f"{name}.lora_a"], values[f"{name}.lora_b"]
        product = processor.process(b @ a * (alpha / a.shape[0]), name).weights
        modules[name].weight.data += torch.from_numpy(product).to(modules[name].weight)


def fields(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file by name."""
    from gguf import GGUFReader

    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


def tensor_names(path: Path) -> list[str]:
    """The tensors of a GGUF file."""
    from gguf import GGUFReader

    return [tensor.name for tensor in GGUFReader(path).tensors]


def end_ids(path: Path) -> tuple[int, ...]:
    """The ids that end an answer, by the metadata of a GGUF file."""
    metadata = fields(path)
    return tuple(metadata[name] for name in ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id") if name in metadata)
