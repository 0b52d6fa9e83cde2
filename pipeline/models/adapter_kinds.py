"""Defines the kinds of adapter: peft config, modules that carry it, when it is dead, number of parameters, description.

A new kind is a class and a line in KINDS; training, the liveness gate, estimates and model cards read it.
"""

import math
from collections.abc import Iterable
from typing import Any, Protocol

DEFAULT = "lora"


class AdapterKind(Protocol):
    """A kind of adapter that peft trains."""

    name: str
    """In the params of a job; peft's name in lower case."""
    label: str
    """In model cards and messages."""
    liveness_tensor: str
    """Part of the name of the tensors that decide whether it is alive, and an attribute of every module that carries it."""
    neutral_value: float = 0.0
    """The value of those tensors at which the adapter changes nothing."""

    def config(self, params: dict[str, Any], targets: str | list[str], exclude: list[str] | None) -> Any:
        """The configuration of peft.

        Args:
            params: of the stage finetune.
            targets: `all-linear`, or names of modules.
            exclude: full names of modules that get no adapter.
        """
        ...

    def parameter_count(self, rank: int, widths: Iterable[tuple[int, int]]) -> int:
        """Trained weights on linear modules of these widths, (in, out)."""
        ...

    def description(self, params: dict[str, Any]) -> str:
        """The adapter in a few words, for the start of a model card."""
        return f"{self.label} adapter"


class Lora(AdapterKind):
    """LoRA, with rank-stabilized scaling (rslora) and weight decomposition (dora) as options."""

    name = "lora"
    label = "LoRA"
    liveness_tensor = "lora_B"

    def config(self, params: dict[str, Any], targets: str | list[str], exclude: list[str] | None) -> Any:
        from peft import LoraConfig

        return LoraConfig(
            task_type="CAUSAL_LM", r=params["rank"], lora_alpha=alpha(params), target_modules=targets, lora_dropout=params["dropout"],
            use_rslora=params["rslora"], use_dora=params["dora"], bias="none", exclude_modules=exclude,
        )  # fmt: skip

    def parameter_count(self, rank: int, widths: Iterable[tuple[int, int]]) -> int:
        return rank * sum(sum(width) for width in widths)

    def description(self, params: dict[str, Any]) -> str:
        return f"{self.label} adapter of rank {params['rank']}"


def alpha(params: dict[str, Any]) -> float:
    """The alpha that gives the scale alpha_per_rank at every rank: LoRA divides by rank, rsLoRA by its root (arXiv 2312.03732)."""
    rank: int = params["rank"]
    return float(params["alpha_per_rank"]) * (math.sqrt(rank) if params["rslora"] else rank)


LORA = Lora()
KINDS: dict[str, AdapterKind] = {LORA.name: LORA}


def of_params(params: dict[str, Any]) -> AdapterKind:
    """The kind that a fine-tuning job trains; `adapter_kind` is in the params only if it is not the default."""
    return KINDS[params.get("adapter_kind", DEFAULT)]


def of_model(model: Any) -> AdapterKind:
    """The kind of the adapter on a PeftModel."""
    return KINDS[model.active_peft_config.peft_type.value.lower()]
