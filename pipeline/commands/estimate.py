"""Estimates memory and time of training and generation on four graphics cards, from a base's shape and the token counts alone.

The formulas are those of roofline limits: work over the card's peak, traffic over its bandwidth. The switches stand for what this
project does: no checkpointing, eager transformers, adapters in fp32 under autocast, everything unquantized in bf16, a micro-batch of
at most engine.CUDA_TOKENS padded tokens, halved where it does not fit. Memory was compared with published peaks of other
programs (error 10 %); no time was measured. Bytes are decimal: a card of 24 GB has 24e9.
"""

import re
from dataclasses import dataclass, replace
from math import ceil

from pipeline.engine.batching import CUDA_TOKENS
from pipeline.models.adapter_kinds import LORA, AdapterKind
from pipeline.models.shapes import Shape

NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes per weight: four bits, an 8-bit scale for 64 weights, a 32-bit scale for 256 of those."""
BF16 = 2.0
ADAPTER_WEIGHT = 4.0
"""Bytes of a weight of an adapter, which is kept in fp32."""
UTILIZATION = 0.4
"""Share of the roofline limit that a job reaches. Published QLoRA and LoRA runs reach 0.21 to 0.54 (tables of LLaMA-Factory and Qwen,
torchtune's README)."""
USABLE_MEMORY = 0.92
"""Share of a card's memory; the driver and fragmentation take the rest."""
STEP_OVERHEAD = 0.2 / 32
"""Seconds per layer that Python needs to launch a training micro-step, however small; a guess, not measured."""
DECODE_OVERHEAD = {"bf16": 0.025 / 32, "nf4": 0.041 / 32, "nf4-unfused": 0.041 / 32}
"""Least seconds per layer of a decoding step, by the format of the weights: 24-26 and 33-49 ms of a Llama-3.1-8B on an H100
(bitsandbytes 0.45, benchmarking/README.md)."""
DECODE_BYTES = {"nf4": NF4, "bf16": BF16, "nf4-unfused": NF4 + 2 * BF16}
"""Bytes per weight that a decoding step moves: fused kernel, dense copy, or dequantized to memory and read again."""


@dataclass(frozen=True)
class Gpu:
    """A card by its data sheet."""

    name: str
    flops: float
    """Dense bf16 with fp32 accumulation, FLOP/s."""
    bandwidth: float
    """Bytes/s."""
    memory: float
    fused_rows: int
    """Rows up to which bitsandbytes 0.50 multiplies by 4-bit weights without dequantizing them to memory first, in most modules of a 7B."""
    cuda_name: str
    """A regular expression for its name in CUDA, without its slower variants."""


GPUS = (
    Gpu("A10G", 70e12, 600e9, 24e9, 64, r"NVIDIA A10G"),
    Gpu("RTX 4090", 165.2e12, 1008e9, 24e9, 8, r"NVIDIA GeForce RTX 4090"),
    Gpu("A100-80", 312e12, 2039e9, 80e9, 5, r"NVIDIA A100.*80GB.*"),
    Gpu("H100", 989.4e12, 3350e9, 80e9, 5, r"NVIDIA H100 80GB HBM3"),
)


def named(cuda_name: str) -> Gpu | None:
    """The card of the table that CUDA calls so; None if it is not there."""
    return next((gpu for gpu in GPUS if re.fullmatch(gpu.cuda_name, cuda_name)), None)


@dataclass(frozen=True)
class TrainingProgram:
    """What a training program keeps in memory and what it computes again.

    The defaults are this project's. Other values describe other programs, whose published peaks of memory the formulas are
    tested against.
    """

    other_bytes: float = BF16
    """Bytes per parameter of embedding, head and norms; 4 after peft's prepare_model_for_kbit_training."""
    adapter_bytes: float = 16
    """Bytes per adapter weight: in fp32, with its gradient and Adam's two moments."""
    checkpointing: bool = False
    """Gradient checkpointing: only the input of a layer is kept, and the layer runs again in the backward pass."""
    fused: bool = False
    """Norms and the gate are computed again in the backward pass instead of being kept."""
    logit_share: float = 1.0
    """Share of the tokens that the output layer runs on; here only those that predict a target."""
    logit_bytes: float = 4
    """Bytes per logit that the head computes: in bf16, with its gradient."""
    target_bytes: float = 12
    """Bytes per logit of a target: in fp32, with its log-probability and gradient."""
    context: float = 0.5e9
    """Bytes of the CUDA context and of the allocator itself."""


@dataclass(frozen=True)
class AdapterSetup:
    """The adapter of a training job and the precision of its base."""

    rank: int = 16
    targets: tuple[str, ...] = ()
    """Adapted modules; every linear if none is named."""
    kind: AdapterKind = LORA
    weight_bytes: float = NF4
    dropout: bool = False
    target_share: float = 1.0
    """Share of the tokens that carry loss."""
    program: TrainingProgram = TrainingProgram()
    weights: int | None = None
    """Of the adapter, where its modules differ in rank; unset: of one rank on all of them."""
    frozen_weights: int = 0
    """Those of them that are not trained."""

    def params(self, shape: Shape) -> int:
        """Weights of the adapter on a base."""
        return shape.adapter_params(self.rank, self.targets, self.kind) if self.weights is None else self.weights


@dataclass(frozen=True)
class Training:
    """What decides the cost of a fine-tuning job."""

    method: AdapterSetup
    steps: int
    """Optimizer steps."""
    batch: int
    """Examples per optimizer step."""
    tokens: float
    """Mean tokens of prompt and answer together."""
    longest: int
    """Most tokens of prompt and answer together."""
    dev_tokens: float = 0.0
    """Tokens read for the dev loss, over the whole run."""


@dataclass(frozen=True)
class Generation:
    """What decides the cost of a generation job."""

    examples: int
    prompt: float
    """Mean tokens of a prompt."""
    longest: int
    """Most tokens of a prompt, the limit of new tokens added."""
    limit: int
    """Limit of new tokens."""
    steps: float
    """Decoding steps until a batch is done."""
    weight_bytes: float = NF4
    adapter: AdapterSetup | None = None
    models: int = 1
    """Models of this shape in memory: two where base and a whole fine-tuned model are measured side by side."""
    choices: int = 0
    """Choices per prompt whose log-likelihood is computed."""


@dataclass(frozen=True)
class CardEstimate:
    """What a job takes on one card."""

    bytes: float
    """At the peak."""
    seconds: float
    fits: bool


def estimate(shape: Shape, work: Training | Generation) -> dict[str, CardEstimate]:
    """Name of a card to the peak bytes and the seconds of a job there; where it does not fit, bytes of its minimum."""
    if isinstance(work, Training):
        return {gpu.name: training_estimate(shape, work, gpu) for gpu in GPUS}
    return {gpu.name: generation_estimate(shape, work, gpu) for gpu in GPUS}


def min_bytes(shape: Shape, work: Training | Generation) -> float:
    """Peak bytes with the longest example alone in its micro-batch, or of answering without a dense copy of the weights."""
    if isinstance(work, Training):
        return sum(train_memory(shape, work.method, work.tokens, work.longest).values())
    return sum(answer_memory(shape, work, batch_tokens(work), dense=False).values())


def pass_memory(shape: Shape, work: Training | Generation, max_tokens: int) -> float:
    """Bytes of activations, cache and logits in the largest pass, of at most `max_tokens` padded tokens, but of no more than there are."""
    if isinstance(work, Training):
        tokens = max(work.longest, min(max_tokens, work.batch * work.longest))
        parts = train_memory(shape, work.method, work.tokens, tokens)
    else:
        tokens = max(work.longest, min(max_tokens, work.examples * work.longest))
        parts = answer_memory(shape, work, tokens, dense=False)
    return sum(parts.get(name, 0.0) for name in ("activations", "cache", "logits"))


def train_flop(shape: Shape, method: AdapterSetup, length: float) -> float:
    """FLOP of training on one token of a document of `length` tokens.

    The frozen weights cost a forward and an input gradient, 4 FLOP each and not 6; attention 1 + 2 times; an adapter all three products.
    """
    adapter = method.params(shape)
    attention = shape.attention_flop(length / 2)
    forward = 2 * shape.linear_params + attention
    recomputed = forward + 2 * adapter if method.program.checkpointing else 0.0
    return (
        2 * forward + attention + recomputed + 6 * adapter - 2 * method.frozen_weights + 4 * shape.head_params * method.program.logit_share
    )


def dequant_seconds(shape: Shape, gpu: Gpu, passes: int = 2) -> float:
    """Reading all 4-bit weights and writing them out in bf16, once per pass: forward, backward, and forward again if checkpointed."""
    return passes * shape.linear_params * (NF4 + BF16) / gpu.bandwidth


def step_seconds(shape: Shape, method: AdapterSetup, gpu: Gpu, length: float, tokens: float) -> float:
    """The least time of one micro-step; the terms add, since writing out weights and multiplying by them are separate kernels."""
    dequantization = dequant_seconds(shape, gpu, 3 if method.program.checkpointing else 2) if method.weight_bytes < BF16 else 0.0
    return tokens * train_flop(shape, method, length) / gpu.flops + dequantization


def forward_flop(shape: Shape, length: float, logit_share: float = 1.0) -> float:
    """FLOP of a forward pass for one token of a document of `length` tokens."""
    return 2 * (shape.linear_params + logit_share * shape.head_params) + shape.attention_flop(length / 2)


def decode_seconds(shape: Shape, gpu: Gpu, batch: int, context: float, weights: str) -> float:
    """The least time of one decoding step: moving weights and cache, or the products, whichever is longer.

    Args:
        weights: `nf4`, `bf16` or `nf4-unfused`, as in READ.
    """
    bytes_moved = DECODE_BYTES[weights] * shape.linear_params + 2 * shape.head_params + batch * context * shape.kv_bytes
    compute = batch * (2 * (shape.linear_params + shape.head_params) + shape.attention_flop(context)) / gpu.flops
    dequantization = dequant_seconds(shape, gpu, 1) if weights == "nf4-unfused" else 0.0
    return max(bytes_moved / gpu.bandwidth, compute + dequantization)


def layer_bytes(shape: Shape, method: AdapterSetup, length: float) -> float:
    """What one layer keeps of one token for the backward pass: norms with their fp32 copies, q, k, v, attention, gate, up and product."""
    norm, wide = (3, 4) if method.program.fused else (6, 8)
    size = norm * shape.norm_widths + 6 * shape.query_width + 4 * shape.key_width + (wide if shape.has_gate else wide / 2) * shape.ffn
    if method.dropout:  # the dropped input of every adapted module and its mask
        size += 3 * sum(shape.linears[name][0] for name in method.targets or shape.linears)
    return size + (10 * shape.heads * length if shape.is_eager else 0)


def train_memory(shape: Shape, method: AdapterSetup, length: float, tokens: float) -> dict[str, float]:
    """Peak bytes of a micro-step of `tokens` tokens in documents of `length`, by part."""
    program = method.program
    layer = layer_bytes(shape, method, length)
    activations = 2 * shape.hidden * shape.layers + layer if program.checkpointing else layer * shape.layers
    return {
        "weights": weight_memory(shape, method.weight_bytes, program.other_bytes),
        "adapter": (method.params(shape) - method.frozen_weights) * program.adapter_bytes + method.frozen_weights * ADAPTER_WEIGHT,
        "activations": tokens * activations,
        "logits": tokens * shape.vocab * (program.logit_share * program.logit_bytes + method.target_share * program.target_bytes),
        "workspace": workspace(shape),
        "context": program.context,
    }


def weight_memory(shape: Shape, weight_bytes: float, other_bytes: float = BF16) -> float:
    return shape.linear_params * weight_bytes + shape.other_params * other_bytes


def workspace(shape: Shape) -> float:
    """One weight written out in bf16."""
    return BF16 * max(in_features * out_features for in_features, out_features in shape.linears.values())


def answer_memory(shape: Shape, work: Generation, tokens: float, dense: bool) -> dict[str, float]:
    """Peak bytes of a batch of `tokens` tokens, prompts and new ones, by part."""
    method = work.adapter or AdapterSetup(rank=0)
    scored = BF16 + 8 if work.choices else 0  # a logit in bf16 and fp32, its log-probability
    return {
        "weights": work.models * weight_memory(shape, work.weight_bytes),
        "dense weights": work.models * BF16 * shape.linear_params if dense else workspace(shape),
        "adapter": ADAPTER_WEIGHT * method.params(shape),
        "cache": tokens * shape.kv_bytes,
        "activations": tokens * (layer_bytes(shape, AdapterSetup(), work.longest) + 4 * shape.hidden),  # of one layer, and the residual
        "logits": tokens * shape.vocab * scored,
        "context": method.program.context,
    }


def batch_tokens(work: Generation) -> int:
    """Tokens of the largest batch, prompts and new ones."""
    return max(work.longest, min(CUDA_TOKENS, work.examples * work.longest))


def holds_dense_copy(shape: Shape, weight_bytes: float, gpu: Gpu, models: int = 1) -> bool:
    """Whether a job holds its 4-bit weights dense as well: twice their size must be free (dense_weights.dequantized)."""
    free = gpu.memory - TrainingProgram().context - models * weight_memory(shape, weight_bytes)
    return weight_bytes < BF16 and 2 * BF16 * models * shape.linear_params < free


def training_estimate(shape: Shape, work: Training, gpu: Gpu) -> CardEstimate:
    """Where training runs out of memory, it drops a dense copy of its weights, then halves its micro-batch, down to one example."""
    usable = USABLE_MEMORY * gpu.memory
    tokens = max(work.longest, min(CUDA_TOKENS, work.batch * work.longest))
    copy = BF16 * shape.linear_params - workspace(shape)
    dense = holds_dense_copy(shape, work.method.weight_bytes, gpu) and training_peak(shape, work, tokens) + copy <= usable
    method = replace(work.method, weight_bytes=BF16) if dense else work.method
    while tokens > work.longest and training_peak(shape, work, tokens) > usable:
        tokens = max(work.longest, tokens // 2)
    passes = ceil(work.batch * work.tokens / tokens)
    roofline = step_seconds(shape, method, gpu, work.tokens, work.batch * work.tokens / passes) * passes
    dev = work.dev_tokens * forward_flop(shape, work.tokens) / gpu.flops
    seconds = max(roofline / UTILIZATION, passes * STEP_OVERHEAD * shape.layers) * work.steps + dev / UTILIZATION
    peak = training_peak(shape, work, tokens) + (copy if dense else 0.0)
    return CardEstimate(peak, seconds, peak <= usable)


def training_peak(shape: Shape, work: Training, tokens: float) -> float:
    return sum(train_memory(shape, work.method, work.tokens, tokens).values())


def generation_estimate(shape: Shape, work: Generation, gpu: Gpu) -> CardEstimate:
    dense = holds_dense_copy(shape, work.weight_bytes, gpu, work.models)
    batch = max(1, int(CUDA_TOKENS / (work.prompt + work.limit)))
    batches = ceil(work.examples / batch)
    batch = ceil(work.examples / batches)
    quantized = work.weight_bytes < BF16 and not dense
    weights = ("nf4" if batch <= gpu.fused_rows else "nf4-unfused") if quantized else "bf16"
    step = decode_seconds(shape, gpu, batch, work.prompt + work.steps / 2, weights)
    reading = (
        work.examples
        * work.prompt
        * (forward_flop(shape, work.prompt, 0.0) + bool(work.choices) * forward_flop(shape, work.prompt))
        / gpu.flops
    )
    reading += dequant_seconds(shape, gpu, 1) * batches * (1 + bool(work.choices)) if quantized else 0.0
    seconds = reading / UTILIZATION + batches * work.steps * max(step / UTILIZATION, DECODE_OVERHEAD[weights] * shape.layers)
    peak = sum(answer_memory(shape, work, batch_tokens(work), dense).values())
    return CardEstimate(peak, seconds, peak <= USABLE_MEMORY * gpu.memory)
