"""Allocates ranks to modules while AdaLoRA trains: its orthogonality penalty, its pruning by peft, and what a resume point keeps"""

from typing import Any

from pipeline.errors import TrainingError

AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What peft's allocator remembers of the importance of each weight."""


class RankAllocation:
    """AdaLoRA's part of an optimizer step.

    Args:
        model: a PeftModel with an AdaLoRA adapter.
    """

    def __init__(self, model: Any) -> None:
        self.tuner = model.base_model
        self.config = model.active_peft_config

    def is_final(self, step: int) -> bool:
        """Whether the ranks are the final ones after this optimizer step, the first is 1."""
        return bool(step >= self.config.total_step - self.config.tfinal)

    def add_penalty_gradients(self) -> None:
        """Add the gradients of the penalty on directions that are not orthogonal, once per optimizer step."""
        import torch

        matrices = [(name, value) for name, value in self.tuner.model.named_parameters() if "lora_A" in name or "lora_B" in name]
        penalty = 0.0
        for name, value in matrices:
            products = value @ value.T if "lora_A" in name else value.T @ value
            penalty = penalty + torch.norm(products - torch.eye(len(products), device=value.device), p="fro")
        (self.config.orth_reg_weight * penalty / len(matrices)).backward()

    def prune(self, step: int) -> None:
        """Update the importance of all directions by their gradients, and zero those beyond the budget.

        Args:
            step: the optimizer step that was made, the first is 1.
        """
        self.tuner.update_and_allocate(step)

    def state_dict(self) -> dict[str, Any]:
        return {
            **{name: dict(getattr(self.tuner.rankallocator, name)) for name in AVERAGES},
            "masks": {name: list(mask) for name, mask in (self.config.rank_pattern or {}).items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = next(self.tuner.model.parameters()).device
        for name in AVERAGES:
            setattr(self.tuner.rankallocator, name, {key: value.to(device) for key, value in state[name].items()})
        self.config.rank_pattern = dict(state["masks"]) or None


def allocation_of(model: Any, steps: int) -> RankAllocation | None:
    """The allocation of an AdaLoRA adapter; None for any other.

    Raises:
        TrainingError: there are too few steps to prune in.
    """
    if model.active_peft_config.peft_type != "ADALORA":
        return None
    if steps < model.active_peft_config.total_step:
        raise TrainingError(
            "AdaLoRA measures the importance of directions in one step and prunes in a later one, and there is one step in all",
            "Train for more steps (raise finetune.epochs, or lower finetune.batch_examples), or leave finetune.adalora out.",
        )
    return RankAllocation(model)
