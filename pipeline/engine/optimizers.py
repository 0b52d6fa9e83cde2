"""Makes the optimizer of a training: AdamW, or what LoRA+ and LoRA-FA put in its place, by peft's own functions"""

from typing import Any

from pipeline.models.adapters import trainable_parameters


def optimizer_of(model: Any, params: dict[str, Any]) -> Any:
    """The optimizer over what is trained of a PeftModel; of LoRA-FA the A matrices are frozen here.

    Args:
        params: of finetune.
    """
    import torch

    rate, decay = params["learning_rate"], params["weight_decay"]
    if params["lora_fa"]:
        return lora_fa(model, rate, decay)
    if params["loraplus_lr_ratio"] is not None:
        return lora_plus(model, rate, params["loraplus_lr_ratio"], decay)
    return torch.optim.AdamW(trainable_parameters(model).values(), lr=rate, weight_decay=decay)


def lora_plus(model: Any, rate: float, ratio: float, decay: float) -> Any:
    """AdamW in which the B matrices learn `ratio` times as fast as the A matrices (arXiv 2402.12354)."""
    import torch
    from peft.optimizers import create_loraplus_optimizer

    settings = {"lr": rate, "loraplus_lr_ratio": ratio, "loraplus_weight_decay": decay}
    return create_loraplus_optimizer(model, torch.optim.AdamW, **settings)


def lora_fa(model: Any, rate: float, decay: float) -> Any:
    """Adam over the B matrices, whose gradients are projected (arXiv 2308.03303); the A matrices are frozen."""
    from peft.optimizers import create_lorafa_optimizer

    config = model.active_peft_config
    optimizer = create_lorafa_optimizer(model, config.r, config.lora_alpha, rate, decay)
    optimizer.register_load_state_dict_post_hook(move_state)
    return optimizer


def move_state(optimizer: Any) -> None:
    """Move a state that was loaded to where the parameters are; torch knows only states that belong to a parameter, not to a name."""
    import torch

    device = optimizer.param_groups[0]["params"][0].device
    for name, state in optimizer.state.items():
        optimizer.state[name] = {key: value.to(device) if torch.is_tensor(value) else value for key, value in state.items()}
