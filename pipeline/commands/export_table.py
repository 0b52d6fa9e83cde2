"""Prints what an export loses: a short table, and the folder"""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.export import card
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.measurement import Measurement
from pipeline.export.request import ExportRequest

STYLES = {"same": "bold green", "within": "bold yellow", "loss": "bold red"}


def show(out: Console, tuned: FineTuned, request: ExportRequest, measured: Measurement) -> None:
    """One row a figure, then the folder."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(f"{request.form.title} of {tuned.name}")
    table.add_column(f"loaded by {measured['loaded_by']}", overflow="fold")
    for name, value in card.figures(measured):
        table.add_row(name, Text(value, STYLES[measured["outcome"]] if name.startswith("change") else ""))
    out.print(table)
    out.print(f"export: {request.out}", soft_wrap=True)
