"""Generates continuations of prompts with `generate` of transformers, greedy or sampled, until a stop condition holds.

Greedy answers of most models come faster from greedy.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engine.batching import left_padded
from pipeline.store.records import first_stop


@dataclass(frozen=True)
class StopConditions:
    """What ends an answer: a number of new tokens, EOS tokens, and stop strings."""

    max_new_tokens: int
    eos_ids: tuple[int, ...]
    """Token ids that end an answer."""
    stop_strings: tuple[str, ...] = ()
    """Stop strings, matched anywhere, as an OpenAI-compatible endpoint does."""
    separator: str = ""
    """A stop string (the few-shot separator), ignored in leading whitespace. Empty: there is none."""

    @property
    def all_strings(self) -> tuple[str, ...]:
        return self.stop_strings + ((self.separator,) if self.separator else ())

    @property
    def window(self) -> int:
        """Tokens that surely hold a stop string that the newest token completes."""
        return max(map(len, self.all_strings)) + 8

    def first_end(self, text: str) -> int | None:
        """Index of the first stop string that ends a text; None: there is none."""
        opening = len(text) - len(text.lstrip())
        separators = (self.separator,) if self.separator else ()
        ends = [first_stop(text, self.stop_strings), first_stop(text, separators, opening)]
        return min((end for end in ends if end is not None), default=None)


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are sampled."""

    temperature: float
    top_p: float
    seed: int


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop: StopConditions,
    pad: int,
    tokenizer: Any = None,
    sampling: SamplingParams | None = None,
) -> list[list[int]]:
    """Continuations as token ids, greedy without `sampling`, as one left-padded batch; an EOS token is the last of its row.

    Args:
        prompts: token ids, one list per row.
        tokenizer: needed where there are stop strings; a row ends with the token that completes one.
        sampling: sample instead, with torch's generators seeded before the batch.
    """
    import torch

    ids, mask = left_padded(prompts, pad, model.device)
    width = ids.shape[1]
    options: dict[str, Any] = {"max_new_tokens": stop.max_new_tokens, "do_sample": False, "num_beams": 1, "pad_token_id": pad}
    options |= {"eos_token_id": list(stop.eos_ids)}
    options |= {"stopping_criteria": [stop_string_criterion(stop, tokenizer, width)]} if stop.all_strings else {}
    if sampling:
        options |= {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        torch.manual_seed(sampling.seed)
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, **options)
    return [cut_after_eos(row, stop.eos_ids, pad) for row in out[:, width:].tolist()]


def stop_string_criterion(stop: StopConditions, tokenizer: Any, width: int) -> Any:
    """A stopping criterion that looks at the tokens after the first `width` only; transformers' own looks into the prompt as well."""
    import torch
    from transformers import StoppingCriteria

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
            new = ids[:, width:]
            tails = tokenizer.batch_decode(new[:, -stop.window :], skip_special_tokens=True)
            contains_string = [any(string in tail for string in stop.all_strings) for tail in tails]
            done = [
                hit and stop.first_end(tokenizer.decode(row, skip_special_tokens=True)) is not None
                for hit, row in zip(contains_string, new, strict=True)
            ]
            return torch.tensor(done, device=ids.device)

    return Stop()


def cut_after_eos(row: list[int], eos_ids: Sequence[int], pad: int) -> list[int]:
    """The row through its first EOS, without padding."""
    end = next((index for index, token in enumerate(row) if token in eos_ids), None)
    if end is not None:
        return row[: end + 1]
    last = max((i for i, token in enumerate(row) if token != pad), default=-1)
    return row[: last + 1]
