"""What an adapter did to plain English: the loss of base and tuned on paragraphs that are about no task, and KL(base || tuned)."""

import json
import time
from typing import Any

from pipeline import engine, general, loading, text
from pipeline.errors import DataError
from pipeline.kept import Kept
from pipeline.machine import Work
from pipeline.progress import meter

VERSION = 1
LONGEST = 256
"""Tokens of a paragraph, the BOS counted; the rest is cut off."""


def run(work: Work) -> dict[str, Any]:
    params, device = work.params, work.machine.torch_device()
    if general.digest() != params["text"]:
        raise DataError(f"{general.FILE} was changed while this ran.", "Run the same command again.")
    paragraphs = general.paragraphs()
    render = text.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    longest = min(LONGEST, loading.context_window(base))
    start, rows = time.monotonic(), [tokens_of(render, each.text, longest) for each in paragraphs]
    with loading.adapted(base, work.inputs["adapter"]) as model, loading.expanded(model):
        found = losses(work, model, rows, render.pad)
    lines = [
        json.dumps({"example": each.id, "tokens": len(row.target), "base": base, "tuned": tuned, "kl": kl}, ensure_ascii=False) + "\n"
        for each, row, (base, tuned, kl) in zip(paragraphs, rows, found, strict=True)
    ]
    (work.out / "losses.jsonl").write_text("".join(lines), "utf-8")
    tokens = sum(len(row.target) for row in rows)
    means = {name: sum(each[at] for each in found) / tokens for at, name in enumerate(("base", "tuned", "kl"))}
    return {"paragraphs": len(rows), "tokens": tokens, **means, "score_seconds": round(time.monotonic() - start, 3)}


def tokens_of(render: text.Renderer, paragraph: str, longest: int) -> engine.Tokens:
    """A paragraph without a chat template, behind the BOS; where there is none, the first token is not predicted.

    Raises:
        DataError: nothing is left to predict.
    """
    bos = render.tokenizer.bos_token_id
    ids = ([] if bos is None else [int(bos)]) + render.plain(paragraph)
    if len(ids) < 2:
        raise DataError(f"a paragraph of {general.FILE} is too short to be predicted: {paragraph}", "Make it longer.")
    return engine.Tokens(tuple(ids[:1]), tuple(ids[1:longest]))


def losses(work: Work, model: Any, rows: list[engine.Tokens], pad: int) -> list[tuple[float, float, float]]:
    """Of every row the sums of engine.losses, in order; batches are fixed by the rows and the token budget alone."""
    budget = engine.logit_budget(engine.token_budget(work.machine.tokens, model.device), model)
    with Kept(work.resume / "losses.jsonl") as kept, meter("reading", len(rows), "paragraphs") as shown:
        done: dict[int, tuple[float, float, float]] = {each["row"]: tuple(each["sums"]) for each in kept.rows}
        for group in engine.groups([len(row) for row in rows], budget):
            if not all(at in done for at in group):  # a batch that was cut off is done again as a whole
                batch = engine.padded([rows[at] for at in group], pad, model.device)
                fresh = dict(zip(group, engine.losses(model, batch), strict=True))
                kept.add(*({"row": at, "sums": sums} for at, sums in fresh.items()))
                done |= fresh
            shown.advance(len(group))
    return [done[at] for at in range(len(rows))]
