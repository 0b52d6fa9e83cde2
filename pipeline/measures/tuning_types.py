"""Declares the types of what was tuned, as report.json holds them."""

from typing import Any

from pipeline.store.selection_types import Selection


class TuningRow(Selection):
    """Values of training chosen for one cell by the validation loss."""

    cell: str
    label: str
    """Task and point."""
    values: dict[str, Any]
    """By key of `finetune` the value that was chosen."""
    trainings: float
    """The budget in whole trainings: the steps that all trials were planned to take, over those of one training. The chosen one goes on
    from its trial, so its steps up to there are no further cost."""
    seconds: float | None
    """Of training, all trials together; null where the trials do not say."""
    runner_up: float | None
    """The lowest validation loss of those that were compared with the chosen one last; null where all others diverged."""
    at_edge: list[str]
    """Keys whose chosen number is the smallest or the largest that was tried."""
    dev_losses: list[float | None]
    """Validation loss of the adapters by training seed, that of the trials first, in nats/token."""
    optimism: float | None
    """Mean validation loss of the seeds that were trained after the choice, minus that of the seed that it was made by, in nats/token; null
    with one seed. The examples are the same, so it shows the luck of the seed, not that of the validation examples."""
    sentence: str
