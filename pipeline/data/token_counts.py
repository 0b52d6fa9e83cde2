"""Counts the tokens of examples in chunks, and says why a chat template refuses a conversation."""

from collections.abc import Iterator, Sequence
from itertools import islice

from pipeline.data.files import BadRow
from pipeline.data.make_examples import TokenCounts, without_start
from pipeline.models import renderer
from pipeline.store.records import LOSS_TURNS, Example

CHUNK = 128
"""Examples whose tokens are counted at a time."""


def of_examples(examples: Iterator[tuple[str, Example]], render: renderer.Renderer) -> Iterator[tuple[str, Example, TokenCounts | BadRow]]:
    """Every example with its token counts, computed in chunks; or with the reason why the chat template refuses it."""
    while chunk := list(islice(examples, CHUNK)):
        bare = [without_start(example, render) for _, example in chunk]
        try:
            counts: Sequence[TokenCounts | BadRow] = render.token_counts([(example.prompt, example.target) for example in bare])
        except renderer.ChatTemplateError:  # of at least one of them
            counts = [counts_alone(example, render) for example in bare]
        yield from ((location, example, count) for (location, example), count in zip(chunk, counts, strict=True))


def counts_alone(example: Example, render: renderer.Renderer) -> TokenCounts | BadRow:
    """The token counts of an example, or why the chat template refuses its conversation."""
    try:
        return render.token_counts([(example.prompt, example.target)])[0]
    except renderer.ChatTemplateError as error:
        return refused(error)


def refused(error: renderer.ChatTemplateError) -> BadRow:
    return BadRow("chat template", error.problem, error.remedy)


def refusal(example: Example, render: renderer.Renderer) -> BadRow | None:
    """Why earlier answers of a conversation cannot carry loss; None if they can, or need not."""
    if LOSS_TURNS not in example.extra:
        return None
    try:
        render.turn_spans(example.prompt, example.extra[LOSS_TURNS])
    except renderer.ChatTemplateError as error:
        return BadRow("chat template", f"{error.problem} (loss: assistant)", error.remedy)
    return None
