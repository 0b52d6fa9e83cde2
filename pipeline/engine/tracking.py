"""Sends training curves to a tracker (TensorBoard, wandb, ...) during training, and final scores. The CSV is written in any case."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError, suggest
from pipeline.machine import Machine, Work

TRACKERS = ("tensorboard", "wandb", "trackio")
FOLDER = ".tracked"
"""Below the checkpoints, where TensorBoard's files lie: a folder for every training run, and for every report."""
Track = Callable[[dict[str, float], int], None]


def check_tracker(name: str) -> str:
    """Return the name if it is empty or there is such a tracker.

    Raises:
        MachineError: there is none, or its package is not installed.
    """
    if name and name not in TRACKERS:
        raise MachineError(f"--track {name}: there is no such tracker", suggest(name, TRACKERS))
    if name and find_spec(name) is None:
        raise MachineError(f"--track {name}: the package is not installed", f"Install it: pip install {name}")
    return name


@contextmanager
def tracker(work: Work) -> Iterator[Track]:
    """A function that takes the measures of a step; does nothing unless `--track` names a tracker.

    Raises:
        MachineError: see check_tracker.
    """
    if not work.machine.track:
        yield lambda measures, step: None
        return
    folder = work.resume.parent.parent / FOLDER / work.resume.name
    with opened(work.machine.track, folder, work.params, work.machine) as track:
        yield track


@contextmanager
def opened(name: str, folder: Path, params: dict[str, Any], machine: Machine) -> Iterator[Track]:
    """A function that takes measures of a step.

    Args:
        name: of the tracker.
        params: what the tracker shows of the run beside its measures.

    Raises:
        MachineError: see check_tracker.
    """
    from accelerate import Accelerator

    check_tracker(name)
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(cpu=machine.torch_device().type == "cpu", log_with=name, project_dir=folder)
    accelerator.init_trackers(
        "loralift", config={key: value for key, value in flatten(params).items() if isinstance(value, int | float | str | bool)}
    )
    try:
        yield lambda measures, step: accelerator.log(measures, step=step)
    finally:
        accelerator.end_training()


def flatten(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one with dotted keys."""
    dotted: dict[str, Any] = {}
    for key, value in params.items():
        dotted |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return dotted
