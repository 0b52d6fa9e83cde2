"""Computes log-probabilities of targets, and the evaluation loss and KL divergence of base and adapter, from logits."""

from collections.abc import Sequence
from typing import Any

from pipeline.engine.batching import IGNORE_INDEX, TokenRow, padded, positions

CHUNK = 2**24
"""Logits that are turned into float32 at a time: 64 MiB."""


def row_logprobs(model: Any, rows: Sequence[TokenRow], pad: int) -> list[float]:
    """Sum of log-probabilities of each row's target tokens, in nats.

    Rows are padded on the left, so that all end in the last column and the output layer runs only from the column before the first
    target on, however long the prompts are.
    """
    import torch

    batch = padded(rows, pad, model.device, left=True)
    keep = max(row.target_width for row in rows) + 1
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

    targets = labels[:, 1:]
    rows, columns = (targets != IGNORE_INDEX).nonzero(as_tuple=True)
    sums = torch.zeros(len(labels), dtype=torch.float64)
    step = max(1, CHUNK // logits.shape[-1])
    for start in range(0, len(rows), step):
        index = rows[start : start + step], columns[start : start + step]
        logprobs = logits[index].float().log_softmax(-1).gather(1, targets[index][:, None])[:, 0]
        sums.index_add_(0, index[0].cpu(), logprobs.double().cpu())  # on the CPU, where the order of a sum is fixed
    row_sums: list[float] = sums.tolist()
    return row_sums


def are_greedy(logits: Any, labels: Any) -> list[bool]:
    """Of each row whether every target is the likeliest token; shapes as in target_sums."""
    targets = labels[:, 1:]
    is_likeliest = logits[:, : targets.shape[1]].argmax(-1) == targets
    flags: list[bool] = (is_likeliest | (targets == IGNORE_INDEX)).all(1).tolist()
    return flags


def loss_and_kl(model: Any, batch: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Of each row, summed over its target tokens, in nats: the negative log-likelihood under the base, the same with the adapter, and
    KL(base || tuned) over the whole vocabulary.

    Both passes run on the same weights and ids. The logits of both are held as the model gives them (see
    TransformersBackend.loss_and_kl_batches) and turned into float32 some positions at a time.

    Args:
        model: a PeftModel with the adapter switched on, or a whole_model.Beside.
    """
    import torch

    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    labels = batch["labels"][:, 1:]
    rows, columns = (labels != IGNORE_INDEX).nonzero(as_tuple=True)
    sums = torch.zeros(len(labels), 3, dtype=torch.float64)
    with torch.inference_mode():
        tuned = model(**inputs, use_cache=False).logits
        with model.disable_adapter():
            base = model(**inputs, use_cache=False).logits
        rows_of_both = min(base.shape[-1], tuned.shape[-1])  # a fine-tuned model may have embeddings of other size
        base, tuned = base[..., :rows_of_both], tuned[..., :rows_of_both]
        step = max(1, CHUNK // base.shape[-1])
        for start in range(0, len(rows), step):
            index = rows[start : start + step], columns[start : start + step]
            log_p, log_q = (logits[index].float().log_softmax(-1) for logits in (base, tuned))
            targets = labels[index][:, None]
            kl = (log_p.exp() * (log_p - log_q)).sum(1)
            terms = torch.stack([-log_p.gather(1, targets)[:, 0], -log_q.gather(1, targets)[:, 0], kl], dim=1)
            sums.index_add_(0, index[0].cpu(), terms.double().cpu())  # on the CPU, where the order of a sum is fixed
    return [(base_loss, tuned_loss, kl_sum) for base_loss, tuned_loss, kl_sum in sums.tolist()]
