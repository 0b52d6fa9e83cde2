"""What an adapter did to plain English: the loss of base and tuned on paragraphs that are about no task, and KL(base || tuned)."""

import json
import time
from typing import Any

from pipeline.data import general_text
from pipeline.engine import batching, likelihood, resumable
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.models import loading, renderer

VERSION = 2
NEEDS = ("weights", "gpu")
LONGEST = 256
"""Tokens of a paragraph, the BOS counted; the rest is cut off."""


def run(work: Work) -> dict[str, Any]:
    params, device = work.params, work.machine.torch_device()
    if general_text.digest() != params["text"]:
        raise DataError(f"{general_text.FILE} was changed while this ran.", "Run the same command again.")
    paragraphs = general_text.paragraphs()
    render = renderer.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    longest = min(LONGEST, loading.context_window(base))
    start, rows = time.monotonic(), [tokens_of(render, each.text, longest) for each in paragraphs]
    with loading.adapted(base, work.inputs["adapter"]) as model, loading.expanded(model):
        columns = [len(row) for row in rows]

        def of(some: list[batching.TokenRow]) -> list[tuple[float, float, float]]:
            return likelihood.loss_and_kl(model, batching.padded(some, render.pad, model.device))

        found = resumable.token_rows(work, model, rows, columns, of, "paragraphs")
    lines = [
        json.dumps({"example": each.id, "tokens": row.target_count, "base": base, "tuned": tuned, "kl": kl}, ensure_ascii=False) + "\n"
        for each, row, (base, tuned, kl) in zip(paragraphs, rows, found, strict=True)
    ]
    (work.out / "losses.jsonl").write_text("".join(lines), "utf-8")
    tokens = sum(row.target_count for row in rows)
    means = {name: sum(each[at] for each in found) / tokens for at, name in enumerate(("base", "tuned", "kl"))}
    vocabulary = int(base.get_output_embeddings().weight.shape[0])
    return {
        "paragraphs": len(rows),
        "tokens": tokens,
        "vocabulary": vocabulary,
        **means,
        "score_seconds": round(time.monotonic() - start, 3),
    }


def tokens_of(render: renderer.Renderer, paragraph: str, longest: int) -> batching.TokenRow:
    """A paragraph without a chat template, behind the BOS; where there is none, the first token is not predicted.

    Raises:
        DataError: nothing is left to predict.
    """
    bos = render.tokenizer.bos_token_id
    ids = ([] if bos is None else [int(bos)]) + render.plain(paragraph)
    if len(ids) < 2:
        raise DataError(f"a paragraph of {general_text.FILE} is too short to be predicted: {paragraph}", "Make it longer.")
    return batching.TokenRow.from_prompt(ids[:1], ids[1:longest])
