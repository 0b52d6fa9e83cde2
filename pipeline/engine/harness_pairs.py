"""Arranges the texts whose likelihood lm-evaluation-harness asks for: token ids by prompt, and the scores back by example."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.models.renderer import Renderer
from pipeline.store.records import Example, Prediction

UNLIKELY = "(another continuation)"
"""The answer where one text was asked for, and greedy decoding gives another."""


@dataclass
class PromptRow:
    """The texts of one example that follow the same token ids."""

    prompt: list[int]
    continuations: list[list[int]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    """Of each text its example, and its place among the example's texts."""


def by_prompt(pairs: Sequence[Sequence[Sequence[str]]], render: Renderer, window: int) -> list[PromptRow]:
    """The rows of all examples; a prompt that would not fit into the context window loses its start.

    Args:
        pairs: of each example the contexts and continuations.
        render: by the rules of lm-evaluation-harness, with `pair_ids`.
    """
    rows: list[PromptRow] = []
    for example, texts in enumerate(pairs):
        own: dict[tuple[int, ...], PromptRow] = {}
        for place, (context, continuation) in enumerate(texts):
            before, after = render.pair_ids(context, continuation)  # type: ignore[attr-defined]  # of a HarnessRenderer
            before = before[-max(1, window + 1 - len(after)) :]
            row = own.setdefault(tuple(before), PromptRow(list(before)))
            row.continuations.append(after)
            row.places.append((example, place))
        rows += own.values()
    return rows


def predictions(
    examples: Sequence[Example], pairs: Sequence[Sequence[Sequence[str]]], rows: Sequence[PromptRow], scores: Sequence[Sequence[Any]]
) -> list[Prediction]:
    """One prediction for each example.

    Args:
        scores: of each row and continuation the log-likelihood in nats, and whether it is greedy.
    """
    by_place: dict[tuple[int, int], tuple[float, bool, int]] = {}
    for row, row_scores in zip(rows, scores, strict=True):
        for place, ids, (logprob, is_greedy) in zip(row.places, row.continuations, row_scores, strict=True):
            by_place[place] = (float(logprob), bool(is_greedy), len(ids))
    answers = []
    for number, (example, texts) in enumerate(zip(examples, pairs, strict=True)):
        own = [by_place[number, place] for place in range(len(texts))]
        best = max(range(len(own)), key=lambda place: own[place][0])
        logprobs, greedy, tokens = zip(*own, strict=True)
        answers.append(Prediction(example.id, answer_text(texts, best, greedy[best]), tokens[best], "eos", logprobs, greedy=greedy))
    return answers


def answer_text(texts: Sequence[Sequence[str]], best: int, is_greedy: bool) -> str:
    """What a reader sees as the answer: the likeliest continuation, with its context where that is what differs."""
    if len(texts) == 1:
        return texts[0][1].strip() if is_greedy else UNLIKELY
    context, continuation = texts[best]
    is_same = len({pair[0] for pair in texts if pair[0]}) == 1
    return continuation.strip() if is_same else f"{context}{continuation}"
