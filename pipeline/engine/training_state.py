"""Holds the state of training: the order of the data, the resume point that survives a crash, and the loss curve."""

import csv
import math
import os
import time
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

from pipeline.engine.rank_allocation import RankAllocation
from pipeline.store.disk import set_aside


@cache
def epoch_order(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    """The examples of one epoch, shuffled; a function of its arguments alone, so it needs no saving."""
    import numpy as np

    return tuple(int(i) for i in np.random.default_rng([seed, epoch]).permutation(count))


def batch_indices(count: int, params: dict[str, Any], step: int) -> tuple[int, ...]:
    """Indices of the examples of an optimizer step; the last step of an epoch may be smaller."""
    batch, steps = params["batch_examples"], steps_per_epoch(count, params)
    start = step % steps * batch
    return epoch_order(count, params["seed"], step // steps)[start : start + batch]


def steps_per_epoch(count: int, params: dict[str, Any]) -> int:
    """Optimizer steps of one epoch; the last one may hold fewer examples."""
    return -(-count // int(params["batch_examples"]))


def total_steps(count: int, params: dict[str, Any]) -> int:
    """Optimizer steps of a run, at most max_steps."""
    steps = steps_per_epoch(count, params) * int(params["epochs"])
    return min(steps, params["max_steps"]) if params["max_steps"] else steps


def steps_of_part(steps: int, part: int) -> int:
    """Optimizer steps of one part in so many of a run, rounded up."""
    return -(-steps // part)


SHORT_RUN = 3
"""Optimizer steps up to which a run has no warm-up: its first step has the rate zero, and would be all or much of what there is."""


def warmup_steps(steps: int, share: float) -> int:
    """Optimizer steps over which the learning rate rises from zero."""
    return 0 if steps <= SHORT_RUN else math.ceil(share * steps)


COUNTERS = ("micro_tokens", "step", "target_tokens", "tokens", "seconds", "curve", "best")
MODEL_PARTS = ("tensors", "random")
"""With COUNTERS and TrainingState.parts, the entries of a resume point."""
UNREADABLE = (BadZipFile, UnpicklingError, EOFError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)
"""What reading a damaged resume point raises."""


def whole_state(path: Path) -> dict[str, Any]:
    """A resume point, every byte as it was written. Raises one of UNREADABLE."""
    import torch

    with ZipFile(path) as file:  # torch.load compares no CRC
        if damaged := file.testzip():
            raise ValueError(f"{damaged} is damaged")
    values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return values


@dataclass
class TrainingState:
    """Everything that the remaining steps depend on."""

    tensors: dict[str, Any]
    """Trainable parameters of the model by name, not copies."""
    optimizer: Any
    schedule: Any
    micro_tokens: int
    step: int = 0
    target_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    """`loss`, `step` and `tensors` of the adapter with the lowest dev loss so far."""
    allocation: RankAllocation | None = None
    """Of AdaLoRA."""

    @property
    def parts(self) -> dict[str, Any]:
        """What has a state of its own, by its name in a resume point."""
        allocation = {"allocation": self.allocation} if self.allocation else {}
        return {"optimizer": self.optimizer, "schedule": self.schedule, **allocation}

    def save(self, folder: Path) -> None:
        """Write the resume point; a kill at any moment leaves the previous one or this one."""
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "state.part"
        values = {name: getattr(self, name) for name in COUNTERS}
        values |= {"tensors": {name: value.detach() for name, value in self.tensors.items()}, "random": random_state()}
        with partial.open("wb") as file:
            torch.save(values | {name: part.state_dict() for name, part in self.parts.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, folder / "state.pt")

    def restore(self, folder: Path, last: int) -> None:
        """Load the resume point in the folder, if there is one, and it is of no later step than `last`."""
        import torch

        path = folder / "state.pt"
        if not path.exists():
            return
        start = {name: value.detach().clone() for name, value in self.tensors.items()}
        parts, generators = {name: deepcopy(part.state_dict()) for name, part in self.parts.items()}, random_state()
        try:
            values = whole_state(path)
            if values["step"] <= last:
                self.load_values(values)
        except torch.OutOfMemoryError:
            raise
        except UNREADABLE as error:
            set_aside(path, f"it is damaged ({type(error).__name__}), and training begins anew")
            self.load_tensors(start)
            for name, part in self.parts.items():
                part.load_state_dict(parts[name])
            set_random_state(generators)

    def load_values(self, values: dict[str, Any]) -> None:
        """Go on from what save() wrote. Raises one of UNREADABLE, if it is something else; the state is then half changed."""
        shapes = {name: value.shape for name, value in values["tensors"].items()}
        if values.keys() != {*COUNTERS, *MODEL_PARTS, *self.parts} or shapes != {name: value.shape for name, value in self.tensors.items()}:
            raise ValueError("not the state of this training")
        self.load_tensors(values["tensors"])
        for name, part in self.parts.items():
            part.load_state_dict(values[name])
        set_random_state(values["random"])
        for name in COUNTERS:
            setattr(self, name, values[name])

    def load_tensors(self, values: dict[str, Any]) -> None:
        """Copy values into the trained parameters, by name."""
        import torch

        with torch.no_grad():
            for name, value in values.items():
                self.tensors[name].copy_(value)

    def keep_if_best(self, loss: float) -> None:
        """Remember the adapter if its dev loss, in nats per token, is the lowest so far; of AdaLoRA once its ranks are final."""
        if self.allocation and not self.allocation.is_final(self.step):
            return
        if not self.best or loss < self.best["loss"]:
            self.best = {"loss": loss, "step": self.step, "tensors": {name: value.detach().clone() for name, value in self.tensors.items()}}


class PeriodicSaver:
    """Saves a state at regular intervals."""

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self.folder = folder
        self.every_seconds = every_seconds
        self.last_save = time.monotonic()

    def save_if_due(self, state: TrainingState) -> None:
        if time.monotonic() - self.last_save >= self.every_seconds:
            state.save(self.folder)
            self.last_save = time.monotonic()


def random_state() -> dict[str, Any]:
    """The generators that dropout draws from."""
    import torch

    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the generators that random_state returned."""
    import torch

    torch.set_rng_state(state["cpu"].cpu())
    if len(state["cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all([value.cpu() for value in state["cuda"]])


COLUMNS = ("step", "tokens", "loss", "dev_loss", "learning_rate", "grad_norm")


def write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    """One CSV line per optimizer step; dev_loss is empty where it was not measured."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
