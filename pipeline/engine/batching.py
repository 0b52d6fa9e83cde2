"""Token batches: how rows are grouped by a token budget, then padded or packed. No result depends on the grouping, rounding apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CPU_TOKENS = 4096
CUDA_TOKENS = 8192
LOGITS = 2**26
"""Logits that one pass may give: 128 MiB in bf16, 450 columns of a vocabulary of 150,000."""
IGNORED = -100


@dataclass(frozen=True)
class Tokens:
    """One example as the model sees it: ids of prompt and answer; only the answer carries loss."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


def token_budget(asked: int | None, device: Any) -> int:
    """Padded tokens in one pass."""
    return asked or (CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS)


def batches(tokens: Sequence[int], columns: Sequence[int], budget: int, model: Any) -> list[list[int]]:
    """Indices of rows as `groups` gives them, such that rows x most tokens <= budget and rows x most columns x vocabulary <= LOGITS
    (or a row alone).

    Args:
        tokens: that each row holds.
        columns: of each row whose logits the pass gives.
        budget: padded tokens in one pass.
    """
    vocabulary: int = model.get_output_embeddings().weight.shape[0]
    few = max(1, min(budget, LOGITS // vocabulary))  # columns in one pass
    return groups([max(held * few, read * budget) for held, read in zip(tokens, columns, strict=True)], budget * few)


def groups(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of rows of like length, longest first, such that rows x longest <= budget (or a row alone)."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    found: list[list[int]] = []
    for index in order:
        if not found or (len(found[-1]) + 1) * lengths[found[-1][0]] > budget:
            found.append([])
        found[-1].append(index)
    return found


def packs(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of rows, longest first, such that their tokens together are <= budget (or a row alone); first fit."""
    found: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = next((at for at, left in enumerate(room) if lengths[index] <= left), len(room))
        if at == len(room):
            found.append([])
            room.append(budget)
        found[at].append(index)
        room[at] -= lengths[index]
    return found


def padded(rows: Sequence[Tokens], pad: int, device: Any, left: bool = False) -> dict[str, Any]:
    """input_ids, attention_mask and labels, each (rows, longest), padded on the right or on the left; labels are IGNORED outside of
    targets."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for at, row in enumerate(rows):
        start = width - len(row) if left else 0
        ids[at, start : start + len(row)] = torch.tensor(row.prompt + row.target)
        mask[at, start : start + len(row)] = 1
        labels[at, start + len(row.prompt) : start + len(row)] = torch.tensor(row.target)
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device), "labels": labels.to(device)}


def packed(rows: Sequence[Tokens], device: Any) -> dict[str, Any]:
    """All rows behind one another, (1, tokens), with positions that start again for each.

    transformers reads the document borders off position_ids, so that no row attends to another.
    """
    import torch

    ids = torch.tensor([[token for row in rows for token in row.prompt + row.target]])
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    labels = torch.tensor([[token for row in rows for token in (IGNORED,) * len(row.prompt) + row.target]])
    labels[positions == 0] = IGNORED  # the first token of a row must not be predicted from the row before it
    return {"input_ids": ids.to(device), "position_ids": positions.to(device), "labels": labels.to(device)}


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """input_ids and attention_mask, each (prompts, longest)."""
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    return ids, mask


def positions(mask: Any) -> Any:
    """Of each token its place among those of its row that count, (rows, tokens)."""
    return (mask.cumsum(1) - 1).clamp(min=0)
