"""Runs the server in this process: opens the port before the weights are loaded, and finishes what runs when it is told to stop."""

import copy
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import MachineError
from pipeline.models import dense_weights, loading
from pipeline.serving import app
from pipeline.serving.batch import Batch
from pipeline.serving.counters import Counters
from pipeline.serving.guard import Guard
from pipeline.serving.local_page import LocalPage
from pipeline.serving.prompting import Prompting
from pipeline.serving.resident_adapters import ResidentAdapters
from pipeline.serving.scheduler import Scheduler
from pipeline.serving.service import ModelLimits, Service

PACKAGES = ("fastapi", "uvicorn", "prometheus_client")
"""Of the extra `serve`."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SEND_BUFFER = 1 << 18
"""Bytes that the system holds for a connection whose reader is slow; Linux would let it grow to 4 MB for every one."""
GRACE_SECONDS = 60
"""For requests that run when the server is told to stop."""


@dataclass(frozen=True)
class ServedModels:
    """What is served."""

    base: str
    """Id of the base."""
    params: Mapping[str, Any]
    """How it is loaded: model, quantization and compute, as in the params of `generate`."""
    adapters: Mapping[str, Path]
    """By id, the folders of adapters as peft saves them."""
    page: LocalPage
    thinkers: frozenset[str] = frozenset()
    """Ids of the adapters that were trained with the thinking switch of the chat template on."""


@dataclass(frozen=True)
class Address:
    """Where the server listens, and for whom."""

    host: str
    port: int
    """0: one that is free."""
    api_key: str
    """Empty: none is needed."""

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    def socket(self) -> socket.socket:
        """A socket that is bound, but takes no connections yet.

        Raises:
            MachineError: the port is in use, or the host is no address of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit it
        try:
            bound.bind((self.host, self.port))
        except OSError as error:
            bound.close()
            raise MachineError(
                f"--host {self.host} --port {self.port}: cannot listen there: {error.strerror or error}",
                "Stop what uses the port, name another one, or --port 0 for one that is free.",
            ) from None
        return bound


@dataclass(frozen=True)
class Capacity:
    """How much is in memory and in the queue, at most."""

    max_adapters: int
    queue: int
    """Rows that wait."""
    max_batch_tokens: int | None
    """Rows x longest row; None: by device."""


def check_packages() -> None:
    """Raise MachineError if a package of the extra is not installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise MachineError(f"loralift serve needs packages that are not installed: {', '.join(missing)}", "pip install 'loralift[serve]'")


def serve(models: ServedModels, address: Address, capacity: Capacity, device: Any, announce: Callable[[str], None]) -> None:
    """Serve until a signal comes; then finish what runs.

    Args:
        device: torch.device.
        announce: called with the URL once requests are answered.

    Raises:
        MachineError: a package is missing, the port is in use, or the base does not fit into memory.
        ModelError: the base cannot be loaded, or its rows cannot share a batch.
    """
    check_packages()
    bound = address.socket()
    params = models.params
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    with dense_weights.dequantized(base), bound:
        application = app.build(build_service(models, capacity, base), models.page)
        run(Guard(application, address.api_key, LOOPBACK if address.is_loopback else ()), bound, announce)


def build_service(models: ServedModels, capacity: Capacity, base: Any) -> Service:
    """The service over a base that is loaded. Raises ModelError if its rows cannot share a batch."""
    prompting = Prompting(models.params["model"], models.thinkers)
    render = prompting.plain
    backend = TransformersBackend(base, render, capacity.max_batch_tokens)
    batch = Batch(ResidentAdapters(base, models.adapters, capacity.max_adapters), backend.pad_id, backend.token_budget)
    batch.check(models.base)
    counters = Counters()
    decoder = copy.deepcopy(render.tokenizer)  # for the scheduler's thread; see Service.rendering

    def decode(ids: list[int]) -> str:
        return str(decoder.decode(ids, skip_special_tokens=True))

    scheduler = Scheduler(batch, decode, capacity.queue, counters.batch_rows.observe)
    limits = ModelLimits(backend.context_window, backend.vocabulary(), backend.eos_ids)
    return Service((models.base, *models.adapters), limits, prompting, scheduler, counters)


def run(application: Any, bound: socket.socket, announce: Callable[[str], None]) -> None:
    """Answer requests on a bound socket until a signal comes."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                host, port = bound.getsockname()[:2]
                announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    config = uvicorn.Config(
        application, log_level="warning", access_log=False, server_header=False, http="h11", ws="none", loop="asyncio",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again once it has finished
    Server(config).run(sockets=[bound])
