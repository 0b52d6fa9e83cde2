"""Defines the interface of a model for stages: generated text, log-probabilities of rows, and a ranking of choices.

A new backend is a class with the three methods and a line in `open_backend.py`; stages need no change.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pipeline.engine import batching
from pipeline.engine.batching import TokenRow
from pipeline.engine.generation import SamplingParams, StopConditions
from pipeline.store.folders import LivenessMeasures

Ids = Sequence[int]
Batches = list[list[int]]
"""Indices of rows, every one once, by the batch that answers them together."""


class Backend(Protocol):
    """A model with or without an adapter, ready to answer. Subclasses inherit batches by a budget of padded tokens."""

    context_window: int
    """Tokens of prompt and answer together that the model supports."""
    eos_ids: tuple[int, ...]
    """Ids that end an answer."""
    token_budget: int = batching.CPU_TOKENS
    """Padded tokens in one batch."""

    def generate(self, prompts: Sequence[Ids], stop: StopConditions, sampling: SamplingParams | None = None) -> list[list[int]]:
        """Continuations as token ids, greedy without `sampling`; EOS is the last token of a row that ends with it."""
        ...

    def logprobs(self, rows: Sequence[TokenRow]) -> list[float]:
        """Sum of log-probabilities of each row's targets, in nats."""
        ...

    def choice_logprobs(self, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]]) -> list[list[float]]:
        """For every prompt the sums of log-probabilities of its choices, in nats; 0 for a choice of no tokens."""
        ...

    def choice_scores(self, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]]) -> list[list[tuple[float, bool]]]:
        """The same sums, each with whether greedy decoding gives that choice. Required for tasks of lm-evaluation-harness."""
        raise NotImplementedError(f"{type(self).__name__} cannot say which choices are greedy")

    def generate_batches(self, prompts: Sequence[Ids], new_tokens: int, sampled: bool = False) -> Batches:
        """The batches to call `generate` with; they depend on the model, the lengths and the token budget only."""
        return batching.padded_batches([len(prompt) + new_tokens for prompt in prompts], self.token_budget)

    def logprobs_batches(self, rows: Sequence[TokenRow]) -> Batches:
        """The batches to call `logprobs` with."""
        return batching.padded_batches([len(row) for row in rows], self.token_budget)

    def choice_batches(self, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]]) -> Batches:
        """The batches to call `choice_logprobs` with."""
        lengths = [sum(len(prompt) + len(answer) for answer in answers) for prompt, answers in zip(prompts, choices, strict=True)]
        return batching.padded_batches(lengths, self.token_budget)

    def examine_adapter(self, folder: Path, prompts: Sequence[Ids]) -> LivenessMeasures:
        """The measures that the liveness gate judges the loaded adapter by; see liveness.examine. Required for jobs with an adapter."""
        raise NotImplementedError(f"{type(self).__name__} cannot check whether an adapter has an effect")

    def facts(self) -> dict[str, Any]:
        """What a manifest records about how the model ran."""
        return {}
