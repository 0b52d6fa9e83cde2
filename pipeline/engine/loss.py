"""Computes the training loss: the negative log-likelihood of the tokens that the mask selects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.engine.batching import IGNORE_INDEX


def target_loss(model: Any, batch: dict[str, Any]) -> Any:
    """Sum of the cross-entropy over the batch's target tokens, in nats; a scalar of float32.

    The output layer runs only where the next token is a target.
    """
    import torch

    following = torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORE_INDEX)
    predicts = following != IGNORE_INDEX
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    with output_layer_at(model, predicts):
        logits = model(**inputs, use_cache=False).logits
    if logits.dim() == 3:  # a model that does not call its output layer as a module
        logits = logits[predicts]
    return torch.nn.functional.cross_entropy(logits.float(), following[predicts], reduction="sum")


@contextmanager
def output_layer_at(model: Any, positions: Any) -> Iterator[None]:
    """While this lasts, the output layer reads the hidden states of these positions alone; logits are then (positions, vocabulary).

    Of transformers' models not all take `logits_to_keep`, and in 5.17 none takes a mask there.

    Args:
        positions: mask of (rows, tokens).
    """
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda module, inputs: (inputs[0][positions], *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()
