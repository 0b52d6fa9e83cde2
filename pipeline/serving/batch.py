"""Runs rows of a base and its adapters together, one token at a time; rows enter and leave between the steps."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.engine import batching, kv_cache
from pipeline.serving import sampling
from pipeline.serving.resident_adapters import ResidentAdapters
from pipeline.serving.rows import Row

HEADROOM = 32
"""New tokens that a row must have room for when it enters, so that it is not put back at once."""


class Batch:
    """The rows in work and their keys and values.

    Args:
        adapters: the base with its adapters.
        pad_id: fills short rows.
        token_budget: rows x longest row, at most; a row alone may have more.
    """

    def __init__(self, adapters: ResidentAdapters, pad_id: int, token_budget: int) -> None:
        self.adapters = adapters
        self.pad_id = pad_id
        self.token_budget = token_budget
        self.options: dict[str, Any] = {"logits_to_keep": 1} if adapters.base._supports_logits_to_keep() else {}
        self.rows: list[Row] = []
        """The row that entered last is the last one."""
        self.cache: Any = None
        self.mask: Any = None
        """(rows, columns): 1 where there is a token, 0 for padding."""

    def check(self, name: str) -> None:
        """Raise ModelError if rows of this base cannot share a batch; runs one token through it."""
        ids, mask = batching.left_padded([[self.pad_id]], self.pad_id, self.adapters.base.device)
        cache = kv_cache.new_cache()
        self.logits(ids, mask, cache, [])
        kv_cache.check(cache, name)

    def fits(self, row: Row, others: Sequence[Row]) -> bool:
        """Whether a row may enter beside those that are here and others that enter with it."""
        rows = [*self.rows, *others, row]
        has_space = len(rows) == 1 or len(rows) * (max(map(len, rows)) + HEADROOM) <= self.token_budget
        return has_space and self.adapters.can_mix([row.request.model for row in rows])

    def overflow(self) -> list[Row]:
        """Take out the rows that entered last, as many as the next step has no room for; they go on later, from what they have."""
        count = len(self.rows)
        while count > 1 and count * (max(map(len, self.rows[:count])) + 1) > self.token_budget:
            count -= 1
        rows = self.rows[count:]
        self.keep(lambda row: row not in rows)
        return rows

    def enter(self, rows: Sequence[Row]) -> None:
        """Read the prompts of rows and pick the first token of each; they stay for the next steps."""
        for group in batching.padded_batches([len(row) for row in rows], self.token_budget):
            entering = [rows[index] for index in group]
            ids, mask = batching.left_padded([row.tokens for row in entering], self.pad_id, self.adapters.base.device)
            cache = kv_cache.new_cache()
            logits = self.logits(ids, mask, cache, entering)
            self.join(entering, cache, mask)
            accept(entering, logits)
            self.keep(is_wanted)

    def join(self, rows: Sequence[Row], cache: Any, mask: Any) -> None:
        """Append rows that have been read."""
        import torch
        from torch.nn.functional import pad

        if self.cache is None:
            self.cache, self.mask = cache, mask
        else:
            kv_cache.join(self.cache, cache)
            columns = kv_cache.width(self.cache)
            self.mask = torch.cat([pad(part, (columns - part.shape[1], 0)) for part in (self.mask, mask)])
        self.rows = [*self.rows, *rows]

    def step(self) -> None:
        """Give every row its next token."""
        import torch

        if not self.rows:
            return
        ids = torch.tensor([[row.tokens[-1]] for row in self.rows], device=self.mask.device)
        self.mask = torch.cat([self.mask, torch.ones_like(ids)], 1)
        accept(self.rows, self.logits(ids, self.mask, self.cache, self.rows))
        self.keep(is_wanted)

    def logits(self, ids: Any, mask: Any, cache: Any, rows: Sequence[Row]) -> Any:
        """The logits (rows, vocabulary), in float32, of what follows new columns of ids (rows, new columns); the cache takes these in.

        Args:
            mask: of all columns.
            rows: whose models answer; none: the base.
        """
        import torch

        positions = batching.positions(mask)[:, -ids.shape[1] :]
        with torch.inference_mode():
            out = self.adapters.forward(
                [row.request.model for row in rows], input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
                use_cache=True, **self.options,
            )  # fmt: skip
            return out.logits[:, -1].float()

    def keep(self, is_kept: Callable[[Row], bool]) -> None:
        """Let go of all other rows, and of columns that only they had tokens in."""
        import torch

        indices = [index for index, row in enumerate(self.rows) if is_kept(row)]
        if len(indices) == len(self.rows):
            return
        self.rows = [self.rows[index] for index in indices]
        if not self.rows:
            self.cache = self.mask = None
            return
        places = torch.tensor(indices, device=self.mask.device)
        first = int(self.mask[places].any(0).nonzero()[0])
        kv_cache.select(self.cache, places, first)
        self.mask = self.mask[places, first:]

    def clear(self) -> list[Row]:
        """Let go of all rows; returns them."""
        rows = self.rows
        self.keep(lambda row: False)
        return rows


def is_wanted(row: Row) -> bool:
    return not row.is_done and not row.is_cancelled


def accept(rows: Sequence[Row], logits: Any) -> None:
    """Pick the next token of every row by logits (rows, vocabulary)."""
    tokens = sampling.pick(logits, [row.sampler for row in rows])
    for row, token, values in zip(rows, tokens, logits.unbind(), strict=True):
        count = row.request.top_logprobs
        row.accept(token, None if count is None else sampling.logprob(values, token, count))
