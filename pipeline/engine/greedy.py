"""Decodes greedily in batches that rows leave when their answers end.

The tokens are those of `generate` of transformers, rounding apart.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.engine import batching, kv_cache, short_queries
from pipeline.engine import prompts as reading
from pipeline.engine.generation import StopConditions, cut_after_eos
from pipeline.models import shapes

CPU_FACTOR = 4
"""Times the token budget that a batch may hold on a CPU while it decodes: a step computes one column of it."""
MAX_OPEN = 0.875
"""Share of open rows up to which a batch lets go of the others: that copies the cache."""
MAX_CACHE_BYTES = 2**30
"""Bytes of keys and values of a batch above the token budget."""
Ids = Sequence[int]


def is_supported(model: Any) -> bool:
    """Whether decode() takes a model, of transformers or a PeftModel."""
    return kv_cache.is_plain(model)


def batch_budget(model: Any, token_budget: int) -> int:
    """Tokens of prompts and answers that a batch may hold.

    Args:
        token_budget: padded tokens of prompts in one pass.
    """
    shape = shapes.of_config(model.config.to_dict())
    if model.device.type != "cpu" or shape is None or not is_supported(model):
        return token_budget
    bytes_per_token: int = shape.kv_bytes * model.dtype.itemsize // 2
    return max(token_budget, min(CPU_FACTOR * token_budget, MAX_CACHE_BYTES // bytes_per_token))


def decode(model: Any, prompts: Sequence[Ids], stop: StopConditions, pad: int, tokenizer: Any, token_budget: int) -> list[list[int]]:
    """Greedy continuations as token ids; an EOS token is the last of its row.

    Args:
        model: is_supported() holds for it.
        prompts: token ids, one list per row.
        tokenizer: needed where there are stop strings; a row ends with the token that completes one.
        token_budget: padded tokens of prompts in one pass.
    """
    import torch

    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode(), short_queries.attention(model):
        batch = GreedyBatch(model, pad)
        tokens = batch.read(prompts, stop.max_new_tokens, token_budget)
        is_open = [True] * len(prompts)
        for count in range(1, stop.max_new_tokens + 1):
            for row, token in zip(batch.rows, tokens.tolist(), strict=True):
                if is_open[row]:
                    answers[row].append(token)
                    is_open[row] = not is_ended(answers[row], stop, tokenizer)
            places = [place for place, row in enumerate(batch.rows) if is_open[row]]
            if count == stop.max_new_tokens or not places:
                break
            if len(places) <= MAX_OPEN * len(batch.rows):
                tokens = batch.keep(places, tokens)
            tokens = batch.step(tokens)
    return [cut_after_eos(answer, stop.eos_ids, pad) for answer in answers]


def is_ended(answer: list[int], stop: StopConditions, tokenizer: Any) -> bool:
    """Whether the newest token is an EOS token, or completes a stop string."""
    if answer[-1] in stop.eos_ids or not stop.all_strings:
        return answer[-1] in stop.eos_ids
    tail = tokenizer.decode(answer[-stop.window :], skip_special_tokens=True)
    if not any(string in tail for string in stop.all_strings):
        return False
    return stop.first_end(tokenizer.decode(answer, skip_special_tokens=True)) is not None


class GreedyBatch:
    """The rows whose answers go on, with their keys and values."""

    def __init__(self, model: Any, pad: int) -> None:
        self.model = model
        self.pad = pad
        self.rows: list[int] = []
        """Indices of the prompts."""
        self.cache: Any = None
        self.mask: Any = None
        """(rows, columns): 1 where there is a token, 0 for padding."""

    def read(self, prompts: Sequence[Ids], new_tokens: int, token_budget: int) -> Any:
        """Read prompts, pass by pass; the first tokens of their answers (rows,), in the order of self.rows."""
        import torch

        prefix = reading.read_prefix(self.model, prompts, new_tokens)
        first_tokens = []
        for group in batching.padded_batches([len(prompt) - len(prefix.ids) for prompt in prompts], token_budget):
            cache, mask, logits = reading.read(self.model, [prompts[index] for index in group], prefix, self.pad)
            first_tokens.append(logits.argmax(-1))
            self.add(group, cache, mask)
        return torch.cat(first_tokens)

    def add(self, rows: list[int], cache: Any, mask: Any) -> None:
        """Append rows that have been read."""
        import torch

        if self.rows:
            kv_cache.join(self.cache, cache)
            columns = kv_cache.width(self.cache)
            self.mask = torch.cat([torch.nn.functional.pad(part, (columns - part.shape[1], 0)) for part in (self.mask, mask)])
        else:
            self.cache, self.mask = cache, mask
        self.rows = self.rows + rows

    def step(self, tokens: Any) -> Any:
        """Take in the newest tokens (rows,); the next ones."""
        import torch

        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
        output = self.model(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=batching.positions(self.mask)[:, -1:],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float().argmax(-1)

    def keep(self, places: list[int], tokens: Any) -> Any:
        """Let go of all other rows, and of columns that only they had tokens in; the newest tokens of those that stay."""
        import torch

        index = torch.tensor(places, device=self.mask.device)
        first_column = int(self.mask[index].any(0).nonzero()[0])
        kv_cache.select(self.cache, index, first_column)
        self.mask = self.mask[index, first_column:]
        self.rows = [self.rows[place] for place in places]
        return tokens[index]
