"""Lists the methods of LoRA by name with the keys that they set, which keys cannot be combined, and why some methods are refused"""

from collections.abc import Mapping
from typing import Any, Literal

Method = Literal["lora", "rslora", "dora", "gaussian", "eva", "lora+", "lora-fa", "adalora"]
Init = Literal["default", "gaussian", "eva"]
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "gaussian": {"init": "gaussian"},
    "eva": {"init": "eva"},
    "lora+": {"loraplus_lr_ratio": 16.0},
    "lora-fa": {"lora_fa": True},
    "adalora": {"adalora": True},
}
"""By method the keys of `finetune` that it sets; 16 is the ratio that the authors of LoRA+ recommend (arXiv 2402.12354)."""
SWITCHES = ("rslora", "dora", "init", "loraplus_lr_ratio", "lora_fa", "adalora")
"""The keys that a method sets."""
LABELS = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "gaussian": "LoRA, Gaussian init",
    "eva": "EVA",
    "lora+": "LoRA+",
    "lora-fa": "LoRA-FA",
    "adalora": "AdaLoRA",
}
"""By method its name for people."""
ADALORA = "adalora_"
"""Begins the keys that matter to AdaLoRA alone."""
REWRITE = ("pissa", "olora", "corda", "loftq", "mica", "milora", "kasa")
"""Begin the names of methods that write other weights into the base."""
NO_COMPARISON = (
    "rewrites the weights of the base, and base and fine-tuned are compared on the same ones, with the adapter off and on. "
    "Write init: eva, or train it elsewhere, merge it, and compare it as a model under variants"
)

CLASHES: dict[str, tuple[str, ...]] = {
    "adalora": ("rslora", "dora", "init", "loraplus_lr_ratio", "lora_fa", "rank_pattern", "alpha_pattern"),
    "lora_fa": ("dora", "loraplus_lr_ratio"),
    "init": ("rank_pattern", "alpha_pattern"),
}
"""By key those that cannot stand beside it; of `init` only eva."""
REASONS = {
    "adalora": "AdaLoRA trains matrices, scale and ranks of its own",
    "lora_fa": "LoRA-FA trains the B matrices alone, by an optimizer of its own",
    "init": "EVA gives every module its rank by what it finds in the data",
}


def refuse_rewriting(value: object) -> object:
    """A method or an init as it is.

    Raises:
        ValueError: it changes the weights of the base, so that nothing could be compared on them.
    """
    if isinstance(value, str) and value.lower().startswith(REWRITE):
        raise ValueError(f"'{value}' {NO_COMPARISON}")
    return value


def clash(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Two keys that cannot be combined, in a sentence; empty where there are none.

    Args:
        settings, defaults: keys of the section `finetune` with their values, methods resolved.
    """
    for key, others in CLASHES.items():
        if settings[key] == defaults[key] or (key == "init" and settings[key] != "eva"):
            continue
        if other := next((name for name in others if settings[name] != defaults[name]), ""):
            setting = "init: eva" if key == "init" else key
            return f"finetune: {setting} and {other} cannot be combined: {REASONS[key]}. Leave one of them out"
    return ""
