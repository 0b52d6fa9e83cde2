"""Keeps the keys of artifacts stable: a parameter that was added later is left out of the key while its value means 'as before'.

A stage always gets all of its parameters, and an old manifest is read as if it held them.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.store.records import is_same

AS_BEFORE: dict[str, dict[str, Any]] = {
    "compare": {"same_within": None},
    "finetune": {
        "init": "default",
        "rank_pattern": {},
        "alpha_pattern": {},
        "layers": None,
        "loraplus_lr_ratio": None,
        "lora_fa": False,
    },
}
"""By stage, every parameter that was added after artifacts of the stage had been made, with the value that means 'as before':
`{"finetune": {"init": "default"}}`. A row is never removed or changed, and is not the default of the recipe key: a default may
change later, what 'as before' means may not."""
FIRST_INPUT_NAMES = {"heldout": "exam", "predictions": "said"}
"""Current name of an input to the name under which the first artifacts were made. A row is never removed or changed."""

FIRST_STAGES = {"reference": "refer", "relevance": "relate", "general_loss": "forget"}
"""Current name of a stage to the name under which the first artifacts were made. A row is never removed or changed."""


def hashed_stage(stage: str) -> str:
    """The original name of a stage, which enters keys and names the folder of its first artifacts."""
    return FIRST_STAGES.get(stage, stage)


def current_stage(name: str) -> str:
    """The stage of a manifest that may be older than its name."""
    return {first: stage for stage, first in FIRST_STAGES.items()}.get(name, name)


def hashed_params(stage: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that enter a key: all but those that say 'as before'."""
    before = AS_BEFORE.get(stage, {})
    return {name: value for name, value in params.items() if not (name in before and is_same(value, before[name]))}


def full_params(stage: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a manifest that may be older than some of them."""
    return {**AS_BEFORE.get(stage, {}), **params}


def hashed_inputs(inputs: Mapping[str, str]) -> dict[str, str]:
    """The digests of inputs under the names that enter a key."""
    return {FIRST_INPUT_NAMES.get(name, name): digest for name, digest in inputs.items()}


def current_inputs(inputs: Mapping[str, str]) -> dict[str, str]:
    """The inputs of a manifest that may be older than some of their names."""
    current = {first: name for name, first in FIRST_INPUT_NAMES.items()}
    return {current.get(name, name): value for name, value in inputs.items()}
