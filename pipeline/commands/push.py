"""Shows what is sent to the hub, asks whether it is meant, and sends it"""

import sys
from pathlib import Path

import typer
from rich.console import Console

from pipeline.errors import MachineError
from pipeline.export import pushing
from pipeline.export.pushing import Push
from pipeline.page import fmt


def push(out: Console, folder: Path, repo: str, is_public: bool, page: Path | None, yes: bool) -> None:
    """Name everything that is sent, and send it once that is confirmed.

    Raises:
        MachineError: there is nobody to ask.
        typer.Exit: the answer is no; code 2.
    """
    from huggingface_hub import constants

    one = pushing.collect(folder, repo, not is_public, page)
    pushing.check(one)
    show(out, one, constants.ENDPOINT)
    if not yes:
        confirm(one)
    out.print(f"sent: {pushing.send(one)}", soft_wrap=True)


def show(out: Console, one: Push, endpoint: str) -> None:
    """Where it goes, who can read it, every file with its size, and what was measured of it."""
    readers = "private" if one.private else "public: everyone can read it"
    out.print(f"to {endpoint}/{one.repo} ({readers}):", soft_wrap=True)
    for name, size in one.sizes().items():
        note = "  (holds the test examples and all answers to them)" if name == pushing.PAGE else ""
        out.print(f"  {name}  {fmt.size(size)}{note}", soft_wrap=True, highlight=False)
    measured = one.measured
    scores = (
        f"{fmt.number(measured['exported'], 3)} by {fmt.metric(measured['metric'])}; the adapter {fmt.number(measured['fine_tuned'], 3)}"
    )
    loss = ", a loss beyond the margin that was accepted" if measured["outcome"] == "loss" else ""
    out.print(f"it scores {scores}{loss}", soft_wrap=True, highlight=False)


def confirm(one: Push) -> None:
    """See push()."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise MachineError(f"nothing was sent to {one.repo}: there is nobody to ask", "Add --yes to send it.")
    if not typer.confirm("Send it?", err=True):
        raise typer.Exit(2)
