"""What clients learn of a batch that fails: a line, with the remedy where there is one; and the next batch is answered."""

import asyncio
import threading

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.serving.rows import RowRequest
from pipeline.serving.scheduler import Scheduler

REQUEST = RowRequest((1, 2), "base", 3, (0,))


class Adapters:
    """Stands for the weights."""

    names: dict = {}  # noqa: RUF012
    loads = evictions = 0

    def has_room(self, model, in_use):
        return True

    def use(self, model, in_use):
        pass


class FailingBatch:
    """A batch whose first rows fail as they enter or at their first step, as on a device without memory, and whose next ones end."""

    def __init__(self, error, place):
        self.error = error
        self.place = place
        self.adapters = Adapters()
        self.rows = []

    def keep(self, is_kept):
        self.rows = [row for row in self.rows if is_kept(row)]

    def overflow(self):
        return []

    def fits(self, row, others):
        return True

    def fail(self, place):
        if self.error and place == self.place:
            error, self.error = self.error, None
            raise error

    def enter(self, rows):
        if rows:
            self.fail("enter")
        self.rows += rows

    def step(self):
        self.fail("step")
        for row in self.rows:
            row.accept(0, None)
        self.rows = []

    def clear(self):
        rows, self.rows = self.rows, []
        return rows


@pytest.mark.parametrize("place", ["enter", "step"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("20 GiB"), "the server is out of memory; start it with lower --max-batch-tokens or --max-adapters"),
        (RuntimeError("boom"), "the server failed: RuntimeError"),
        (ModelError("rows cannot share a batch", "Merge the adapter."), "rows cannot share a batch. Merge the adapter."),
    ],
)  # fmt: skip
def test_rows_of_a_failed_batch_say_why_and_the_next_are_answered(error, words, place, capsys):
    async def both():
        scheduler = Scheduler(FailingBatch(error, place), lambda ids: "", 4, lambda rows: None)
        scheduler.start(asyncio.get_running_loop())
        pieces = []
        for _ in range(2):
            queue = asyncio.Queue()
            scheduler.submit([REQUEST], queue)
            pieces.append(await queue.get())
        await asyncio.to_thread(scheduler.stop)
        return pieces

    failed, answered = asyncio.run(both())
    assert failed.error == words
    assert (answered.error, answered.finish) == ("", "stop")
    assert type(error).__name__ in capsys.readouterr().err  # the log of the server has the traceback
    assert "scheduler" not in [thread.name for thread in threading.enumerate()]
