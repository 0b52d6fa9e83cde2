"""Defines the kinds of adapter: peft config, modules that carry it, when it is dead, number of parameters, description.

A new kind is a class and a line in KINDS; training, the liveness gate, estimates and model cards read it.
"""

import math
from collections.abc import Iterable
from typing import Any, Protocol

from pipeline.models.module_ranks import alpha

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
    tag: str = "lora"
    """Of its kind on the hub, by the files that are written."""
    prunes: bool = False
    """Whether some modules may end without an update, as the method means it."""

    def config(self, params: dict[str, Any], targets: str | list[str], exclude: list[str] | None) -> Any:
        """The configuration of peft.

        Args:
            params: of the stage finetune, with `rank_pattern` and `alpha_pattern` by full names and `steps`, the optimizer steps.
            targets: `all-linear`, or names of modules.
            exclude: full names of modules that get no adapter.
        """
        ...

    def parameter_count(self, rank: int, widths: Iterable[tuple[int, int]]) -> int:
        """Weights on linear modules of these widths, (in, out)."""
        ...

    def first_rank(self, params: dict[str, Any]) -> int:
        """The rank with which training begins."""
        return int(params["rank"])

    def description(self, params: dict[str, Any]) -> str:
        """The adapter in a few words, for the start of a model card."""
        return f"{self.label} adapter"


class Lora(AdapterKind):
    """LoRA with its options: rank-stabilized scaling (rslora), weight decomposition (dora), inits, and ranks and alphas by module."""

    name = "lora"
    label = "LoRA"
    liveness_tensor = "lora_B"

    def config(self, params: dict[str, Any], targets: str | list[str], exclude: list[str] | None) -> Any:
        from peft import EvaConfig, LoraConfig

        # peft's mask of prompts is off: where answers are a word, it leaves fewer tokens in a batch than there are directions to find
        eva = EvaConfig(rho=params["eva_rho"], use_label_mask=False) if params["init"] == "eva" else None
        return LoraConfig(
            task_type="CAUSAL_LM", r=params["rank"], lora_alpha=alpha(params["rank"], params), target_modules=targets,
            lora_dropout=params["dropout"], use_rslora=params["rslora"], use_dora=params["dora"], bias="none", exclude_modules=exclude,
            rank_pattern=params["rank_pattern"], alpha_pattern=params["alpha_pattern"],
            init_lora_weights=True if params["init"] == "default" else params["init"], eva_config=eva,
        )  # fmt: skip

    def parameter_count(self, rank: int, widths: Iterable[tuple[int, int]]) -> int:
        return rank * sum(sum(width) for width in widths)

    def description(self, params: dict[str, Any]) -> str:
        return f"{self.label} adapter of rank {params['rank']}"


class AdaLora(AdapterKind):
    """AdaLoRA: B diag(E) A, whose least important directions are pruned (arXiv 2303.10512); written as LoRA, see adalora.py."""

    name = "adalora"
    label = "AdaLoRA"
    liveness_tensor = "lora_E"
    prunes = True

    def config(self, params: dict[str, Any], targets: str | list[str], exclude: list[str] | None) -> Any:
        from peft import AdaLoraConfig

        rank, steps = self.first_rank(params), params["steps"]
        end = min(int(params["adalora_end"] * steps), steps - 2)  # a first step measures importance before the last pruning
        return AdaLoraConfig(
            task_type="CAUSAL_LM", target_r=params["rank"], init_r=rank, lora_alpha=alpha(rank, params), target_modules=targets,
            lora_dropout=params["dropout"], exclude_modules=exclude, total_step=steps, tinit=int(params["adalora_start"] * steps),
            tfinal=end, deltaT=params["adalora_every"], orth_reg_weight=params["adalora_orthogonality"],
        )  # fmt: skip

    def parameter_count(self, rank: int, widths: Iterable[tuple[int, int]]) -> int:
        return rank * sum(sum(width) + 1 for width in widths)

    def first_rank(self, params: dict[str, Any]) -> int:
        return int(params["adalora_initial_rank"] or math.ceil(1.5 * params["rank"]))

    def description(self, params: dict[str, Any]) -> str:
        return f"LoRA adapter of mean rank {params['rank']}, allocated by AdaLoRA,"


LORA = Lora()
KINDS: dict[str, AdapterKind] = {kind.name: kind for kind in (LORA, AdaLora())}


def of_params(params: dict[str, Any]) -> AdapterKind:
    """The kind that a fine-tuning job trains; `adapter_kind` is in the params only if it is not the default."""
    return KINDS[params.get("adapter_kind", DEFAULT)]


def of_model(model: Any) -> AdapterKind:
    """The kind of the adapter on a PeftModel."""
    return KINDS[model.active_peft_config.peft_type.value.lower()]
