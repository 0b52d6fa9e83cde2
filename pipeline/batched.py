"""What a model says of many rows, batch by batch, kept so that a killed run goes on behind the last whole batch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline import engine
from pipeline.kept import Kept
from pipeline.machine import Work
from pipeline.progress import meter

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


def read(work: Work, model: Any, rows: list[engine.Tokens], pad: int, of: Callable[[Any, Any], list[Value]], named: str) -> list[Value]:
    """The value of every row of tokens; batches are fixed by the rows and the token budget alone.

    Args:
        of: takes the model and a padded batch whose logits are all looked at, gives a value a row.
    """
    budget = engine.logit_budget(engine.token_budget(work.machine.tokens, model.device), model)
    batches = engine.groups([len(row) for row in rows], budget)
    return values(
        work.resume / "values.jsonl",
        batches,
        lambda batch: of(model, engine.padded([rows[at] for at in batch], pad, model.device)),
        ("scoring", named),
    )
