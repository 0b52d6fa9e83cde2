"""Runs a model over many rows batch by batch and saves each batch, so a killed run continues after the last whole one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.progress import meter
from pipeline.store.row_log import RowLog

Value = Any
"""A JSON value."""


def compute_resumably(
    path: Path,
    batches: Sequence[Sequence[int]],
    compute: Callable[[Sequence[int]], Sequence[Value]],
    activity: str,
    unit: str,
    is_value: Callable[[Value], bool] = lambda value: value is not None,
) -> list[Value]:
    """The value of every row, in the order of the rows.

    Args:
        path: the log of finished rows.
        batches: indices of rows, every one once.
        compute: takes a batch, gives a value for each of its rows.
        activity, unit: for the progress line.
        is_value: whether something that was kept can be a value; what cannot is computed again.
    """
    count = sum(map(len, batches))

    def is_row(entry: dict[str, Value]) -> bool:
        return isinstance(entry.get("row"), int) and 0 <= entry["row"] < count and is_value(entry.get("value"))

    with RowLog(path, is_row) as log, meter(activity, count, unit) as progress:
        done = {entry["row"]: entry["value"] for entry in log.rows}
        for batch in batches:
            if not all(row in done for row in batch):  # a batch that was cut off is done again as a whole
                computed = dict(zip(batch, compute(batch), strict=True))
                log.add(*({"row": row, "value": value} for row, value in computed.items()))
                done |= computed
            progress.advance(len(batch))
    return [done[row] for row in range(count)]
