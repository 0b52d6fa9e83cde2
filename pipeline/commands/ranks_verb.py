"""Runs the command line in the processes of a launcher: the first one leads, and all others take part in its trainings."""

import io
from collections.abc import Callable
from contextlib import suppress

from pipeline import progress, stages
from pipeline.engine import ranks


def run(command: Callable[[], None]) -> None:
    """Run the command, in the leader alone; a process without a launcher leads itself."""
    if ranks.rank():
        progress.console = progress.Terminal(file=io.StringIO())
        ranks.follow(stages.find("finetune").run)
        return
    try:
        command()
    finally:
        with suppress(RuntimeError):  # they are gone already, as after Ctrl-C
            ranks.dismiss()
