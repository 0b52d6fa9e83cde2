"""Puts load on a server as clients do, one request after the other each, and times every answer"""

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import MachineError

SECONDS = 600
"""Without a byte from the server, at most."""


@dataclass(frozen=True)
class Timing:
    """One answer as its client saw it."""

    first: float
    """Seconds to the first token."""
    whole: float
    """Seconds to the last one."""
    tokens: int
    """New ones."""


@dataclass(frozen=True)
class LoadResult:
    """The answers to all requests."""

    timings: Sequence[Timing]
    seconds: float
    """From the first request to the last answer."""
    rows_per_step: float
    """Of the server's batches, on average."""
    adapters: int
    """In the server's memory at the end."""


def load(url: str, bodies: Sequence[Mapping[str, Any]], clients: int) -> LoadResult:
    """Send requests for chat completions from so many clients at once.

    Raises:
        MachineError: the server refuses one, or breaks off.
    """
    waiting: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
    for body in bodies:
        waiting.put(body)
    timings: list[Timing] = []
    faults: list[MachineError] = []
    before = metrics(url)
    start = time.monotonic()
    threads = [threading.Thread(target=send_all, args=(url, waiting, timings, faults)) for _ in repeat(None, clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    seconds, after = time.monotonic() - start, metrics(url)
    rows, steps = (after[name] - before.get(name, 0.0) for name in ("loralift_batch_rows_sum", "loralift_batch_rows_count"))
    return LoadResult(timings, seconds, rows / max(1.0, steps), int(after["loralift_resident_adapters"]))


def send_all(url: str, waiting: SimpleQueue[Mapping[str, Any]], timings: list[Timing], faults: list[MachineError]) -> None:
    """One client: take requests until none is left, or one has failed."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
    while not faults:
        try:
            timings.append(timed(connection, waiting.get_nowait()))
        except Empty:
            break
        except (OSError, http.client.HTTPException, ValueError) as error:
            faults.append(MachineError(f"the server broke off: {type(error).__name__}: {error}", "Look at what it printed."))
        except MachineError as error:
            faults.append(error)
    connection.close()


def timed(connection: http.client.HTTPConnection, body: Mapping[str, Any]) -> Timing:
    """Send one request and read its stream. Raises MachineError if it is refused."""
    start = time.monotonic()
    stream = {**body, "stream": True, "stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(stream), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        message = json.loads(response.read())["error"]["message"]
        raise MachineError(f"the server refuses a request: {message}", "Choose fewer --tokens or clients, or a longer --queue.")
    first, tokens = 0.0, 0
    while line := response.readline():
        chunk = json.loads(line[6:]) if line.startswith(b"data: {") else {"choices": []}
        if not first and any(choice["delta"].get("content") or choice["finish_reason"] for choice in chunk["choices"]):
            first = time.monotonic() - start
        if usage := chunk.get("usage"):
            tokens = usage["completion_tokens"]
    return Timing(first, time.monotonic() - start, tokens)


def metrics(url: str) -> dict[str, float]:
    """The values of /metrics that have no labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=SECONDS) as response:
        lines = response.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in pairs}
