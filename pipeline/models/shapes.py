"""Describes the shape of a decoder: its linear modules, and counts of parameters, cache and activations. Needs no weights and no torch.

Eleven kinds of transformers' decoders are known, by the `model_type` of their config.json. A kind decides the names of the
linear modules, which of them have biases, and where the norms are; the rest are widths.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.models.adapter_kinds import LORA, AdapterKind

SPLIT = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FUSED = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
PARALLEL = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")
NAMES = {"phi": PARALLEL, "phi3": FUSED}
"""The linear modules of a block, head left out; SPLIT for every other kind."""

KINDS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi", "phi3", "olmo2", "smollm3")
BLOCK_NORMS = {"gemma2": 4, "gemma3_text": 4, "phi": 1}
"""Norms as wide as the hidden state in one block; 2 in every other kind."""
HEAD_NORMS = ("qwen3", "gemma3_text")
"""Kinds that normalize queries and keys head by head, with one weight for all heads; OLMo 2 normalizes all heads at once."""
MLP = ("gate_proj", "up_proj", "gate_up_proj", "down_proj", "fc1", "fc2")
"""Linear modules of the feed-forward part; all others belong to the attention."""
QKV = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True)
class Shape:
    """A decoder of a known kind; widths in features, everything else in counts."""

    kind: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    tied: bool = False
    """The output layer is the embedding."""

    @property
    def query_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def key_width(self) -> int:
        return self.kv_heads * self.head_dim

    @cached_property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Name to (in, out) features of the linear modules of one block, which are what is quantized and what all-linear means."""
        hidden = self.hidden
        query = self.query_width
        key = self.key_width
        ffn = self.ffn
        if self.kind == "phi3":
            sizes = [(hidden, query + 2 * key), (query, hidden), (hidden, 2 * ffn), (ffn, hidden)]
        else:
            up = [(hidden, ffn)] if self.kind == "phi" else [(hidden, ffn), (hidden, ffn)]
            sizes = [(hidden, query), (hidden, key), (hidden, key), (query, hidden), *up, (ffn, hidden)]
        return dict(zip(NAMES.get(self.kind, SPLIT), sizes, strict=True))

    @cached_property
    def modules(self) -> dict[str, tuple[int, int]]:
        """Full name to (in, out) features of the linear modules of all blocks."""
        parts = {name: "mlp" if name in MLP else "self_attn" for name in self.linears}
        return {
            f"model.layers.{layer}.{parts[name]}.{name}": widths for layer in range(self.layers) for name, widths in self.linears.items()
        }

    @property
    def qv(self) -> tuple[str, ...]:
        """The modules of a "q and v" adapter; where q, k and v are one module, that one."""
        return ("qkv_proj",) if self.kind == "phi3" else ("q_proj", "v_proj")

    @property
    def has_gate(self) -> bool:
        """Whether the feed-forward part multiplies by a gate."""
        return self.kind != "phi"

    @property
    def is_eager(self) -> bool:
        """Whether transformers uses eager attention, which stores all attention weights, as soft caps require."""
        return self.kind == "gemma2"

    @cached_property
    def linear_params(self) -> int:
        """Weights of all linear modules but the head, biases left out."""
        return self.layers * sum(in_features * out_features for in_features, out_features in self.linears.values())

    @property
    def head_params(self) -> int:
        return self.hidden * self.vocab

    @property
    def norm_widths(self) -> int:
        """Features that pass through the norms of one block; of OLMo 2, Qwen3 and Gemma 3 with those of queries and keys."""
        inner = self.query_width + self.key_width if self.kind == "olmo2" or self.kind in HEAD_NORMS else 0
        return BLOCK_NORMS.get(self.kind, 2) * self.hidden + inner

    @property
    def small_params(self) -> int:
        """Norms and biases."""
        inner = 2 * self.head_dim if self.kind in HEAD_NORMS else self.norm_widths - BLOCK_NORMS.get(self.kind, 2) * self.hidden
        norms = self.layers * (BLOCK_NORMS.get(self.kind, 2) * self.hidden + inner) + self.hidden
        if self.kind == "phi":  # LayerNorm has a bias as well, and so has every linear and the head
            return 2 * norms + self.layers * sum(out for _, out in self.linears.values()) + self.vocab
        return norms + (self.layers * sum(self.linears[name][1] for name in QKV) if self.kind == "qwen2" else 0)

    @property
    def other_params(self) -> int:
        """What NF4 leaves as it is: embedding, head (one matrix when tied), norms and biases."""
        return self.head_params * (1 if self.tied else 2) + self.small_params

    @property
    def params(self) -> int:
        return self.linear_params + self.other_params

    @property
    def kv_bytes(self) -> int:
        """Bytes of the key-value cache for one token in bf16."""
        return 4 * self.layers * self.key_width

    def attention_flop(self, context: float) -> float:
        """Forward FLOP of one token's attention over `context` keys."""
        return self.layers * 4 * self.query_width * context

    def adapter_params(self, rank: int, targets: tuple[str, ...] = (), kind: AdapterKind = LORA) -> int:
        """Weights of an adapter on these modules; on every one if none is named."""
        return self.layers * kind.parameter_count(rank, [self.linears[name] for name in targets or self.linears])


def of_config(config: dict[str, Any]) -> Shape | None:
    """The shape that a config.json describes; None if its kind is not known here.

    A multimodal Gemma 3 counts as its text part.
    """
    if config.get("model_type") == "gemma3":
        config = {**config["text_config"], "model_type": "gemma3_text"}
    kind = config.get("model_type")
    if kind not in KINDS:
        return None
    try:
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        return Shape(
            kind,
            hidden,
            config["num_hidden_layers"],
            heads,
            config.get("num_key_value_heads") or heads,
            config.get("head_dim") or hidden // heads,
            config["intermediate_size"],
            config["vocab_size"],
            bool(config.get("tie_word_embeddings", kind in ("gemma", "gemma2", "gemma3_text", "smollm3"))),  # their classes' default
        )
    except (KeyError, TypeError):
        return None  # an older config.json that leaves widths to the class


def of_folder(folder: Path) -> Shape | None:
    """The shape of the model in a folder; None if it holds no config.json of a known kind."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return of_config(config) if isinstance(config, dict) else None
