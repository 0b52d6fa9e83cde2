"""Generates continuations of prompts, greedy or sampled, until a stop condition holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engine.batching import left_padded
from pipeline.store.records import first_stop


@dataclass(frozen=True)
class StopConditions:
    """What ends an answer: a number of new tokens, end tokens, and strings."""

    limit: int
    """New tokens at most."""
    ends: tuple[int, ...]
    """Ids of the end tokens."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer wherever they are, as those of an endpoint do."""
    separator: str = ""
    """Ends an answer that has begun: among the blanks that open it, it ends nothing. Empty: there is none."""

    @property
    def marks(self) -> tuple[str, ...]:
        return self.stop + ((self.separator,) if self.separator else ())

    def end(self, text: str) -> int | None:
        """Index of the first string that ends a text; None: there is none."""
        opening = len(text) - len(text.lstrip())
        separators = (self.separator,) if self.separator else ()
        ends = [first_stop(text, self.stop), first_stop(text, separators, opening)]
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
    """Continuations as token ids, greedy without `sampling`, left-padded batch; an end token is the last of its row.

    Args:
        prompts: token ids, one list a row.
        tokenizer: needed where there are stop strings; a row ends with the token that completes one.
        sampling: sample instead, with torch's generators seeded before the batch.
    """
    import torch

    ids, mask = left_padded(prompts, pad, model.device)
    width = ids.shape[1]
    options: dict[str, Any] = {"max_new_tokens": stop.limit, "do_sample": False, "num_beams": 1, "pad_token_id": pad}
    options |= {"eos_token_id": list(stop.ends)}
    options |= {"stopping_criteria": [stop_string_criterion(stop, tokenizer, width)]} if stop.marks else {}
    if sampling:
        options |= {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        torch.manual_seed(sampling.seed)
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, **options)
    return [cut_after_end(row, stop.ends, pad) for row in out[:, width:].tolist()]


def stop_string_criterion(stop: StopConditions, tokenizer: Any, width: int) -> Any:
    """A stopping criterion that looks at the tokens after the first `width` only; transformers' own looks into the prompt as well."""
    import torch
    from transformers import StoppingCriteria

    window = max(map(len, stop.marks)) + 8  # tokens that surely hold a mark which the newest token completes

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
            new = ids[:, width:]
            tails = tokenizer.batch_decode(new[:, -window:], skip_special_tokens=True)
            near = [any(mark in tail for mark in stop.marks) for tail in tails]
            done = [
                hit and stop.end(tokenizer.decode(row, skip_special_tokens=True)) is not None for hit, row in zip(near, new, strict=True)
            ]
            return torch.tensor(done, device=ids.device)

    return Stop()


def cut_after_end(row: list[int], ends: Sequence[int], pad: int) -> list[int]:
    """The row up to and with its first end token, without the padding of a row that was done before others."""
    end = next((index for index, token in enumerate(row) if token in ends), None)
    if end is not None:
        return row[: end + 1]
    last = max((i for i, token in enumerate(row) if token != pad), default=-1)
    return row[: last + 1]
