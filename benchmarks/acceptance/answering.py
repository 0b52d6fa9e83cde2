"""Times generation and the scoring of choices, beside the loops that a user of plain transformers would write."""

import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from benchmarks.acceptance.workloads import Prompts
from pipeline.engine import batching, choices, likelihood
from pipeline.engine.batching import TokenRow
from pipeline.engine.generation import StopConditions, generate
from pipeline.engine.timing import peak_bytes, reset_peak, synchronize
from pipeline.models import dense_weights


def measured(call: Callable[[], Any], tokens: int, device: Any) -> tuple[dict[str, Any], Any]:
    """Seconds, tokens per second and peak of a call that came after its warm-up; and what it returned."""
    reset_peak(device)
    synchronize(device)
    start = time.perf_counter()
    value = call()
    synchronize(device)
    seconds = time.perf_counter() - start
    peak = peak_bytes(device) if device.type == "cuda" else None
    return {"seconds": seconds, "tokens_per_second": tokens / seconds, "peak_bytes": peak}, value


def endless(model: Any, new_tokens: int) -> StopConditions:
    """No answer ends early, as no token has the id that ends one: with random weights the lengths would mean nothing."""
    return StopConditions(new_tokens, (int(model.config.vocab_size),))


def in_batches(model: Any, prompts: Prompts, new_tokens: int, pad: int, budget: int) -> None:
    """As `generate` answers: prompts sorted by length, batches by token budget."""
    stop = endless(model, new_tokens)
    for batch in batching.padded_batches([len(prompt) + new_tokens for prompt in prompts], budget):
        generate(model, [prompts[index] for index in batch], stop, pad)


def static(model: Any, prompts: Prompts, new_tokens: int, pad: int, rows: int = 8) -> None:
    """model.generate over batches of eight in the order of the data."""
    for start in range(0, len(prompts), rows):
        generate(model, prompts[start : start + rows], endless(model, new_tokens), pad)


def generation(model: Any, prompts: Prompts, new_tokens: int, pad: int, budget: int) -> dict[str, Any]:
    """Workload G1, with 4-bit weights and with dense ones."""
    device, tokens = model.device, len(prompts) * new_tokens
    results = {}
    static(model, prompts[:8], 4, pad)  # warm-up
    results["static batches of 8, 4-bit"], _ = measured(lambda: static(model, prompts, new_tokens, pad), tokens, device)
    results["token budget, 4-bit"], _ = measured(lambda: in_batches(model, prompts, new_tokens, pad, budget), tokens, device)
    with dense_weights.dequantized(model) as weights:
        if weights.are_held:
            results["token budget, dense"], _ = measured(lambda: in_batches(model, prompts, new_tokens, pad, budget), tokens, device)
    return results


def score_choices(model: Any, prompts: Prompts, answers: list[Prompts], pad: int, budget: int) -> list[list[float]]:
    """Log-probabilities as `generate` takes them: each prompt once."""
    scores: list[list[float]] = [[] for _ in prompts]
    for batch in choices.batches(prompts, answers, model, budget):
        rows = choices.logprobs(model, [prompts[index] for index in batch], [answers[index] for index in batch], pad)
        for index, row in zip(batch, rows, strict=True):
            scores[index] = row
    return scores


def score_pairs(model: Any, prompts: Prompts, answers: list[Prompts], pad: int, budget: int) -> list[list[float]]:
    """Every prompt and choice as a row of its own, as lm-evaluation-harness does."""
    rows = [TokenRow.from_prompt(prompt, answer) for prompt, own in zip(prompts, answers, strict=True) for answer in own]
    scores = [0.0] * len(rows)
    for batch in batching.padded_batches([len(row) for row in rows], budget):
        for index, score in zip(batch, likelihood.row_logprobs(model, [rows[index] for index in batch], pad), strict=True):
            scores[index] = score
    in_order = iter(scores)
    return [[next(in_order) for _ in own] for own in answers]


def choice_scoring(model: Any, prompts: Prompts, answers: list[Prompts], pad: int, budget: int) -> dict[str, Any]:
    """Workload C1, and by how much the two ways differ, in nats."""
    device = model.device
    tokens = sum(len(prompt) + sum(map(len, own)) for prompt, own in zip(prompts, answers, strict=True))
    results: dict[str, Any] = {}
    scores: list[list[list[float]]] = []
    for name, score in (("each prompt once", score_choices), ("a row for each choice", score_pairs)):
        score(model, prompts[:2], answers[:2], pad, budget)  # warm-up
        results[name], values = measured(partial(score, model, prompts, answers, pad, budget), tokens, device)
        scores.append(values)
    pairs = zip(*(chain.from_iterable(rows) for rows in scores), strict=True)
    return {**results, "largest_difference": max(abs(once - alone) for once, alone in pairs)}
