"""Computes the training loss: the negative log-likelihood of the tokens that the mask selects."""

from typing import Any

from pipeline.engine.batching import IGNORE_INDEX


def target_loss(model: Any, batch: dict[str, Any]) -> Any:
    """Sum of the cross-entropy over the batch's target tokens, in nats; a scalar of float32.

    The output layer runs only on the columns from the first target on.
    """
    import torch

    labels = batch["labels"]
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    first = int((labels != IGNORE_INDEX).any(0).nonzero()[0])
    keep = labels.shape[1] - first + 1  # the column before a target predicts it
    logits = model(**inputs, use_cache=False, logits_to_keep=keep).logits
    targets = labels[:, -keep + 1 :]
    is_target = targets != IGNORE_INDEX
    return torch.nn.functional.cross_entropy(logits[:, :-1][is_target].float(), targets[is_target], reduction="sum")
