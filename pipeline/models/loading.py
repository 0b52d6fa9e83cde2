"""Loads base models, quantized the same way for training and generation, and adapters on them; merges adapters into weights."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError, OutOfMemoryError, UserError
from pipeline.models import base_model
from pipeline.models.dense_weights import dense_values
from pipeline.models.linears import is_linear, is_transposed
from pipeline.models.quiet import silence_warnings
from pipeline.progress import say

BLOCK_IN, BLOCK_OUT = 64, 32
"""A quantized linear module needs widths that are multiples of these: else bitsandbytes 0.50.2 raises, or is silently wrong on a CPU."""


@dataclass(frozen=True)
class Precision:
    """How weights are held and products are computed."""

    quantization: str
    """`nf4` (double quantization) or `none`."""
    compute_dtype: str
    """`bf16` or `fp32`: of matrix products, and of everything that is not quantized."""


_resident: dict[tuple[str, ...], Any] = {}


def load(spec: dict[str, Any], quantization: str, compute_dtype: str, device: Any) -> Any:
    """The base in eval mode, frozen. The last one stays in memory, so jobs on one base load it once.

    Args:
        spec: from base_model.Model.spec().
        quantization, compute_dtype: see Precision.

    Raises:
        ModelError: the weights cannot be read.
    """
    key = (str(sorted(spec.items())), quantization, compute_dtype, str(device))
    if key not in _resident:
        _resident.clear()
        gc.collect()
        model = read_model(base_model.local_folder(spec), spec["trust_remote_code"], Precision(quantization, compute_dtype), device)
        model.name_or_path = spec["repo"] or spec["folder"]  # peft writes it into adapters: no path of this machine
        _resident[key] = model
    return _resident[key]


def read_model(folder: Path, trust: bool, precision: Precision, device: Any) -> Any:
    """The model in a folder of safetensors, frozen; trust: run code that comes with it. See load."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    silence_warnings()
    dtype = torch.bfloat16 if precision.compute_dtype == "bf16" else torch.float32
    extra: dict[str, Any] = {}
    try:
        if precision.quantization == "nf4":
            extra["quantization_config"] = nf4(dtype, modules_to_skip(folder, trust))
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, device_map={"": device}, trust_remote_code=trust, use_safetensors=True, local_files_only=True,
            output_loading_info=True, ignore_mismatched_sizes=True, **extra,
        )  # fmt: skip
    except Exception as error:  # of the library, which has a type for every kind of odd config.json
        raise load_fault(folder, device, error) from None
    refuse_unmatched(folder, {**report, "mismatched_keys": [*report["mismatched_keys"], *mismatched_4bit(model)]})
    keep_cpu_weights_unpacked(model)
    greedy = GenerationConfig(eos_token_id=end_ids(folder, model.generation_config.eos_token_id), do_sample=False)
    model.generation_config = greedy  # a model may ship sampling settings
    return model.eval().requires_grad_(False)


def load_fault(folder: Path, device: Any, error: Exception) -> UserError:
    """What it means that the library could not load a folder."""
    import torch
    from safetensors import SafetensorError

    message = " ".join(str(error).split())[:300]
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in message:
        return OutOfMemoryError(f"{folder} does not fit into the memory of {device}", "Take a smaller base or a larger device.")
    if isinstance(error, SafetensorError | OSError | RuntimeError):
        return ModelError(
            f"the weights in {folder} cannot be read: {message}", "Fetch the model again; a file may be incomplete or damaged."
        )
    return ModelError(
        f"{folder} does not load as a causal language model: {message or type(error).__name__}",
        "Name a model of an architecture that this transformers knows, with the config.json that it was saved with.",
    )


def refuse_unmatched(folder: Path, report: dict[str, Any]) -> None:
    """Raise ModelError unless every weight of the model came from the checkpoint, and all of the checkpoint went into it.

    The library fills a gap with random numbers, other ones at every start. What an architecture ties or leaves unused is not in its report.

    Args:
        report: the library's `loading_info`.
    """
    mismatched = [f"{name} {tuple(actual)}, not {tuple(expected)}" for name, actual, expected in sorted(report["mismatched_keys"])]
    unmatched = {"missing": sorted(report["missing_keys"]), "of another shape": mismatched, "unknown": sorted(report["unexpected_keys"])}
    lines = [f"{len(names)} {fault} ({first_names(names)})" for fault, names in unmatched.items() if names]
    if lines:
        raise ModelError(
            f"the weights in {folder} are not those of its config.json; tensors: {'; '.join(lines)}",
            "A gap would be filled with random numbers. Fetch the model again, or load it where it is whole and call save_pretrained.",
        )


def mismatched_4bit(model: Any) -> list[tuple[str, Any, Any]]:
    """Name, shape in the checkpoint and shape in the model of quantized weights that differ in it: the library compares none of these."""
    from bitsandbytes.nn import Linear4bit

    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, Linear4bit)]
    states = [(name, getattr(module.weight, "quant_state", None), (module.out_features, module.in_features)) for name, module in linears]
    return [(f"{name}.weight", state.shape, expected) for name, state, expected in states if state and tuple(state.shape) != expected]


def first_names(names: list[str]) -> str:
    """The first three of a list, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def end_ids(folder: Path, ids: Any) -> int | list[int] | None:
    """The ids that end an answer, as generation_config.json or config.json has them.

    Raises:
        ModelError: they are not integers.
    """
    entries = ids if isinstance(ids, list) else [ids]
    if ids is not None and not all(type(entry) is int and entry >= 0 for entry in entries):
        raise ModelError(f"{folder}: eos_token_id is {ids!r}, and no token id", "Write a number, or a list of numbers, in its config.json.")
    return ids  # type: ignore[no-any-return]


def nf4(dtype: Any, skip: list[str]) -> Any:
    """The only quantization: NF4 with double quantization and an explicit compute dtype (the library defaults to FP4 in fp32)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skip,
    )


def context_window(model: Any) -> int:
    """Tokens of prompt and answer together that a model supports."""
    return int(model.config.get_text_config().max_position_embeddings)


def configured_window(spec: dict[str, Any]) -> int:
    """The same of a base, by its configuration alone."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base_model.local_folder(spec), trust_remote_code=spec["trust_remote_code"])
    return int(config.get_text_config().max_position_embeddings)


def modules_to_skip(folder: Path, trust: bool) -> list[str]:
    """The modules that stay unquantized: the output layer, and linears of a width that 4 bit cannot take."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=trust), trust_remote_code=trust)
    head = skeleton.get_output_embeddings()
    linears = {name: module for name, module in skeleton.named_modules() if is_linear(module)}
    widths_of = {name: (module.weight.shape if is_transposed(module) else module.weight.shape[::-1]) for name, module in linears.items()}
    odd = [name for name, (wide, out) in widths_of.items() if linears[name] is not head and (wide % BLOCK_IN or out % BLOCK_OUT)]
    if odd:
        widths = " -> ".join(map(str, widths_of[odd[0]]))
        need = f"4 bit needs multiples of {BLOCK_IN} -> {BLOCK_OUT}"
        say(f"kept unquantized: {len(odd)} of {len(linears)} linear modules, the first {odd[0]} ({widths}); {need}")
    return [name for name, module in linears.items() if module is head] + odd or ["lm_head"]


def keep_cpu_weights_unpacked(model: Any) -> None:
    """Work around a fault in bitsandbytes 0.50.2 on CPUs with AVX512-BF16.

    Left on, the first eval forward repacks the weights in place; later training steps then get wrong
    gradients without an error, and merging gives garbage. Must run before any forward.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


@contextmanager
def merged(params: dict[str, Any], folder: Path, merge_into: str, device: Any) -> Iterator[Any]:
    """A model with a saved adapter merged into its weights, as it would be deployed; unmerged at the end.

    Args:
        params: model, quantization and compute, as for load().
        merge_into: `dequantized`: the values that the 4-bit weights stand for, over which the adapter was trained; `original`: the
            weights before quantization.

    Raises:
        ModelError: the adapter does not fit the base.
    """
    dense = dequantized_copy(params, device) if merge_into == "dequantized" else load_unquantized(params, device)
    untie_adapted_head(dense, folder)
    with adapted(dense, folder) as tuned:
        tuned.merge_adapter(safe_merge=False)
        yield tuned


def dequantized_copy(params: dict[str, Any], device: Any) -> Any:
    """The base without quantization, with the values that its 4-bit weights stand for.

    Args:
        params: model, quantization and compute, as for load().
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    dense = load_unquantized(params, device)
    base = load(params["model"], params["quantization"], params["compute"], device)
    with torch.no_grad():
        for name, module in base.named_modules():
            if isinstance(module, Linear4bit):
                target = dense.get_submodule(name)
                values = dense_values(module)
                target.weight.copy_(values.T if is_transposed(target) else values)
    return dense


def untie_adapted_head(model: Any, folder: Path) -> None:
    """Give the output layer a weight of its own if an adapter is to be merged into it: a tied one would change the embedding as well."""
    import torch
    from peft import PeftConfig

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    name = next(name for name, module in model.named_modules() if module is head)
    targets = PeftConfig.from_pretrained(folder).target_modules or ()
    if head.weight is embedding.weight and not isinstance(targets, str) and {name, name.rpartition(".")[2]} & {*targets}:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)


def load_unquantized(params: dict[str, Any], device: Any) -> Any:
    """Load the base without quantization, in the compute dtype; it is not kept in memory for the next job."""
    spec = params["model"]
    return read_model(base_model.local_folder(spec), spec["trust_remote_code"], Precision("none", params["compute"]), device)


@contextmanager
def adapted(model: Any, folder: Path) -> Iterator[Any]:
    """Attach a saved adapter to the base, in eval mode; it is removed at the end.

    Raises:
        ModelError: the tensors of the adapter do not match the modules of the base.
    """
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tuned = PeftModel.from_pretrained(model, folder).eval()
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        raise ModelError(
            f"the adapter {folder} does not fit its base: {' '.join(str(error).split())[:300]}", "Fine-tune it again on this base."
        ) from None
    try:
        missing = [str(warning.message) for warning in caught if "missing adapter keys" in str(warning.message)]
        if missing:  # peft only warns, and the answers would be the base's
            raise ModelError(f"the adapter {folder} does not fit its base: {missing[0][:200]}", "Fine-tune it again on this base.")
        yield tuned
    finally:
        remove(tuned)


def remove(tuned: Any) -> None:
    """Take the adapter off its base, which is as before: peft leaves its copies of whole modules (modules_to_save) in their places."""
    from peft.utils.other import ModulesToSaveWrapper

    base = tuned.get_base_model()
    originals = {name: module.original_module for name, module in base.named_modules() if isinstance(module, ModulesToSaveWrapper)}
    tuned.unload()
    for name, module in originals.items():
        base.set_submodule(name, module)
