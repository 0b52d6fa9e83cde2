"""Made-up examples and what arms might have answered to them: texts alone, which the product parses, scores and flags."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline import arms
from pipeline.config.schema import InlineTask
from pipeline.quickstart import rows
from pipeline.store.records import Example, Prediction
from pipeline.tasks import shop_notice

WORDS = ("bridge council river night market school teacher signal paper harbour winter engine garden letter window street morning").split()
CHOICES = ("yes", "no", "partly", "unknown")
GRADED = ("titles", "shop_notice")
"""Tasks with free answers, which score anything between 0 and 1; all others have CHOICES."""
SHIPPED = ("shop_notice",)
"""Tasks that are not written inline: this one has slots."""
SKILL = {
    "base_fewshot": 0.45,
    "base_constrained": 0.4,
    "base_constrained_raw": 0.35,
    "tuned_constrained": 0.7,
    "base_bf16": 0.31,
    "merged": 0.6,
    "constant": 0.28,
    "shuffled_labels": 0.3,
    "unrelated": 0.29,
}
"""How often an arm is right, `constant` aside, which follows from the training part; references are right at 0.8."""
DERIVED = ("base_constrained_raw", "tuned_constrained_raw", "constant")
"""Arms without a folder of their own."""


def spec(task: str, two_metrics: bool) -> Any:
    """The task as `compare` gets it; closed ones and free ones have different second metrics, which score unlike the first."""
    if task in SHIPPED:
        return task
    metrics = ["rougeL", "token_f1"] if task in GRADED else ["accuracy", "paper_rouge"]
    entry = {"name": task, "data": {"train": "train.jsonl", "heldout": "test.jsonl"}, "prompt": "{prompt}", "target": "{target}"}
    entry |= {"metrics": metrics[: 1 + two_metrics], "grounded": True}
    entry |= {} if task in GRADED else {"choices": CHOICES, "answer": "choice"}
    return InlineTask.model_validate(entry).model_dump(mode="json")


def examples(task: str, n: int, part: str = "heldout") -> list[Example]:
    """Examples of one part of a task; their ids end in their number."""
    name = task if part == "heldout" else f"{task}-{part}"
    if task == "shop_notice":
        return [replace(shop_notice.example(row), id=f"{name}-{number}") for number, row in zip(range(n), rows.records(part), strict=False)]
    draw = random.Random(f"{task} {part}")
    return [example(task, name, number, draw) for number in range(n)]


def example(task: str, name: str, number: int, draw: random.Random) -> Example:
    passage = " ".join(draw.choices(WORDS, k=60))
    prompt = f"Passage {number}: {passage}.\nQuestion {number}?\nAnswer:"
    if task in GRADED:
        return Example(f"{name}-{number}", prompt, f"Council opens {draw.choice(WORDS)} {draw.choice(WORDS)} number {number} before noon")
    return Example(f"{name}-{number}", prompt, draw.choice(CHOICES), CHOICES)


def with_texts(heldout: list[Example], texts: Mapping[int, Mapping[str, str]]) -> list[Example]:
    """The examples, those named by number with other ids, prompts or targets."""
    changes = {number: {key: other[key] for key in ("id", "prompt", "target", "extra") if key in other} for number, other in texts.items()}
    return [replace(example, **changes.get(number, {})) for number, example in enumerate(heldout)]


def uniform(*seed: object) -> float:
    """A number in 0..1 that hangs on the seed alone."""
    return random.Random(" ".join(map(str, seed))).random()


def base(task: str, heldout: list[Example]) -> list[Prediction]:
    return [answer(example, uniform(task, number), 0.3) for number, example in enumerate(heldout)]


def tuned(task: str, heldout: list[Example], skill: float, run: str) -> list[Prediction]:
    """What is hard for the base is hard for tuned, too, and every run has luck of its own."""
    levels = [0.3 * uniform(task, number, run) + 0.7 * uniform(task, number) for number in range(len(heldout))]
    return [answer(example, level, skill) for example, level in zip(heldout, levels, strict=True)]


def other(task: str, heldout: list[Example], arm: str, ranks: bool) -> list[Prediction]:
    """Args: ranks: store log-probabilities of the choices, too, whose largest sum is right as often as the second reading should be."""
    predictions = [answer(example, uniform(task, number, arm), SKILL.get(arm, 0.8)) for number, example in enumerate(heldout)]
    if arms.find(arm).reference:
        return [row if row.text else replace(row, stopped="refused") for row in predictions]
    if not ranks:
        return predictions
    raw = arms.unnormalized_arm(arm)
    return [
        replace(row, logprobs=logprobs(example, uniform(task, number, raw), SKILL[raw]))
        for number, (example, row) in enumerate(zip(heldout, predictions, strict=True))
    ]


def logprobs(example: Example, level: float, skill: float) -> tuple[float, ...]:
    best = example.target if level < skill else wrong_choice(example, level)
    return tuple(-1.5 if choice == best else -4.0 - index for index, choice in enumerate(example.choices))


def with_answers(predictions: list[Prediction], texts: Mapping[int, Mapping[str, str]], arm: str) -> list[Prediction]:
    """The predictions, those named by number with other texts."""
    return [replace(row, text=texts.get(number, {}).get(arm, row.text)) for number, row in enumerate(predictions)]


def answer(example: Example, level: float, skill: float) -> Prediction:
    """A right answer where the level lies below the skill, else a wrong, a rambling or an empty one."""
    if level < skill:
        text, stopped = right(example, level), "eos"
    elif level > 0.97:
        text, stopped = "", "eos"
    elif level > 0.91:
        text, stopped = "I am not sure. " * 9 + "I am", "length"
    elif level > 0.85:
        text, stopped = "I am not sure, but one could say that", "length"
    else:
        text, stopped = wrong(example, level), "eos"
    return Prediction(example.id, text, len(text.split()), stopped)


def right(example: Example, level: float) -> str:
    """The target; some answers say more, some titles less."""
    if int(1000 * level) % 3:
        return example.target
    if example.choices:
        return f"{example.target}, as it seems"
    words = example.target.split()
    return " ".join(["The", *words[len(words) // 2 :], *words[: int(1000 * level) % 5]])


def wrong(example: Example, level: float) -> str:
    if example.choices:
        return wrong_choice(example, level)
    first, *_ = example.target.split()
    return f"{first} of Fort William in {1900 + int(100 * level)}, and 37 more"


def wrong_choice(example: Example, level: float) -> str:
    others = [choice for choice in example.choices if choice != example.target]
    return others[int(1000 * level) % len(others)]
