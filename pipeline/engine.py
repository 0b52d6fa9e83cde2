"""Token batches for training, generation and scoring: how rows are grouped by a token budget, padded or packed,
and the sums that are read off the logits. Nothing here depends on how rows are grouped, rounding apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CPU_TOKENS = 4096
CUDA_TOKENS = 8192
LOGITS = 2**26
"""Logits that one pass may give: 128 MiB in bf16, 450 columns of a vocabulary of 150,000."""
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


def row_logprobs(model: Any, rows: Sequence[Tokens], pad: int) -> list[float]:
    """Sum of log-probabilities of each row's target tokens, in nats.

    Rows are padded on the left, so that all targets end in the last column and the output layer runs on the longest target + 1 columns
    alone, however long the prompts are.
    """
    import torch

    batch, keep = padded(rows, pad, model.device, left=True), max(len(row.target) for row in rows) + 1
    mask = batch["attention_mask"]
    with torch.inference_mode():
        logits = model(
            input_ids=batch["input_ids"], attention_mask=mask, position_ids=positions(mask), use_cache=False, logits_to_keep=keep
        ).logits
        return target_sums(logits, batch["labels"][:, -keep:])


def target_sums(logits: Any, labels: Any) -> list[float]:
    """Of each row the sum of log-probabilities of its targets, in nats; logits (rows, tokens, vocabulary), labels (rows, tokens).

    The logits are turned into float32 some positions at a time.
    """
    import torch

    wanted = labels[:, 1:]
    rows, columns = (wanted != IGNORED).nonzero(as_tuple=True)
    sums, step = torch.zeros(len(labels), dtype=torch.float64), max(1, CHUNK // logits.shape[-1])
    for start in range(0, len(rows), step):
        at = rows[start : start + step], columns[start : start + step]
        each = logits[at].float().log_softmax(-1).gather(1, wanted[at][:, None])[:, 0]
        sums.index_add_(0, at[0].cpu(), each.double().cpu())  # on the CPU, where the order of a sum is fixed
    found: list[float] = sums.tolist()
    return found


def losses(model: Any, batch: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Of each row, summed over its target tokens, in nats: the negative log-likelihood under the base, the same with the adapter, and
    KL(base || tuned) over the whole vocabulary.

    Both passes run on the same weights and ids. The logits of both are held as the model gives them (see batches) and turned
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
