"""Declares the types of what was tuned: the trials of a task at a point, as files and report.json hold them."""

from typing import Any, Literal, TypedDict


class Rung(TypedDict):
    """One stretch of a trial, and the validation loss at its end."""

    part: int
    """One part in this many of the steps of the whole training; 1: all."""
    steps: int
    """Optimizer steps from the start."""
    total_steps: int
    """Of the whole training."""
    dev_loss: float | None
    """Nats per token; null where training diverged."""
    fault: str
    """Why it diverged; empty where it did not."""


class TrialRow(TypedDict):
    """One value, or several together, that were tried."""

    values: dict[str, Any]
    """By key of `finetune`."""
    rungs: list[Rung]
    """Several where successive halving let it go on."""


class Selection(TypedDict):
    """selection.json."""

    keys: list[str]
    """Keys of `finetune` that were searched."""
    sampler: Literal["tpe"] | None
    halving: int | None
    seed: int
    """The training seed of all trials."""
    trials: list[TrialRow]
    chosen: int
    """Place of the chosen trial."""
