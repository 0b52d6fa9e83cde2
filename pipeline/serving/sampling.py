"""Picks the next token of every row from its logits: the likeliest, or a random one by the row's own seed; and log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TokenLogprob:
    """A token with its log-probability and the likeliest tokens in its place."""

    token: int
    logprob: float
    """In nats, of the model itself: before temperature and top_p."""
    top: tuple[tuple[int, float], ...]
    """(token, log-probability), the likeliest first."""


class Sampler:
    """How one row picks its tokens. Its random numbers are its own, so no row of the batch changes another's answer.

    Args:
        temperature: 0 is greedy.
        top_p: share of the probability that is sampled from.
        seed: of the row.
    """

    def __init__(self, temperature: float, top_p: float, seed: int) -> None:
        self.temperature = temperature
        self.top_p = top_p
        self.seed = seed
        self.generator: Any = None

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    def pick(self, logits: Any) -> int:
        """A token by logits (vocabulary,) in float32."""
        import torch

        if self.generator is None:
            self.generator = torch.Generator(logits.device).manual_seed(self.seed)
        probabilities = ((logits - logits.max()) / self.temperature).softmax(-1)
        if self.top_p < 1:
            values, order = probabilities.sort(descending=True)
            beyond = values.cumsum(-1) - values >= self.top_p
            beyond[0] = False
            probabilities = torch.zeros_like(probabilities).scatter_(0, order, values.masked_fill(beyond, 0.0))
        return int(torch.multinomial(probabilities, 1, generator=self.generator))


def pick(logits: Any, samplers: Sequence[Sampler]) -> list[int]:
    """The next token of every row by logits (rows, vocabulary) in float32."""
    greedy: list[int] = logits.argmax(-1).tolist()
    return [
        token if sampler.is_greedy else sampler.pick(row) for token, sampler, row in zip(greedy, samplers, logits.unbind(), strict=True)
    ]


def logprob(logits: Any, token: int, count: int) -> TokenLogprob:
    """The log-probability of a token, and the `count` likeliest tokens, by logits (vocabulary,) in float32."""
    values = logits.log_softmax(-1)
    top = values.topk(count) if count else None
    likeliest = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True)) if top else ()
    return TokenLogprob(token, float(values[token]), likeliest)
