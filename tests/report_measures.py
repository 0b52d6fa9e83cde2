"""Made-up measurements of models that the report rests on: log-probabilities, losses, answers to another task, timed requests, curves."""

import random
from collections.abc import Collection, Sequence
from typing import Any

from pipeline import arms
from pipeline.engine.timing import ArmTimer
from pipeline.store.figure_types import LivenessMeasures
from pipeline.store.records import Example, Prediction
from pipeline.tasks.shop_sentiment import LABELS

Row = dict[str, Any]
OTHER_TASK = "shop_sentiment"
VOCABULARY = 151_936
NEW_TOKENS = 24
MODEL_COSTS = {"base": 1.0, "tuned": 1.12, "base_fewshot": 2.1, "base_constrained": 0.71, "tuned_constrained": 0.78, "base_bf16": 1.01}
"""Seconds of an arm that can be timed, as a multiple of the base's."""


def liveness(alive: bool, run: str) -> LivenessMeasures:
    """What `generate` measures of an adapter; every run has another difference."""
    return {
        "tensors": 28,
        "zero_tensors": [] if alive else ["layers.0.q_proj.lora_B"],
        "targets": 28,
        "unmatched": [],
        "probes": 8,
        "largest_logit_difference": (7.25 + random.Random(run).random()) * alive,
    }


def relevance(predictions: Sequence[Prediction], place: int) -> list[Row]:
    """Log-probabilities of an arm's answers; the later its place, the more they are about their prompts."""
    rows = []
    for prediction in predictions:
        draw, tokens = random.Random(f"{prediction.example} {place}"), len(prediction.text.split())
        alone = -4.0 * tokens
        own = alone + tokens * draw.gauss(0.4 + 0.35 * place, 0.3)
        rows.append(
            {"example": prediction.example, "tokens": tokens, "own": own, "other": alone + tokens * draw.gauss(0, 0.3), "alone": alone}
        )
    return rows


def losses(task: str, rise: float) -> list[Row]:
    """Sums of 300 paragraphs, of which tuned guesses a token worse by this many nats in the mean."""
    draw = random.Random(f"{task} paragraphs")
    paragraphs = [(60 + draw.randrange(40), draw.gauss(3.412, 0.3), draw.gauss(rise, 0.02), draw.uniform(0.02, 0.04)) for _ in range(300)]
    return [
        {"example": f"p{number}", "tokens": tokens, "base": tokens * base, "tuned": tokens * (base + own), "kl": tokens * kl}
        for number, (tokens, base, own, kl) in enumerate(paragraphs)
    ]


def other_task() -> list[Example]:
    prompt = "Review of a <b>lamp</b> number {}: it is as it is.\nThe sentiment is"
    return [Example(f"other-{number}", prompt.format(number), LABELS[number % 3], LABELS) for number in range(200)]


def other_answers(broken: int, fixed: int) -> dict[str, list[Prediction]]:
    """Answers of base and tuned to the other task: base is right on the first 122, of which tuned breaks the first."""
    right = {"base": range(122), "tuned": [*range(broken, 122), *range(200 - fixed, 200)]}
    return {
        arm: [
            Prediction(example.id, example.target if number in right[arm] else f"</script>{LABELS[(number + 1) % 3]}", 2, "eos")
            for number, example in enumerate(other_task())
        ]
        for arm in right
    }


def timed_arms(task: str, names: Collection[str], ranks: bool) -> list[ArmTimer]:
    """Arms that answered 16 prompts each; a request takes as many times the base's seconds as MODEL_COSTS says.

    Args:
        names: arms of the comparison beside base and tuned; those that `speed` times for them are timed.
        ranks: whether constrained arms rank choices.
    """
    draw = random.Random(task)
    base = [0.4 * (1 + 0.1 * draw.random()) for _ in range(16)]
    timed = {"base", "tuned", *names} | {arms.UNQUANTIZED for name in names if arms.find(name).timed_as == arms.UNQUANTIZED}
    return [timed_arm(name, factor, base, ranks) for name, factor in MODEL_COSTS.items() if name in timed]


def timed_arm(name: str, factor: float, base: list[float], ranks: bool) -> ArmTimer:
    prompts = [[0] * (72 + index) * (5 if name == "base_fewshot" else 1) for index in range(len(base))]
    choices = [[[1], [2, 3]]] * len(base) if ranks and arms.find(name).constrained else []
    latency = [factor * seconds for seconds in base]
    first = latency if choices else [seconds / 6 for seconds in latency]
    arm = ArmTimer(name, None, None, prompts, choices, latency, first)  # type: ignore[arg-type]
    arm.weight_bytes, arm.peak_bytes = 2**30 + 2**20 * len(name), 3 * 2**30 + 2**20 * len(name)
    return arm


def curve(steps: int, rank: int, seed: int) -> list[Row]:
    """The rows of a training curve."""
    draw, path = random.Random(f"{rank}{seed}"), []
    for step in range(1, steps + 1):
        loss = 1.1 + 2.4 / (1 + step / 8) - 0.004 * rank + draw.gauss(0, 0.06)
        dev = f"{1.25 + 2.2 / (1 + step / 8) - 0.003 * rank + draw.gauss(0, 0.01):.4f}" if step % 10 == 0 else ""
        path.append({"step": step, "tokens": step * 1000, "loss": f"{loss:.4f}", "dev_loss": dev, "learning_rate": 2e-4, "grad_norm": 0.8})
    return path
