"""Token batches for training, generation and scoring: how rows are grouped by a token budget, padded or packed,
and the sums that are read off the logits. Nothing here depends on how rows are grouped, rounding apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CPU_TOKENS = 4096
CUDA_TOKENS = 8192
LOGITS = 2**26
"""Logits that one pass may give where every column is looked at: 128 MiB in bf16, 450 tokens of a vocabulary of 150,000."""
CHUNK = 2**24
"""Logits that are turned into float32 at a time: 64 MiB."""
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


def logit_budget(budget: int, model: Any) -> int:
    """`budget`, or fewer padded tokens where their logits would be more than LOGITS numbers."""
    vocabulary: int = model.get_output_embeddings().weight.shape[0]
    return max(1, min(budget, LOGITS // vocabulary))


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


def padded(rows: Sequence[Tokens], pad: int, device: Any) -> dict[str, Any]:
    """Right-padded input_ids, attention_mask and labels, each (rows, longest); labels are IGNORED outside of targets."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row.prompt + row.target)
        mask[at, : len(row)] = 1
        labels[at, len(row.prompt) : len(row)] = torch.tensor(row.target)
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


def target_loss(model: Any, batch: dict[str, Any]) -> Any:
    """Sum of the cross-entropy over the batch's target tokens, in nats; a scalar of float32.

    The output layer runs only on the columns from the first target on.
    """
    import torch

    labels = batch["labels"]
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    first = int((labels != IGNORED).any(0).nonzero()[0])
    keep = labels.shape[1] - first + 1  # the column before a target predicts it
    logits = model(**inputs, use_cache=False, logits_to_keep=keep).logits
    wanted = labels[:, -keep + 1 :]
    at = wanted != IGNORED
    return torch.nn.functional.cross_entropy(logits[:, :-1][at].float(), wanted[at], reduction="sum")


def row_logprobs(model: Any, batch: dict[str, Any]) -> list[float]:
    """Sum of log-probabilities of each row's target tokens, in nats."""
    import torch

    labels = batch["labels"]
    first = int((labels != IGNORED).any(0).nonzero()[0])
    keep = labels.shape[1] - first + 1
    with torch.inference_mode():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False, logits_to_keep=keep).logits
        return target_sums(logits, labels[:, -keep:])


def target_sums(logits: Any, labels: Any) -> list[float]:
    """Of each row the sum of log-probabilities of its targets, in nats; logits (rows, tokens, vocabulary), labels (rows, tokens)."""
    import torch

    wanted = labels[:, 1:]
    each = torch.nn.functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), wanted, ignore_index=IGNORED, reduction="none")
    return [-float(value) for value in each.sum(1).tolist()]


def losses(model: Any, batch: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Of each row, summed over its target tokens, in nats: the negative log-likelihood under the base, the same with the adapter, and
    KL(base || tuned) over the whole vocabulary.

    Both passes run on the same weights and ids. The logits of both are held as the model gives them (see logit_budget) and turned
    into float32 some positions at a time.

    Args:
        model: a PeftModel with the adapter switched on.
    """
    import torch

    inputs, labels = {name: batch[name] for name in ("input_ids", "attention_mask")}, batch["labels"][:, 1:]
    rows, columns = (labels != IGNORED).nonzero(as_tuple=True)
    sums = torch.zeros(len(labels), 3, dtype=torch.float64)
    with torch.inference_mode():
        tuned = model(**inputs, use_cache=False).logits
        with model.disable_adapter():
            base = model(**inputs, use_cache=False).logits
        step = max(1, CHUNK // base.shape[-1])
        for start in range(0, len(rows), step):
            at = rows[start : start + step], columns[start : start + step]
            p, q = (logits[at].float().log_softmax(-1) for logits in (base, tuned))
            wanted = labels[at][:, None]
            each = torch.stack([-p.gather(1, wanted)[:, 0], -q.gather(1, wanted)[:, 0], (p.exp() * (p - q)).sum(1)], dim=1)
            sums.index_add_(0, at[0].cpu(), each.double().cpu())  # on the CPU, where the order of a sum is fixed
    return [(base, tuned, kl) for base, tuned, kl in sums.tolist()]


@dataclass(frozen=True)
class Halt:
    """What ends an answer: a number of new tokens, end tokens, and strings."""

    limit: int
    ends: tuple[int, ...]
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draw:
    """How tokens are drawn at random instead of greedily."""

    temperature: float
    top_p: float
    seed: int


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
    asked |= {"stopping_criteria": [stop_strings(halt.stop, tokenizer, width)]} if halt.stop else {}
    if draw:
        asked |= {"do_sample": True, "temperature": draw.temperature, "top_p": draw.top_p, "top_k": 0}
        torch.manual_seed(draw.seed)
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, **asked)
    return [cut_behind(row, halt.ends, pad) for row in out[:, width:].tolist()]


def stop_strings(marks: Sequence[str], tokenizer: Any, width: int) -> Any:
    """A stopping criterion that looks for strings in the new tokens only; transformers' own looks into the prompt as well."""
    import torch
    from transformers import StoppingCriteria

    window = max(map(len, marks)) + 8  # tokens that surely hold a mark which the newest token completes

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
            said = tokenizer.batch_decode(ids[:, max(width, ids.shape[1] - window) :], skip_special_tokens=True)
            return torch.tensor([any(mark in text for mark in marks) for text in said], device=ids.device)

    return Stop()


def cut_behind(row: list[int], ends: Sequence[int], pad: int) -> list[int]:
    """The row up to and with its first end token, without the padding of a row that was done before others."""
    at = next((i for i, token in enumerate(row) if token in ends), None)
    if at is not None:
        return row[: at + 1]
    last = max((i for i, token in enumerate(row) if token != pad), default=-1)
    return row[: last + 1]
