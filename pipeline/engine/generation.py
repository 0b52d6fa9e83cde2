"""Continuations of prompts: greedy or sampled, and the conditions that end them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engine.batching import left_padded


@dataclass(frozen=True)
class Halt:
    """What ends an answer: a number of new tokens, end tokens, and strings."""

    limit: int
    ends: tuple[int, ...]
    stop: tuple[str, ...] = ()
    """Wherever they stand, as an endpoint's would."""
    separator: str = ""
    """Ends an answer that has begun: among the blanks that open it, it ends nothing. Empty: there is none."""

    @property
    def marks(self) -> tuple[str, ...]:
        return self.stop + ((self.separator,) if self.separator else ())

    def end(self, said: str) -> int | None:
        """Where the first string stands that ends a text; None: nowhere."""
        opening = len(said) - len(said.lstrip())
        found = [said.find(mark) for mark in self.stop] + ([said.find(self.separator, opening)] if self.separator else [])
        return min((at for at in found if at >= 0), default=None)


@dataclass(frozen=True)
class Draw:
    """How tokens are drawn at random instead of greedily."""

    temperature: float
    top_p: float
    seed: int


def greedy(
    model: Any, prompts: Sequence[Sequence[int]], halt: Halt, pad: int, tokenizer: Any = None, draw: Draw | None = None
) -> list[list[int]]:
    """Continuations as token ids, greedy unless told to draw, left-padded batch; an end token is the last of its row.

    Args:
        prompts: token ids, one list a row.
        tokenizer: needed where there are stop strings; a row ends behind the token that completes one.
        draw: sample instead, with torch's generators seeded before the batch.
    """
    import torch

    ids, mask = left_padded(prompts, pad, model.device)
    width = ids.shape[1]
    asked: dict[str, Any] = {"max_new_tokens": halt.limit, "do_sample": False, "num_beams": 1, "pad_token_id": pad}
    asked |= {"eos_token_id": list(halt.ends)}
    asked |= {"stopping_criteria": [stop_strings(halt, tokenizer, width)]} if halt.marks else {}
    if draw:
        asked |= {"do_sample": True, "temperature": draw.temperature, "top_p": draw.top_p, "top_k": 0}
        torch.manual_seed(draw.seed)
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, **asked)
    return [cut_behind(row, halt.ends, pad) for row in out[:, width:].tolist()]


def stop_strings(halt: Halt, tokenizer: Any, width: int) -> Any:
    """A stopping criterion that looks behind the first `width` tokens only; transformers' own looks into the prompt as well."""
    import torch
    from transformers import StoppingCriteria

    window = max(map(len, halt.marks)) + 8  # tokens that surely hold a mark which the newest token completes

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
            new = ids[:, width:]
            tails = tokenizer.batch_decode(new[:, -window:], skip_special_tokens=True)
            near = [any(mark in tail for mark in halt.marks) for tail in tails]
            done = [
                hit and halt.end(tokenizer.decode(row, skip_special_tokens=True)) is not None for hit, row in zip(near, new, strict=True)
            ]
            return torch.tensor(done, device=ids.device)

    return Stop()


def cut_behind(row: list[int], ends: Sequence[int], pad: int) -> list[int]:
    """The row up to and with its first end token, without the padding of a row that was done before others."""
    at = next((i for i, token in enumerate(row) if token in ends), None)
    if at is not None:
        return row[: at + 1]
    last = max((i for i, token in enumerate(row) if token != pad), default=-1)
    return row[: last + 1]
