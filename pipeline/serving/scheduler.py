"""Owns the weights in a thread of its own: takes rows from a bounded queue, in order, and steps the batch while there are rows."""

import asyncio
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.errors import UserError
from pipeline.serving.batch import Batch
from pipeline.serving.rows import Piece, Row, RowRequest

LONGEST_WAIT = 60
"""Seconds that a refused request is told to wait, at most."""


class QueueFullError(Exception):
    """More rows wait than may. `after`: seconds until there should be room."""

    def __init__(self, after: int) -> None:
        super().__init__(f"try again in {after} s")
        self.after = after


class StoppingError(Exception):
    """The server finishes what it has, and takes nothing new."""


@dataclass(frozen=True)
class Load:
    """How busy a scheduler is."""

    waiting: int
    running: int
    adapters: int
    """In memory."""
    adapter_loads: int
    """So far, as the next two."""
    evictions: int
    preemptions: int
    """Rows that were put back as the batch had grown beyond its budget."""


class Scheduler:
    """
    Args:
        batch: used by the thread of this scheduler alone.
        decode: ids to text, likewise.
        queue: rows that may wait.
        observe: called after every step with the number of rows in it.
    """

    def __init__(self, batch: Batch, decode: Callable[[list[int]], str], queue: int, observe: Callable[[int], None]) -> None:
        self.batch = batch
        self.decode = decode
        self.queue = queue
        self.observe = observe
        self.waiting: deque[Row] = deque()
        self.changed = threading.Condition()
        self.is_stopping = False
        self.preemptions = 0
        self.seconds_per_row = 1.0
        self.last_end = 0.0
        self.pieces: list[tuple[asyncio.Queue[Piece], Piece]] = []
        """New since they were last handed to the event loop."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = threading.Thread(target=self.run, name="scheduler", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer; pieces go to the queues of rows in this event loop."""
        self.loop = loop
        self.thread.start()

    def stop(self) -> None:
        """Take nothing new, finish what there is, and wait for that."""
        self.refuse_new()
        self.thread.join()

    def refuse_new(self) -> None:
        with self.changed:
            self.is_stopping = True
            self.changed.notify()

    @property
    def is_working(self) -> bool:
        return self.thread.is_alive() and not self.is_stopping

    def load(self) -> Load:
        adapters = self.batch.adapters
        counts = (len(adapters.names), adapters.loads, adapters.evictions, self.preemptions)
        return Load(len(self.waiting), len(self.batch.rows), *counts)

    def submit(self, requests: Sequence[RowRequest], pieces: asyncio.Queue[Piece]) -> list[Row]:
        """Queue rows; what is new of them comes into `pieces`.

        Raises:
            QueueFullError, StoppingError
        """
        with self.changed:
            if self.is_stopping:
                raise StoppingError
            if len(self.waiting) + len(requests) > self.queue:
                raise QueueFullError(self.seconds_to_wait())
            rows = [Row(request, index, self.decode, partial(self.post, pieces)) for index, request in enumerate(requests)]
            self.waiting.extend(rows)
            self.changed.notify()
        return rows

    def cancel(self, rows: Sequence[Row]) -> None:
        """Give up rows that nobody waits for: queued ones at once, running ones before the next step."""
        for row in rows:
            row.is_cancelled = True
        with self.changed:
            self.waiting = deque(row for row in self.waiting if not row.is_cancelled)
            self.changed.notify()

    def seconds_to_wait(self) -> int:
        return min(LONGEST_WAIT, max(1, round(self.seconds_per_row * len(self.waiting))))

    def post(self, pieces: asyncio.Queue[Piece], piece: Piece) -> None:
        self.pieces.append((pieces, piece))

    def flush(self) -> None:
        """Hand the new pieces to the event loop, all at once."""
        posted, self.pieces = self.pieces, []
        if posted and self.loop:
            self.loop.call_soon_threadsafe(deliver, posted)

    def run(self) -> None:
        """Answer until there is nothing left to do after stop()."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.batch.rows or self.is_stopping)
                if not self.waiting and not self.batch.rows:
                    return
            try:
                self.work()
            except Exception as error:  # of one batch: the next one must be answered all the same
                traceback.print_exception(error)
                for row in self.batch.clear():
                    row.fail(reason(error))
            self.flush()

    def work(self) -> None:
        """Let rows in and out, and take a step."""
        self.batch.keep(lambda row: not row.is_cancelled)
        overflow = self.batch.overflow()
        with self.changed:
            self.waiting.extendleft(reversed(overflow))
            self.preemptions += len(overflow)
            entering = [] if overflow else self.next_rows()
        before = len(self.batch.rows) + len(entering)
        self.enter(entering)
        self.batch.step()
        self.observe(before)
        self.note_ends(before - len(self.batch.rows))

    def enter(self, rows: list[Row]) -> None:
        """Let rows in. Those whose adapter does not load fail; an error of the pass itself ends all that entered."""
        models = {row.request.model for row in (*self.batch.rows, *rows)}
        faults: dict[str, str] = {}
        for model in dict.fromkeys(row.request.model for row in rows):
            try:
                self.batch.adapters.use(model, models)
            except UserError as error:
                faults[model] = error.problem
            except Exception as error:  # its rows would wait for ever
                traceback.print_exception(error)
                faults[model] = reason(error)
        for row in rows:
            if row.request.model in faults:
                row.fail(faults[row.request.model])
        try:
            self.batch.enter([row for row in rows if not row.is_done])
        except Exception as error:
            for row in rows:
                if not row.is_done and row not in self.batch.rows:
                    row.fail(reason(error))
            raise

    def next_rows(self) -> list[Row]:
        """Take the rows that enter now out of the queue: the first ones, as long as they fit and their adapters have room."""
        rows: list[Row] = []
        while self.waiting:
            row = self.waiting[0]
            in_use = [other.request.model for other in (*self.batch.rows, *rows)]
            if not self.batch.adapters.has_room(row.request.model, in_use) or not self.batch.fits(row, rows):
                break
            rows.append(self.waiting.popleft())
        return rows

    def note_ends(self, count: int) -> None:
        """Keep the pace at which rows end, for what refused requests are told."""
        now = time.monotonic()
        if count > 0:
            passed = min(now - self.last_end, float(LONGEST_WAIT)) / count
            self.seconds_per_row += 0.1 * (passed - self.seconds_per_row)
            self.last_end = now


def reason(error: Exception) -> str:
    """Why a batch failed, in a line for its clients."""
    if isinstance(error, UserError):
        return f"{error.problem}. {error.remedy}"
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        return "the server is out of memory; start it with lower --max-batch-tokens or --max-adapters"
    return f"the server failed: {type(error).__name__}"


def deliver(posted: list[tuple[asyncio.Queue[Any], Piece]]) -> None:
    for pieces, piece in posted:
        pieces.put_nowait(piece)
