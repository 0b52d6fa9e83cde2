"""Writes a model of the Llama architecture as a GGUF file, tensor by tensor, through the package `gguf`"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import ModelError
from pipeline.export import gguf_tokenizer
from pipeline.models.renderer import Renderer

ARCHITECTURE = "llama"
MODEL_TYPES = ("llama", "mistral")
"""Values of `model_type` whose models llama.cpp runs as ARCHITECTURE."""
ROPE_TYPES = ("default", "linear", "llama3")


class Tensor(NamedTuple):
    """A tensor of a checkpoint under its name in GGUF."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Any]
    """Its values (as shaped), float32 in numpy."""


def unsupported(config: Any) -> str:
    """Why a model cannot be written here, by its transformers configuration; empty: it can."""
    if config.model_type not in MODEL_TYPES:
        return f"it is of the architecture {config.model_type}"
    rope = config.rope_parameters
    if rope["rope_type"] not in ROPE_TYPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
        return f"its rotary embedding is of the type {rope['rope_type']}"
    if getattr(config, "sliding_window", None):
        return f"its attention slides over {config.sliding_window} tokens"
    return "" if config.hidden_act == "silu" else f"its activation is {config.hidden_act}"


def write(source: Path, out: Path, file_type: str, render: Renderer, name: str) -> None:
    """Write a folder of safetensors with config.json as one GGUF file.

    Args:
        file_type: F16 or Q8_0; vectors stay in F32, and rows whose width Q8_0 cannot take in F16.
        render: with the tokenizer that the file gets.
        name: of the model, in its metadata.

    Raises:
        ModelError: the model, or its tokenizer, cannot be written here.
    """
    from gguf import GGUFWriter
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source)
    if reason := unsupported(config):
        raise ModelError(f"{source.name} cannot be written as GGUF here: {reason}", "Install llama.cpp, whose converter knows it.")
    writer = GGUFWriter(out, ARCHITECTURE)
    writer.add_type("model")
    writer.add_name(name)
    add_configuration(writer, config)
    gguf_tokenizer.add(writer, render, config.vocab_size)
    write_tensors(writer, [*tensors(source, config), *rope_factors(config)], file_type)


def add_configuration(writer: Any, config: Any) -> None:
    """Add what llama.cpp computes with, besides the weights."""
    heads = config.num_attention_heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_width)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    if config.rope_parameters["rope_type"] == "linear":
        from gguf import RopeScalingType

        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(config.rope_parameters["factor"]))


def names(config: Any) -> Callable[[str], str]:
    """A function from the names of modules and tensors in transformers to those in GGUF.

    It raises ModelError for one that llama.cpp does not know.
    """
    from gguf import MODEL_ARCH, get_tensor_name_map

    table = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)

    def name_of(name: str) -> str:
        place: str | None = table.get_name(name, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise ModelError(f"the tensor {name} has no place in a GGUF file of the Llama architecture", "Export with --form merged.")
        return place

    return name_of


def tensors(source: Path, config: Any) -> Iterator[Tensor]:
    """Every tensor of the folder; a tied output layer has none of its own there."""
    from safetensors import safe_open

    name_of = names(config)
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - no dictionary
                shape = tuple(file.get_slice(name).get_shape())
                yield Tensor(name_of(name), shape, reader(path, name, config))


def reader(path: Path, name: str, config: Any) -> Callable[[], Any]:
    """A function that reads a tensor; rows of queries and keys come in the order of llama.cpp."""
    heads = heads_of(name, config)

    def read() -> Any:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            values = file.get_tensor(name).float().numpy()
        return permuted(values, heads) if heads else values

    return read


def heads_of(name: str, config: Any) -> int:
    """The number of heads whose rows rotate, where a tensor makes queries or keys; else 0."""
    if ".q_proj" in name:
        return int(config.num_attention_heads)
    return int(config.num_key_value_heads) if ".k_proj" in name else 0


def permuted(values: Any, heads: int) -> Any:
    """Rows (heads * width, ...) in the order of llama.cpp, which rotates neighbours where transformers rotates halves."""
    rows = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return rows.swapaxes(1, 2).reshape(values.shape)


def rope_factors(config: Any) -> Iterator[Tensor]:
    """What Llama 3.1 and later divide the frequencies of the rotary embedding by; nothing for others."""
    import numpy

    rope = config.rope_parameters
    if rope["rope_type"] != "llama3":
        return
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    wavelengths = 2 * math.pi * rope["rope_theta"] ** (numpy.arange(0, width, 2, dtype=numpy.float64) / width)
    low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    smooth = numpy.clip((original / wavelengths - low) / (high - low), 0.0, 1.0)
    factors = 1 / ((1 - smooth) / rope["factor"] + smooth)
    yield Tensor("rope_freqs.weight", factors.shape, lambda: factors.astype(numpy.float32))


def write_tensors(writer: Any, rows: list[Tensor], file_type: str) -> None:
    """Write header, metadata and tensors, one in memory at a time."""
    import numpy
    from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, LlamaFileType
    from gguf.quants import quant_shape_to_byte_shape, quantize

    kinds = [storage(tensor.shape, file_type) for tensor in rows]
    writer.add_file_type(LlamaFileType[f"MOSTLY_{file_type}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    for tensor, kind in zip(rows, kinds, strict=True):
        is_blocks = kind == GGMLQuantizationType.Q8_0
        shape = quant_shape_to_byte_shape(tensor.shape, kind) if is_blocks else tensor.shape
        dtype = numpy.dtype({"F32": numpy.float32, "F16": numpy.float16}.get(kind.name, numpy.uint8))
        writer.add_tensor_info(tensor.name, shape, dtype, math.prod(shape) * dtype.itemsize, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, kind in zip(rows, kinds, strict=True):
        writer.write_tensor_data(quantize(numpy.ascontiguousarray(tensor.read()), kind))
    writer.close()


def storage(shape: tuple[int, ...], file_type: str) -> Any:
    """How the numbers of a tensor are stored."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if len(shape) == 1:
        return GGMLQuantizationType.F32
    kind = GGMLQuantizationType[file_type]
    return kind if shape[-1] % GGML_QUANT_SIZES[kind][0] == 0 else GGMLQuantizationType.F16
