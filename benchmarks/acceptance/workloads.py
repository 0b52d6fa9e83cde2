"""Draws token rows of known lengths; the ids are random, as nothing is scored."""

import random

from pipeline.engine.batching import TokenRow

Prompts = list[list[int]]
FIRST_ID = 10
"""Smaller ids are control tokens in most vocabularies."""


def draw_ids(count: int, vocabulary: int, draw: random.Random) -> list[int]:
    return [draw.randrange(FIRST_ID, vocabulary) for _ in range(count)]


def short_supervised(rows: int, vocabulary: int, longest: int, seed: int = 0) -> list[TokenRow]:
    """Workload W1, the tasks of LoRA Land: prompts of log-normal length, mean 220 tokens, and answers of 3 to 40.

    Args:
        longest: most tokens of a prompt.
    """
    draw = random.Random(seed)
    lengths = [min(longest, max(8, round(draw.lognormvariate(5.27, 0.5)))) for _ in range(rows)]  # mean exp(5.27 + 0.5**2 / 2) = 220
    return [TokenRow.from_prompt(draw_ids(n, vocabulary, draw), draw_ids(draw.randint(3, 40), vocabulary, draw)) for n in lengths]


def prompts_with_choices(rows: int, vocabulary: int, longest: int, seed: int = 0) -> tuple[Prompts, list[Prompts]]:
    """Workload C1: prompts as in W1, each with four choices of two to six tokens."""
    draw = random.Random(seed)
    prompts = [[token for token, target in zip(row.ids, row.is_target, strict=True) if not target] for row in
               short_supervised(rows, vocabulary, longest, seed)]  # fmt: skip
    return prompts, [[draw_ids(draw.randint(2, 6), vocabulary, draw) for _ in range(4)] for _ in prompts]
