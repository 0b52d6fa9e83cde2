"""Selects, by the validation loss of trials, the values that an adapter is trained with. The test set plays no part."""

import math
from collections.abc import Sequence
from statistics import fmean

from pipeline.store.selection_types import TrialRow


def survivors(losses: Sequence[float | None], count: int) -> list[int]:
    """The places of the lowest losses, in order of place; of equal ones the first are taken.

    Args:
        losses: of trials after as many steps each; None where training diverged.
        count: how many are taken.
    """
    ranked = sorted(range(len(losses)), key=lambda place: (order(losses[place]), place))
    return sorted(ranked[:count])


def order(loss: float | None) -> float:
    """A loss as it is compared: a training that diverged comes last."""
    return math.inf if loss is None else loss


def last_loss(trial: TrialRow) -> float | None:
    """The validation loss of a trial when it was last looked at."""
    return trial["rungs"][-1]["dev_loss"]


def chosen(trials: Sequence[TrialRow]) -> int:
    """The place of the trial that is chosen: of those that went furthest the one with the lowest loss."""
    furthest = min(trial["rungs"][-1]["part"] for trial in trials)
    finalists = [place for place, trial in enumerate(trials) if trial["rungs"][-1]["part"] == furthest]
    return finalists[survivors([last_loss(trials[place]) for place in finalists], 1)[0]]


def trainings(trials: Sequence[TrialRow]) -> float:
    """The budget of a search in whole trainings: the steps that all trials were planned to take, over those of one training."""
    return math.fsum(1 / trial["rungs"][-1]["part"] for trial in trials)


def is_at_the_edge(trials: Sequence[TrialRow], key: str, place: int) -> bool:
    """Whether a chosen number is the smallest or the largest that was tried, so that the best one may lie beyond."""
    values = sorted({trial["values"][key] for trial in trials})
    return len(values) > 2 and trials[place]["values"][key] in (values[0], values[-1])


def optimism(dev_losses: Sequence[float | None]) -> float | None:
    """How much lower the validation loss is that the choice was made by than the mean of seeds that were trained after it.

    Args:
        dev_losses: of the chosen values by training seed, that of the trials first, in nats per token.

    Returns:
        Nats per token, above zero where the choice flattered itself; None with one seed.
    """
    first, *others = dev_losses
    measured = [loss for loss in others if loss is not None]
    return fmean(measured) - first if first is not None and measured and len(measured) == len(others) else None
