"""What a model says of many rows, batch by batch, kept so that a killed run goes on behind the last whole batch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.engine import batching
from pipeline.machine import Work
from pipeline.progress import meter
from pipeline.store.row_log import Kept

Value = Any
"""What JSON holds."""


def values(
    path: Path, batches: Sequence[Sequence[int]], of: Callable[[Sequence[int]], Sequence[Value]], named: tuple[str, str]
) -> list[Value]:
    """The value of every row, in the order of the rows.

    Args:
        path: where finished rows are kept.
        batches: places of rows, each once.
        of: takes a batch, gives a value for each of its rows.
        named: what is done, and to what, for the progress line.
    """
    count = sum(map(len, batches))
    with Kept(path) as kept, meter(named[0], count, named[1]) as shown:
        done = {each["row"]: each["value"] for each in kept.rows}
        for batch in batches:
            if not all(at in done for at in batch):  # a batch that was cut off is done again as a whole
                fresh = dict(zip(batch, of(batch), strict=True))
                kept.add(*({"row": at, "value": value} for at, value in fresh.items()))
                done |= fresh
            shown.advance(len(batch))
    return [done[at] for at in range(count)]


def read(
    work: Work, model: Any, rows: list[batching.Tokens], columns: list[int], of: Callable[[list[batching.Tokens]], list[Value]], named: str
) -> list[Value]:
    """The value of every row of tokens; batches are fixed by the rows, their columns and the token budget alone.

    Args:
        columns: of each row whose logits `of` asks for.
        of: reads some of the rows in one pass, gives a value for each.
    """
    budget = batching.token_budget(work.machine.tokens, model.device)
    batches = batching.batches([len(row) for row in rows], columns, budget, model)
    return values(work.resume / "values.jsonl", batches, lambda batch: of([rows[at] for at in batch]), ("scoring", named))
