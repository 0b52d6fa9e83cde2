"""Loads base models, quantized the same way for training and generation, and adapters on them; merges adapters into weights."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError, ModelError
from pipeline.models import base_model
from pipeline.models.quiet import hush
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
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, GenerationConfig

    hush()
    dtype = torch.bfloat16 if precision.compute_dtype == "bf16" else torch.float32
    extra: dict[str, Any] = {}
    try:
        if precision.quantization == "nf4":
            extra["quantization_config"] = nf4(dtype, modules_to_skip(folder, trust))
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, device_map={"": device}, trust_remote_code=trust, use_safetensors=True, local_files_only=True, **extra
        )
    except torch.OutOfMemoryError:
        raise MachineError(f"{folder} does not fit into the memory of {device}", "Take a smaller base or a larger device.") from None
    except (SafetensorError, OSError, RuntimeError) as error:
        problem = f"the weights in {folder} cannot be read: {' '.join(str(error).split())[:300]}"
        raise ModelError(problem, "Fetch the model again; a file may be cut off or damaged.") from None
    except (ValueError, KeyError) as error:
        problem = f"{folder} does not load as a causal language model: {' '.join(str(error).split())[:300]}"
        raise ModelError(problem, "Name a model of an architecture that this transformers knows, not quantized already.") from None
    keep_cpu_weights_unpacked(model)
    greedy = GenerationConfig(eos_token_id=model.generation_config.eos_token_id, do_sample=False)
    model.generation_config = greedy  # a model may ship sampling settings
    return model.eval().requires_grad_(False)


def nf4(dtype: Any, skip: list[str]) -> Any:
    """The one quantization: NF4, double, with an explicit compute dtype (the library's default is FP4 in fp32)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skip,
    )


def context_window(model: Any) -> int:
    """Tokens of prompt and answer together that a model was made for."""
    return int(model.config.get_text_config().max_position_embeddings)


def modules_to_skip(folder: Path, trust: bool) -> list[str]:
    """The modules that stay unquantized: the output layer, and linears of a width that 4 bit cannot take."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=trust), trust_remote_code=trust)
    head = skeleton.get_output_embeddings()
    linears = {name: module for name, module in skeleton.named_modules() if isinstance(module, torch.nn.Linear)}
    odd = [
        name
        for name, module in linears.items()
        if module is not head and (module.in_features % BLOCK_IN or module.out_features % BLOCK_OUT)
    ]
    if odd:
        widths = f"{linears[odd[0]].in_features} -> {linears[odd[0]].out_features}"
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
def dequantized(model: Any) -> Iterator[bool]:
    """Hold the 4-bit weights as dense ones of the same values while a model answers, if there is room for them.

    Decoding multiplies few rows per step, so dequantizing every weight at every step would take most of the
    time. The values, and so the answers, are the same bit for bit. Yields whether there was room.
    """
    import bitsandbytes

    linears = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    fits = 2 * sum(dense_bytes(module) for module in linears) < free_bytes(model.device)
    for module in linears if fits else []:
        module.forward = dense_forward(module)
    try:
        yield fits
    finally:
        for module in linears if fits else []:
            del module.forward


def dense_bytes(module: Any) -> int:
    """Bytes of the weights of a Linear4bit once they are dequantized."""
    return int(module.in_features * module.out_features * module.weight.quant_state.dtype.itemsize)


def free_bytes(device: Any) -> int:
    """Bytes that can still be allocated on a device."""
    import psutil
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()  # what training left in torch's cache is free
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def dense_values(module: Any) -> Any:
    """What the 4-bit weights of a Linear4bit stand for (out, in), in its compute dtype."""
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(module.weight.data, module.weight.quant_state).to(module.compute_dtype)


def dense_forward(module: Any) -> Any:
    """The forward of a Linear4bit over weights that are dequantized once."""
    import torch

    dtype = module.compute_dtype
    weight = dense_values(module)
    bias = None if module.bias is None else module.bias.to(dtype)

    def forward(x: Any) -> Any:
        return torch.nn.functional.linear(x.to(dtype), weight, bias).to(x.dtype)

    return forward


@contextmanager
def merged(params: dict[str, Any], folder: Path, merge_into: str, device: Any) -> Iterator[Any]:
    """A model without an adapter, into whose weights a saved one was merged, as it would be deployed; gone at the end.

    Args:
        params: model, quantization and compute, as for load().
        merge_into: `dequantized`: the values that the 4-bit weights stand for, over which the adapter was trained; `original`: the
            weights before quantization.

    Raises:
        ModelError: the adapter does not fit the base.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    spec = params["model"]
    dense = unquantized(params, device)
    if merge_into == "dequantized":
        base = load(spec, params["quantization"], params["compute"], device)
        with torch.no_grad():
            for name, module in base.named_modules():
                if isinstance(module, Linear4bit):
                    dense.get_submodule(name).weight.copy_(dense_values(module))
    with adapted(dense, folder) as tuned:
        tuned.merge_adapter(safe_merge=False)
        yield tuned


def unquantized(params: dict[str, Any], device: Any) -> Any:
    """The base with its weights as they came, in the compute dtype; not kept in memory for the next job."""
    spec = params["model"]
    return read_model(base_model.local_folder(spec), spec["trust_remote_code"], Precision("none", params["compute"]), device)


@contextmanager
def adapted(model: Any, folder: Path) -> Iterator[Any]:
    """The base with a saved adapter on it, in eval mode; taken off again at the end.

    Raises:
        ModelError: a tensor of the adapter has no place in the base, or the other way round.
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
        tuned.unload()
