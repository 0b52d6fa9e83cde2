"""Sends training curves to a tracker (TensorBoard, wandb, ...) during training. The CSV is written in any case."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from pipeline.errors import MachineError, suggest
from pipeline.machine import Work

TRACKERS = ("tensorboard", "wandb", "trackio")
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
    name = check_tracker(work.machine.track)
    if not name:
        yield lambda measures, step: None
        return
    from accelerate import Accelerator

    folder = work.resume.parent.parent / ".tracked" / work.resume.name
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(cpu=work.machine.torch_device().type == "cpu", log_with=name, project_dir=folder)
    accelerator.init_trackers(
        "loralift", config={key: value for key, value in flatten(work.params).items() if isinstance(value, int | float | str | bool)}
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
