"""Prints to the terminal: text that is not ours as plain text, and the progress of work that takes longer than two seconds."""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

QUIET_SECONDS = 2.0
LINE_SECONDS = 20.0

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that steer a terminal, turn the direction of text, or cannot be written."""


def plain(text: str) -> str:
    """The text with its control characters spelled out, as `\\x1b`; line ends and tabs stay."""
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class Terminal(Console):
    """The one way to print: paths, recipes, data and answers of models are not ours, and reach the terminal as plain text.

    No text is read as markup, so that brackets stay what they are; whoever wants a style prints a rich Text. No text gets through as a
    control sequence, in tables and trees neither.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


console = Terminal(stderr=True)


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
        self.done += count
        self.note = note or self.note
        now = time.monotonic()
        if console.is_terminal:
            if self.bar is None and now - self.start > QUIET_SECONDS:
                self.open_bar()
            if self.bar is not None:
                self.bar.update(self.bar.task_ids[0], completed=self.done, note=self.note)
        elif now - self.last_line_time > LINE_SECONDS:
            self.last_line_time = now
            rate = self.done / (now - self.start)
            seconds_left = (self.total - self.done) / rate if rate else 0.0
            note = f", {self.note}" if self.note else ""
            text = f"{self.done}/{self.total} {self.unit}, {rate:.3g}/s, {seconds_left:.0f} s left{note}"
            say(f"  {self.label}: {text}")

    def open_bar(self) -> None:
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(20),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            Rate(self.unit),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
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
    console.print(text, soft_wrap=True)
