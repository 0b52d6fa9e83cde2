"""Groups rows into batches by a token budget and pads or packs them. No result depends on the grouping, rounding apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isqrt
from typing import Any

CPU_TOKENS = 4096
CUDA_TOKENS = 8192
MAX_LOGITS_PER_PASS = 2**26
"""Logits that one pass may compute: 128 MiB in bf16, 450 columns of a vocabulary of 150,000."""
MAX_KEPT_PER_PASS = 2**25
"""Logits, and attention scores of all layers, that a training pass on a CPU may keep for its backward pass: about half a GB each."""
IGNORE_INDEX = -100


@dataclass(frozen=True)
class TokenRow:
    """One example as the model sees it: its ids, and for each id whether it is a target, that is, carries loss.

    Targets may form any number of spans. The first token is never one: nothing precedes it that could predict it.

    Raises:
        ValueError: the mask has another length than the ids, or the first token is a target.
    """

    ids: tuple[int, ...]
    is_target: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.is_target):
            raise ValueError(f"{len(self.ids)} ids, but a mask of {len(self.is_target)}")
        if self.is_target[:1] == (True,):
            raise ValueError("the first token of a row cannot be a target")

    @classmethod
    def from_prompt(cls, prompt: Sequence[int], target: Sequence[int]) -> "TokenRow":
        """A prompt without loss, then its target."""
        return cls((*prompt, *target), (False,) * len(prompt) + (True,) * len(target))

    def with_targets(self, spans: Sequence[tuple[int, int]]) -> "TokenRow":
        """The row with further targets, each from a start to before an end."""
        more = {index for start, end in spans for index in range(start, end)}
        return TokenRow(self.ids, tuple(target or index in more for index, target in enumerate(self.is_target)))

    def runs(self) -> list[tuple[list[int], bool]]:
        """The ids in runs of tokens with and without loss, and whether each run has it."""
        pairs = zip(self.ids, self.is_target, strict=True)
        return [([token for token, _ in run], is_target) for is_target, run in groupby(pairs, key=lambda pair: pair[1])]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> tuple[int, ...]:
        """The ids of the targets, IGNORE_INDEX elsewhere."""
        return tuple(token if target else IGNORE_INDEX for token, target in zip(self.ids, self.is_target, strict=True))

    @property
    def target_count(self) -> int:
        return sum(self.is_target)

    @property
    def target_width(self) -> int:
        """Tokens from the first target to the end of the row; 0 without a target."""
        return len(self) - self.is_target.index(True) if True in self.is_target else 0


def token_budget(override: int | None, device: Any) -> int:
    """Padded tokens in one pass."""
    return override or (CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS)


def scoring_batches(tokens: Sequence[int], columns: Sequence[int], budget: int, model: Any) -> list[list[int]]:
    """Indices of rows as `padded_batches` gives them, such that rows x longest row <= budget and rows x most columns x vocabulary
    <= MAX_LOGITS_PER_PASS (or a row alone).

    Args:
        tokens: that each row holds.
        columns: of each row whose logits the pass gives.
        budget: padded tokens in one pass.
    """
    vocabulary: int = model.get_output_embeddings().weight.shape[0]
    max_columns = max(1, min(budget, MAX_LOGITS_PER_PASS // vocabulary))  # in one pass
    costs = [max(length * max_columns, width * budget) for length, width in zip(tokens, columns, strict=True)]
    return padded_batches(costs, budget * max_columns)


def training_batches(rows: Sequence[TokenRow], budget: int, model: Any, packing: bool) -> list[list[int]]:
    """Indices of the rows of each training pass, of at most `budget` tokens, padding included (or a row alone).

    On a CPU, where nothing tells that memory runs out, the logits of the targets and the scores of eager attention are bounded as well.
    """
    lengths = [len(row) for row in rows]
    group = packed_batches if packing else padded_batches
    if model.device.type != "cpu":
        return group(lengths, budget)
    scores = scores_per_pair(model)
    if packing and scores:  # one row of all documents
        budget = min(budget, isqrt(MAX_KEPT_PER_PASS // scores))
    logits = int(model.get_output_embeddings().weight.shape[0])
    sizes = [max(row.target_count * logits, 0 if packing else len(row) ** 2 * scores) for row in rows]
    # a row counts as more tokens than it has where these take the larger share of what a pass may have
    return group([max(length, -(-size * budget // MAX_KEPT_PER_PASS)) for length, size in zip(lengths, sizes, strict=True)], budget)


def scores_per_pair(model: Any) -> int:
    """Attention scores that a model keeps for each query and key: one per head and layer with eager attention, none with fused kernels."""
    config = model.config.get_text_config()
    return int(config.num_attention_heads * config.num_hidden_layers) if config._attn_implementation == "eager" else 0


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Indices of the rows; of equal lengths the earlier first."""
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def padded_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of rows of like length, longest first, such that rows x longest <= budget (or a row alone)."""
    batches: list[list[int]] = []
    for index in longest_first(lengths):
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > budget:
            batches.append([])
        batches[-1].append(index)
    return batches


def packed_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of rows, longest first, such that their tokens together are <= budget (or a row alone); first fit."""
    batches: list[list[int]] = []
    room: list[int] = []
    for index in longest_first(lengths):
        batch = next((batch for batch, tokens in enumerate(room) if lengths[index] <= tokens), len(room))
        if batch == len(room):
            batches.append([])
            room.append(budget)
        batches[batch].append(index)
        room[batch] -= lengths[index]
    return batches


def padded(rows: Sequence[TokenRow], pad: int, device: Any, left: bool = False) -> dict[str, Any]:
    """input_ids, attention_mask and labels, each (rows, longest), padded on the right or on the left; labels are IGNORE_INDEX outside of
    targets."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORE_INDEX)
    for index, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[index, span] = torch.tensor(row.ids)
        mask[index, span] = 1
        labels[index, span] = torch.tensor(row.labels)
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device), "labels": labels.to(device)}


def packed(rows: Sequence[TokenRow], device: Any) -> dict[str, Any]:
    """All rows end to end, (1, tokens), with positions that start again for each row.

    transformers reads the document borders off position_ids, so that no row attends to another. A row's first token is never a
    target, so it is not predicted from the row before it.
    """
    import torch

    ids = torch.tensor([[token for row in rows for token in row.ids]])
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    labels = torch.tensor([[label for row in rows for label in row.labels]])
    return {"input_ids": ids.to(device), "position_ids": positions.to(device), "labels": labels.to(device)}


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """input_ids and attention_mask, each (prompts, longest)."""
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    return ids, mask


def positions(mask: Any) -> Any:
    """The position of each token among the attended ones of its row, (rows, tokens)."""
    return (mask.cumsum(1) - 1).clamp(min=0)
