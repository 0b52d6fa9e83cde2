"""Declares what an export is once it is loaded: it answers, and shows its logits"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engine.backend import Backend
from pipeline.engine.batching import TokenRow
from pipeline.models.renderer import Renderer
from pipeline.store.records import Prompt


@dataclass(frozen=True)
class Loaded:
    """An export in memory."""

    backend: Backend
    render: Renderer
    """With the tokenizer of the export, or the base's where the export's reads prompts itself."""
    library: str
    """What loaded it, for people."""
    target_logits: Callable[[Sequence[TokenRow]], list[Any]]
    """Of each row the logits before each target and after the last (targets + 1, vocabulary), float32 on the CPU."""
    prompt_ids: Callable[[Prompt], list[int]] | None = None
    """How the program that loaded it reads a prompt; None: its weights alone were loaded, or the tokenizer is the renderer's."""


def target_logits(model: Any, rows: Sequence[TokenRow]) -> list[Any]:
    """See Loaded.target_logits; of a model of transformers, a row at a time, so that padding rounds nothing otherwise."""
    import torch

    def of_row(row: TokenRow) -> Any:
        ids = torch.tensor([row.ids], device=model.device)
        with torch.inference_mode():
            return model(input_ids=ids, use_cache=False, logits_to_keep=row.target_width + 1).logits[0].float().cpu()

    return [of_row(row) for row in rows]
