"""Tells which modules of a base get an adapter, of which rank and alpha: layers, and patterns of names, as peft understands them."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipeline.errors import ModelError

LAYER = re.compile(r".*?\.[^.]*\.(\d+)\.")
"""The number of the layer in the full name of a module: the first one, as peft reads it."""
Patterns = Mapping[str, float]
"""By pattern of names a rank or an alpha."""


def layer_of(module: str) -> int | None:
    """The number of the layer that a module belongs to; None outside of them."""
    match = LAYER.match(module)
    return int(match[1]) if match else None


def in_layers(modules: Iterable[str], layers: Collection[int] | None) -> list[str]:
    """The modules of these layers; all where none are named."""
    return [name for name in modules if layers is None or layer_of(name) in layers]


def check_layers(modules: Iterable[str], layers: Iterable[int]) -> None:
    """Raise ModelError for a layer that none of the modules belongs to."""
    present = {layer for name in modules if (layer := layer_of(name)) is not None}
    if missing := sorted(set(layers) - present):
        last = f"Its layers are 0 to {max(present)}." if present else "Leave finetune.layers out."
        raise ModelError(f"finetune.layers: the base has no layer {missing[0]}", last)


def is_target(module: str, targets: str | Collection[str]) -> bool:
    """Whether a linear module gets an adapter, by its full name or the end of it."""
    return targets == "all-linear" or any(module == target or module.endswith(f".{target}") for target in targets)


def ranks(modules: Iterable[str], params: Mapping[str, Any]) -> dict[str, int]:
    """By module its rank.

    Args:
        modules: full names of those that get an adapter.
        params: of finetune.

    Raises:
        ModelError: a pattern fits no module, or two fit one.
    """
    matched = matches("rank_pattern", list(modules), params["rank_pattern"])
    return {name: int(value or params["rank"]) for name, value in matched.items()}


def alphas(module_ranks: Mapping[str, int], params: Mapping[str, Any]) -> dict[str, float]:
    """By module its alpha: of a pattern, or at the scale alpha_per_rank; from ranks(). Raises ModelError as ranks() does."""
    matched = matches("alpha_pattern", list(module_ranks), params["alpha_pattern"])
    return {name: value or alpha(module_ranks[name], params) for name, value in matched.items()}


def alpha(rank: int, params: Mapping[str, Any]) -> float:
    """The alpha that gives the scale alpha_per_rank at every rank: LoRA divides by rank, rsLoRA by its root (arXiv 2312.03732)."""
    return float(params["alpha_per_rank"]) * (math.sqrt(rank) if params["rslora"] else rank)


def patterns(module_ranks: Mapping[str, int], params: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """peft's rank_pattern and alpha_pattern by full names, so that they need no order: of modules that differ from the rest."""
    whole = {"rank_pattern": params["rank"], "alpha_pattern": alpha(params["rank"], params)}
    values = {"rank_pattern": module_ranks, "alpha_pattern": alphas(module_ranks, params)}
    return {key: {name: value for name, value in values[key].items() if value != usual} for key, usual in whole.items()}


def matches(key: str, modules: Collection[str], wanted: Patterns) -> dict[str, float | None]:
    """By module the value of the pattern that fits it, or None. Raises ModelError as ranks() does."""
    fitted: dict[str, tuple[str, float]] = {}
    for pattern, value in sorted(wanted.items()):  # as in the params of a job, where their order is lost
        fitting = [name for name in modules if fits(key, pattern, name)]
        if not fitting:
            ends = ", ".join(sorted({name.rpartition(".")[2] for name in modules}))
            raise ModelError(f"finetune.{key}: '{pattern}' fits no module with an adapter", f"Their names end in {ends}.")
        if twice := next((name for name in fitting if name in fitted), ""):
            raise ModelError(
                f"finetune.{key}: '{fitted[twice][0]}' and '{pattern}' both fit {twice}", "Write patterns that fit no module twice."
            )
        fitted |= dict.fromkeys(fitting, (pattern, value))
    return {name: fitted[name][1] if name in fitted else None for name in modules}


def fits(key: str, pattern: str, module: str) -> bool:
    """Whether a pattern fits the end of a module's name, from a dot on. Raises ModelError where it is none."""
    try:
        return re.match(rf"(.*\.)?({pattern})$", module) is not None
    except re.error as error:
        raise ModelError(f"finetune.{key}: '{pattern}' is no regular expression: {error}", "Write the end of a module's name.") from None
