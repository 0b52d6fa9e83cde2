"""Counts the tokens of examples in chunks, and says why a chat template refuses a conversation."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from pipeline.data import thoughts
from pipeline.data.files import BadRow
from pipeline.data.make_examples import TokenCounts, without_start
from pipeline.models import template_probe, thinking
from pipeline.models.no_model import NoModel
from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.scoring import tool_call_reader
from pipeline.store.records import CALLS, LOSS_TURNS, THOUGHT, Example

CHUNK = 128
"""Examples whose tokens are counted at a time."""
REASON = "chat template"
CALLS_REMEDY = "Name a base whose template writes calls as JSON, or set answer: text and a metric of texts."


def of_examples(
    examples: Iterator[tuple[str, Example]], render: Renderer, reads_calls: bool = False
) -> Iterator[tuple[str, Example, TokenCounts | BadRow]]:
    """Every example with its token counts, computed in chunks; or with the reason why the chat template refuses it.

    A target that thinks or calls tools becomes what the chat template writes.

    Args:
        reads_calls: answers are read as calls, so what the template writes must be read as the calls of the row.
    """
    while chunk := list(islice(examples, CHUNK)):
        written = [written_example(example, render, reads_calls) for _, example in chunk]
        whole = [without_start(example, render) for example in written if isinstance(example, Example)]
        bare = [example for example in whole if not is_written(example, render)]
        try:
            pairs: Sequence[TokenCounts | BadRow] = render.token_counts([(example.prompt, example.target) for example in bare])
        except ChatTemplateError:  # of at least one of them
            pairs = [counts_alone(example, render) for example in bare]
        counts = iter(pairs)
        for (location, original), example in zip(chunk, written, strict=True):
            if isinstance(example, BadRow):
                yield location, original, example
            else:
                yield location, example, counts_alone(example, render) if is_written(example, render) else next(counts)


def is_written(example: Example, render: Renderer) -> bool:
    """Whether the ids of the target are those of the chat template's text."""
    return CALLS in example.extra or render.thinking


def written_example(example: Example, render: Renderer, reads_calls: bool) -> Example | BadRow:
    """The example with thoughts and calls of its target as the chat template writes them, or why it cannot."""
    fitted = thoughts.fitted(example, render)
    if isinstance(fitted, BadRow) or CALLS not in example.extra or isinstance(render, NoModel):
        return fitted
    try:
        target = thoughts.dropped(render.call_text(example.prompt, example.answer_turn), render)
    except ChatTemplateError as error:
        return refused(error)
    if reads_calls and tool_call_reader.names(target) != tool_call_reader.names(example.target):
        problem = f"the chat template writes a call in a form that answer: tool_call does not know: {target}"
        return BadRow(REASON, problem, CALLS_REMEDY)
    if reads_calls and tool_call_reader.read(render.decode(render.call_ids(target))) != tool_call_reader.read(target):
        problem = f"the chat template marks parts of a call by control tokens, which answers are read without: {target}"
        return BadRow(REASON, problem, CALLS_REMEDY)
    return replace(example, target=target)


def counts_alone(example: Example, render: Renderer) -> TokenCounts | BadRow:
    """The token counts of an example, or why the chat template refuses its conversation."""
    try:
        if render.thinking:
            target = thinking.target_ids(render, example.prompt, example.answer_turn, example.extra.get(THOUGHT, ""))
            return len(render.prompt_ids(example.prompt)), len(target)
        if CALLS in example.extra:
            return len(render.prompt_ids(example.prompt)), len(render.target_ids(example.prompt, example.target, is_call=True))
        return render.token_counts([(example.prompt, example.target)])[0]
    except ChatTemplateError as error:
        return refused(error)


def refused(error: ChatTemplateError) -> BadRow:
    return BadRow(REASON, error.problem, error.remedy)


def refusal(example: Example, render: Renderer) -> BadRow | None:
    """Why the chat template cannot be used for an example: it leaves something out, or earlier answers cannot carry loss."""
    if isinstance(example.prompt, str) and CALLS not in example.extra:
        return None
    try:
        template_probe.check(render, example.prompt, example.answer_turn)
    except ChatTemplateError as error:
        return refused(error)
    try:
        render.turn_spans(example.prompt, example.extra.get(LOSS_TURNS, ()))
    except ChatTemplateError as error:
        return BadRow(REASON, f"{error.problem} (loss: assistant)", error.remedy)
    return None
