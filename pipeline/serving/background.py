"""Runs a server in a process of its own, for as long as it is needed"""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pipeline.errors import MachineError, UserError
from pipeline.serving import server
from pipeline.serving.server import Address, Capacity, ServedModels

LOCAL = Address("127.0.0.1", 0, "")


@dataclass(frozen=True)
class RunningServer:
    """A server in another process."""

    url: str
    process_id: int

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        import psutil

        times = psutil.Process(self.process_id).cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(models: ServedModels, capacity: Capacity, device: Any) -> Iterator[RunningServer]:
    """A server on a free port of this machine.

    Args:
        device: torch.device.

    Raises:
        UserError: as server.serve().
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_and_announce, args=(models, capacity, device, there), daemon=True)
    process.start()
    there.close()
    try:
        url = first_word(here)
        assert process.pid is not None  # it runs
        yield RunningServer(url, process.pid)
    finally:
        process.terminate()
        process.join()


def serve_and_announce(models: ServedModels, capacity: Capacity, device: Any, announcement: Connection) -> None:
    """Serve until a signal comes, and send the URL, or what is wrong."""
    try:
        server.serve(models, LOCAL, capacity, device, announcement.send)
    except UserError as error:
        announcement.send(error)


def first_word(announcement: Connection) -> str:
    """The URL. Raises UserError if there is none."""
    try:
        word = announcement.recv()
    except EOFError:
        raise MachineError("the server ended before it answered", "Look at what it printed above.") from None
    if isinstance(word, UserError):
        raise word
    return str(word)
