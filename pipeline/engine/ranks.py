"""One training over several processes, as `accelerate launch` or `torchrun` start them: who is there, and what they sum.

The process of rank 0 leads: it runs the whole command. The others follow(): they wait for a training, take part in it, and write nothing
that stays. Every process holds the whole model and reads a share of the rows of each optimizer step; gradients are summed over all.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import MachineError, TrainingError
from pipeline.machine import Machine, Work

Item = TypeVar("Item")
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher tells every process."""
PATIENCE = timedelta(days=30)
"""How long a process waits for the others: between two trainings the leader may answer prompts for days."""
NEVER = float("inf")


class Group:
    """What the processes do now: `apart`, each on its own; `together` in one training; or `broken`, a training failed in this one."""

    phase = "apart"


def launched() -> int:
    """The number of processes of a launcher; 1 where there is none."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in VARIABLES) else 1


def rank() -> int:
    """The number of this process, 0 for the leader."""
    return int(os.environ["RANK"]) if launched() > 1 else 0


def size() -> int:
    """The number of processes that take part in what runs now: all of them in a training, and else this one alone."""
    return launched() if Group.phase == "together" else 1


def join() -> None:
    """Connect the processes, unless they are."""
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)


def device_of(machine: Machine) -> Any:
    """The torch.device of this process: of several on one machine each has a card of its own."""
    device = machine.torch_device()
    if size() == 1 or device.type != "cuda":
        return device
    import torch

    own = replace(machine, device=f"cuda:{os.environ['LOCAL_RANK']}").torch_device()
    torch.cuda.set_device(own)
    return own


@contextmanager
def together(work: Work) -> Iterator[None]:
    """A training in which all processes take part; where there is one alone, nothing is different.

    Raises:
        MachineError: the leader left an earlier training by an error that the others know nothing of.
    """
    if launched() == 1:
        yield
        return
    if Group.phase == "broken":
        raise MachineError(
            "the processes of this run are out of step since a training failed in one of them", "Run the same command again."
        )
    if rank() == 0:
        send(work)
    Group.phase = "together"
    total([0.0])  # here all wait for the last
    try:
        yield
    except BaseException:
        Group.phase = "broken"
        raise
    Group.phase = "apart"


def dismiss() -> None:
    """As the leader, let the others end. Where they wait in a training, the launcher has to end them."""
    if launched() > 1 and rank() == 0 and Group.phase == "apart":
        send(None)
        leave()


def follow(train: Callable[[Work], Any]) -> None:
    """Take part in every training until the leader has none left. Each has a copy of its resume point, which the leader alone renews.

    A training that fails for all, as by a loss that is not finite, ends the leader, and the launcher then ends its followers.
    """
    while (work := receive()) is not None:
        with tempfile.TemporaryDirectory(prefix="loralift-rank-") as scratch, suppress(TrainingError):
            folder = Path(scratch)
            (folder / "out").mkdir()
            if work.resume.is_dir():
                shutil.copytree(work.resume, folder / "resume")
            machine = replace(work.machine, save_seconds=NEVER, track="")
            train(replace(work, out=folder / "out", resume=folder / "resume", machine=machine))
    leave()


def leave() -> None:
    """Disconnect the processes, once all have come here: torch aborts a process that ends while it is connected."""
    import torch
    from torch import distributed

    distributed.all_reduce(torch.zeros(1))  # and no barrier(), which takes the first card of each process
    distributed.destroy_process_group()


def send(work: Work | None) -> None:
    """As the leader, tell all others which training begins; None: there is none left."""
    from torch import distributed

    join()
    distributed.broadcast_object_list([work], src=0, device=cpu())


def receive() -> Work | None:
    """As a follower, wait for what the leader sends."""
    from torch import distributed

    join()
    box: list[Work | None] = [None]
    distributed.broadcast_object_list(box, src=0, device=cpu())
    return box[0]


def cpu() -> Any:
    import torch

    return torch.device("cpu")


def share(rows: Sequence[Item]) -> Sequence[Item]:
    """The rows of this process."""
    return rows[rank() :: size()] if size() > 1 else rows


def total(values: Iterable[float]) -> list[float]:
    """The sums of values over the processes."""
    if size() == 1:
        return list(values)
    import torch
    from torch import distributed

    sums = torch.tensor(list(values), dtype=torch.float64)
    distributed.all_reduce(sums)
    return [float(value) for value in sums]


def sum_gradients(tensors: Iterable[Any]) -> None:
    """Replace the gradients of parameters by their sums over the processes; where one has none, it counts as zero."""
    if size() == 1:
        return
    import torch
    from torch import distributed

    for tensor in tensors:
        if tensor.grad is None:
            tensor.grad = torch.zeros_like(tensor)
        distributed.all_reduce(tensor.grad)
