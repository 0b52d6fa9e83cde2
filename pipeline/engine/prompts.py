"""Reads prompts into a cache of keys and values. What the prompts of a batch begin with, such as instructions, is read once for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engine import batching, kv_cache

MIN_PREFIX = 16
"""Tokens that the prompts of a batch must have in common to be read once for all."""
Ids = Sequence[int]


@dataclass(frozen=True)
class Prefix:
    """What prompts begin with."""

    ids: tuple[int, ...] = ()
    cache: Any = None
    """Of one row, or of none where there is no common prefix; None: the model makes its own."""

    def copies(self, rows: int) -> Any:
        """A cache for so many rows that begin with the prefix."""
        return None if self.cache is None else kv_cache.copies(self.cache, rows)


def prefix_length(prompts: Sequence[Ids]) -> int:
    """Tokens that several prompts begin with, but the last of each; 0 for too few to be read apart."""
    lowest, highest = min(prompts, key=list), max(prompts, key=list)
    shortest = min(map(len, prompts)) - 1
    length = next((index for index in range(shortest) if lowest[index] != highest[index]), shortest)
    return length if len(prompts) > 1 and length >= MIN_PREFIX else 0


def read_prefix(model: Any, prompts: Sequence[Ids], new_tokens: int) -> Prefix:
    """Read what prompts begin with; nothing of models whose rows cannot be copied.

    The padding of short prompts lies behind the prefix, where a sliding window counts it: such models read it once only if
    nothing is outside of their window.

    Args:
        new_tokens: that may follow a prompt.
    """
    import torch

    if not kv_cache.is_plain(model):
        return Prefix()
    window, columns = kv_cache.window(model), max(map(len, prompts)) + new_tokens
    length = prefix_length(prompts) if window is None or columns <= window else 0
    prefix, cache = tuple(prompts[0][:length]), kv_cache.spacious_cache()
    if prefix:
        ids = torch.tensor([prefix], device=model.device)
        model(input_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(prefix, cache)


def read(model: Any, prompts: Sequence[Ids], prefix: Prefix, pad: int) -> tuple[Any, Any, Any]:
    """Read prompts that begin with a prefix, in one pass: their cache, their mask (prompts, columns), and the logits
    (prompts, vocabulary) of what follows."""
    import torch

    shared = len(prefix.ids)
    ids, mask = batching.left_padded([prompt[shared:] for prompt in prompts], pad, model.device)
    mask = torch.cat([mask.new_ones(len(prompts), shared), mask], 1)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=batching.positions(mask)[:, shared:],
        past_key_values=prefix.copies(len(prompts)),
        use_cache=True,
        logits_to_keep=1,
    )
    return output.past_key_values, mask, output.logits[:, -1].float()
