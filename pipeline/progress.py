"""Shows the progress of work that takes longer than two seconds: a bar on a terminal, else plain lines."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

QUIET_SECONDS = 2.0
LINE_SECONDS = 20.0

console = Console(stderr=True, highlight=False)


class Rate(TextColumn):
    def __init__(self, unit: str) -> None:
        super().__init__("")
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.3g} {self.unit}/s" if speed else "", style="cyan")


class Meter:
    """Counts finished work: call `advance(n, note)` after every piece."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = 0
        self.note = ""
        self.start = self.last_line_time = time.monotonic()
        self.bar: Progress | None = None

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done, self.note, now = self.done + count, note or self.note, time.monotonic()
        if console.is_terminal:
            if self.bar is None and now - self.start > QUIET_SECONDS:
                self.open_bar()
            if self.bar is not None:
                self.bar.update(self.bar.task_ids[0], completed=self.done, note=self.note)
        elif now - self.last_line_time > LINE_SECONDS:
            self.last_line_time, rate = now, self.done / (now - self.start)
            seconds_left = (self.total - self.done) / rate if rate else 0.0
            note = f", {self.note}" if self.note else ""
            text = f"{self.done}/{self.total} {self.unit}, {rate:.3g}/s, {seconds_left:.0f} s left{note}"
            print(f"  {self.label}: {text}", file=sys.stderr, flush=True)

    def open_bar(self) -> None:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            Rate(self.unit),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.bar = Progress(*columns, console=console, transient=True)
        self.bar.add_task(self.label, total=self.total, completed=self.done, note=self.note)
        self.bar.start()


@contextmanager
def meter(label: str, total: int, unit: str) -> Iterator[Meter]:
    """A meter for `total` pieces of work counted in `unit`; prints nothing in the first two seconds."""
    progress = Meter(label, total, unit)
    try:
        yield progress
    finally:
        if progress.bar is not None:
            progress.bar.stop()


def say(text: str) -> None:
    """Print one plain line for the user to stderr."""
    console.print(text, markup=False, soft_wrap=True)
