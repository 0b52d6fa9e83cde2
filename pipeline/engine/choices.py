"""Computes log-likelihoods of a prompt's choices. Each prompt is encoded once, however many choices it has."""

from collections.abc import Sequence
from typing import Any

from pipeline.engine import batching, likelihood, short_queries
from pipeline.engine import prompts as reading

Ids = Sequence[int]
Score = tuple[float, bool]
"""Log-probability of an answer in nats, and whether greedy decoding gives it."""


def batches(prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]], model: Any, budget: int) -> list[list[int]]:
    """Batches as indices of rows. A prompt is in memory once for every answer of several tokens, and so are that answer's logits.

    Args:
        budget: padded tokens in one pass.
    """
    tokens, columns = [], []
    for prompt, answers in zip(prompts, choices, strict=True):
        several = max(1, sum(len(answer) > 1 for answer in answers))
        longest = max(map(len, answers), default=0)
        tokens.append(several * (len(prompt) + longest))
        columns.append(several * longest)
    return batching.scoring_batches(tokens, columns, budget, model)


def logprobs(model: Any, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]], pad: int) -> list[list[float]]:
    """For every prompt the sums of log-probabilities of its answers' tokens, in nats; 0 for an answer of no tokens."""
    return [[logprob for logprob, _ in row] for row in scores(model, prompts, choices, pad)]


def scores(model: Any, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]], pad: int) -> list[list[Score]]:
    """For every prompt and answer the sum of log-probabilities of the answer's tokens, in nats, and whether all are the likeliest ones.

    The forward pass over the prompts scores the first token of every answer; the remaining tokens are scored after a copy of the
    prompt's KV cache. The sums are those of likelihood.row_logprobs, rounding apart.
    """
    import torch

    pairs = [(row, answer) for row, answers in enumerate(choices) for answer in answers if answer]
    longer_pairs = [index for index, (_, answer) in enumerate(pairs) if len(answer) > 1]
    rows = torch.tensor([row for row, _ in pairs], dtype=torch.long, device=model.device)
    first_tokens = torch.tensor([answer[0] for _, answer in pairs], dtype=torch.long, device=model.device)
    with torch.inference_mode(), short_queries.attention(model):
        prefix = reading.read_prefix(model, prompts, max((len(answer) for _, answer in pairs), default=0))
        cache, mask, logits = reading.read(model, prompts, prefix, pad)
        sums = logits.log_softmax(-1)[rows, first_tokens].tolist()
        greedy = (logits.argmax(-1)[rows] == first_tokens).tolist()
        if longer_pairs:
            prompt_rows = rows[longer_pairs]
            cache.batch_select_indices(prompt_rows)
            answers = [batching.TokenRow.from_prompt(answer[:1], answer[1:]) for _, answer in (pairs[index] for index in longer_pairs)]
            remaining = continuation_scores(model, cache, mask[prompt_rows], batching.padded(answers, pad, model.device))
            for index, (value, is_greedy) in zip(longer_pairs, remaining, strict=True):
                sums[index] += value
                greedy[index] = greedy[index] and is_greedy
    in_order = iter(zip(sums, greedy, strict=True))
    return [[next(in_order) if answer else (0.0, True) for answer in answers] for answers in choices]


def continuation_scores(model: Any, cache: Any, mask: Any, batch: dict[str, Any]) -> list[Score]:
    """scores() of the targets of each row, after the KV cache of its prompt.

    Args:
        mask: of the prompts, (rows, width).
        batch: as batching.padded gives it.
    """
    import torch

    whole = torch.cat([mask, batch["attention_mask"]], dim=1)
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=whole,
        position_ids=batching.positions(whole)[:, mask.shape[1] :],
        past_key_values=cache,
        use_cache=True,
    ).logits
    labels = batch["labels"]
    return list(zip(likelihood.target_sums(logits, labels), likelihood.are_greedy(logits, labels), strict=True))
