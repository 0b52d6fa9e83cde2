"""What a model says of rows of tokens, batch by batch, kept so that a killed run goes on behind the last whole batch."""

from collections.abc import Callable
from typing import Any

from pipeline import engine
from pipeline.kept import Kept
from pipeline.machine import Work
from pipeline.progress import meter

Value = Any
"""What JSON holds: a number, or a list of them."""


def values(work: Work, model: Any, rows: list[engine.Tokens], pad: int, of: Callable[[Any, Any], list[Value]], named: str) -> list[Value]:
    """The value of every row, in order; batches are fixed by the rows and the token budget alone.

    Args:
        of: takes the model and a padded batch, gives a value a row.
        named: what the rows are, for the progress line.
    """
    budget = engine.logit_budget(engine.token_budget(work.machine.tokens, model.device), model)
    with Kept(work.resume / "values.jsonl") as kept, meter("scoring", len(rows), named) as shown:
        done = {each["row"]: each["value"] for each in kept.rows}
        for group in engine.groups([len(row) for row in rows], budget):
            if not all(at in done for at in group):  # a batch that was cut off is done again as a whole
                found = of(model, engine.padded([rows[at] for at in group], pad, model.device))
                fresh = dict(zip(group, found, strict=True))
                kept.add(*({"row": at, "value": value} for at, value in fresh.items()))
                done |= fresh
            shown.advance(len(group))
    return [done[at] for at in range(len(rows))]
