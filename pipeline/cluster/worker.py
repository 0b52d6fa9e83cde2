"""The process on a node that runs one job after another, so that the base of the last one is still in memory."""

import io
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline import progress
from pipeline.errors import UserError

LINE_WIDTH = 1000
"""Of what a call prints; the driver's terminal wraps it."""


@dataclass(frozen=True)
class Setup:
    """How a worker's process is set up."""

    folder: str
    """Where the run was started; relative paths of recipes are relative to it."""
    threads: int


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    result: Any
    error: Exception | None
    lines: tuple[str, ...]
    """What the call had to tell the user."""


class Worker:
    """A Ray actor, made by slots.py."""

    def __init__(self, setup: Setup) -> None:
        os.environ["OMP_NUM_THREADS"] = str(setup.threads)
        self.threads = setup.threads
        with suppress(OSError):  # a folder that only the driver has: no path is relative to it, else the node had been refused
            os.chdir(setup.folder)

    def ready(self) -> tuple[str, int]:
        """Host and process id."""
        return socket.gethostname(), os.getpid()

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
        """Call a function. Its error comes back as a value, as Ray would wrap it into a type of its own."""
        text = io.StringIO()
        terminal, progress.console = progress.console, progress.Terminal(file=text, width=LINE_WIDTH)
        try:
            self.set_threads()
            result, error = function(*arguments), None
        except Exception as caught:
            result, error = None, portable(caught)
        finally:
            progress.console = terminal
        return Outcome(result, error, tuple(text.getvalue().splitlines()))

    def set_threads(self) -> None:
        """torch keeps the number of threads that it had when it was loaded, whatever the environment says later."""
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(self.threads)


def portable(error: Exception) -> Exception:
    """The error as it reaches the driver: a user's error as it is, any other with its traceback as text, as Ray would lose it."""
    if isinstance(error, UserError | OSError):
        return error
    import traceback

    return RuntimeError("".join(traceback.format_exception(error)))


def environment(threads: int, own: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a worker: those of the driver that decide results or keep it offline, and no secret.

    Args:
        own: the driver's.
    """
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE", "LORALIFT_SOURCES")
    passed = {name: own[name] for name in names if name in own}
    return {**passed, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
