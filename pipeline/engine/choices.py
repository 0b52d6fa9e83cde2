"""How likely each of a few answers is behind its prompt; a prompt is read once, however many answers it has."""

from collections.abc import Sequence
from typing import Any

from pipeline.engine import batching, likelihood

Ids = Sequence[int]


def batches(prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]], model: Any, budget: int) -> list[list[int]]:
    """Indices of the rows that are read together: a prompt is held, and the logits of an answer given, once an answer of several tokens.

    Args:
        budget: padded tokens in one pass.
    """
    tokens, columns = [], []
    for prompt, answers in zip(prompts, choices, strict=True):
        several, longest = max(1, sum(len(answer) > 1 for answer in answers)), max(map(len, answers), default=0)
        tokens.append(several * (len(prompt) + longest))
        columns.append(several * longest)
    return batching.batches(tokens, columns, budget, model)


def logprobs(model: Any, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]], pad: int) -> list[list[float]]:
    """Of every prompt the sums of log-probabilities of its answers' tokens, in nats; 0 for an answer of no tokens.

    The prompts' own pass gives the first token of every answer; the rest of each answer is read behind a copy of the prompt's keys
    and values. The sums are those of likelihood.row_logprobs, rounding apart.
    """
    import torch

    pairs = [(row, answer) for row, answers in enumerate(choices) for answer in answers if answer]
    longer = [at for at, (_, answer) in enumerate(pairs) if len(answer) > 1]
    rows = torch.tensor([row for row, _ in pairs], dtype=torch.long, device=model.device)
    begins = torch.tensor([answer[0] for _, answer in pairs], dtype=torch.long, device=model.device)
    with torch.inference_mode():
        ids, mask = batching.left_padded(prompts, pad, model.device)
        read = model(input_ids=ids, attention_mask=mask, position_ids=batching.positions(mask), use_cache=True, logits_to_keep=1)
        sums = read.logits[:, -1].float().log_softmax(-1)[rows, begins].tolist()
        if longer:
            cache, at = read.past_key_values, rows[longer]
            cache.batch_select_indices(at)
            answers = [batching.Tokens(tuple(answer[:1]), tuple(answer[1:])) for _, answer in (pairs[place] for place in longer)]
            rest = continued(model, cache, mask[at], batching.padded(answers, pad, model.device))
            for place, value in zip(longer, rest, strict=True):
                sums[place] += value
    found = iter(sums)
    return [[next(found) if answer else 0.0 for answer in answers] for answers in choices]


def continued(model: Any, cache: Any, mask: Any, batch: dict[str, Any]) -> list[float]:
    """Sum of log-probabilities of the targets of each row, read behind the keys and values of its prompt.

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
    return likelihood.target_sums(logits, batch["labels"])
