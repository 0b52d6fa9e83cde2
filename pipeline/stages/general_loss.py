"""Measures what an adapter did to plain English: the loss of base and tuned on paragraphs of no task, and KL(base || tuned)."""

import time
from typing import Any

from pipeline.data import general_text
from pipeline.engine import batching, resumable, transformers_backend
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.models import renderer
from pipeline.store.folders import LossesFolder, LossRow

VERSION = 2
NEEDS = ("weights", "gpu")
MAX_TOKENS = 256
"""Tokens of a paragraph, with the BOS; longer ones are truncated."""


def run(work: Work) -> dict[str, Any]:
    if general_text.digest() != work.params["text"]:
        raise DataError(f"{general_text.FILE} changed during the run.", "Run the same command again.")
    paragraphs = general_text.paragraphs()
    render = renderer.renderer(work.params["model"])
    start = time.monotonic()
    with transformers_backend.open_model(work, with_base=True) as backend:  # KL needs the whole vocabulary, which no other backend gives
        longest = min(MAX_TOKENS, backend.context_window)
        rows = [tokens_of(render, paragraph.text, longest) for paragraph in paragraphs]
        batches = backend.loss_and_kl_batches(rows)
        sums = resumable.compute_resumably(
            work.resume / "values.jsonl",
            batches,
            lambda batch: backend.loss_and_kl([rows[index] for index in batch]),
            "scoring",
            "paragraphs",
        )
        vocabulary = backend.vocabulary()
    losses: list[LossRow] = [
        {"example": paragraph.id, "tokens": row.target_count, "base": base, "tuned": tuned, "kl": kl}
        for paragraph, row, (base, tuned, kl) in zip(paragraphs, rows, sums, strict=True)
    ]
    LossesFolder(work.out).write_rows(losses)
    tokens = sum(row.target_count for row in rows)
    means = {name: sum(row[column] for row in sums) / tokens for column, name in enumerate(("base", "tuned", "kl"))}
    return {
        "paragraphs": len(rows),
        "tokens": tokens,
        "vocabulary": vocabulary,
        **means,
        "score_seconds": round(time.monotonic() - start, 3),
    }


def tokens_of(render: renderer.Renderer, paragraph: str, longest: int) -> batching.TokenRow:
    """A paragraph without a chat template, after the BOS; if there is none, the first token is not predicted.

    Raises:
        DataError: nothing is left to predict.
    """
    bos = render.tokenizer.bos_token_id
    ids = ([] if bos is None else [int(bos)]) + render.encode(paragraph)
    if len(ids) < 2:
        raise DataError(f"a paragraph of {general_text.FILE} is too short to be predicted: {paragraph}", "Make it longer.")
    return batching.TokenRow.from_prompt(ids[:1], ids[1:longest])
