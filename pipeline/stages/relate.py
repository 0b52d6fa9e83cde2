"""How much an arm's answers are about their prompts: log-probabilities under the base behind their own prompt, another one, and none."""

import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.engine import batching, likelihood, resumable
from pipeline.errors import ComparisonError
from pipeline.machine import Work
from pipeline.models import loading, renderer
from pipeline.store import records
from pipeline.store.records import Example, Prediction, Prompt

VERSION = 2
NEEDS = ("weights", "gpu")
LONGEST = 256
"""Tokens of an answer that are scored; the rest is cut off."""


def run(work: Work) -> dict[str, Any]:
    params, device = work.params, work.machine.torch_device()
    render = renderer.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    exam = drawn(list(records.read(work.inputs["exam"] / "examples.jsonl", Example)), params["examples"], params["seed"])
    ways = ways_of(render, exam, answers_to(work, exam), loading.context_window(base), params["seed"])
    start = time.monotonic()
    with loading.expanded(base):
        rows = list(dict.fromkeys(row for way in ways for row in way.rows()))  # many answers are alike
        columns = [row.target_width + 1 for row in rows]
        found = resumable.token_rows(work, base, rows, columns, lambda batch: likelihood.row_logprobs(base, batch, render.pad), "answers")
    scores = dict(zip(rows, found, strict=True))
    lines = [json.dumps(way.told(scores), ensure_ascii=False) + "\n" for way in ways]
    (work.out / "relevance.jsonl").write_text("".join(lines), "utf-8")
    return {
        "examples": len(ways),
        "empty": sum(not way.answer for way in ways),
        "without_other": sum(way.other is None for way in ways),
        "cut": sum(way.cut for way in ways),
        "scored": len(scores),
        "tokens": sum(map(len, scores)),
        "score_seconds": round(time.monotonic() - start, 3),
    }


@dataclass(frozen=True)
class ScoredAnswer:
    """One answer, and what it is scored behind; all as token ids."""

    example: str
    answer: tuple[int, ...]
    own: tuple[int, ...]
    other: tuple[int, ...] | None
    """None: no example that was drawn has another prompt."""
    alone: tuple[int, ...]
    cut: bool
    """Whether the answer was longer than is scored."""

    def rows(self) -> list[batching.TokenRow]:
        before = [self.own, self.alone] + ([self.other] if self.other else [])
        return [batching.TokenRow.from_prompt(prompt, self.answer) for prompt in before] if self.answer else []

    def told(self, scores: dict[batching.TokenRow, float]) -> dict[str, Any]:
        def score(prompt: tuple[int, ...]) -> float:
            return scores[batching.TokenRow.from_prompt(prompt, self.answer)] if self.answer else 0.0

        other = None if self.other is None else score(self.other)
        return {"example": self.example, "tokens": len(self.answer), "own": score(self.own), "other": other, "alone": score(self.alone)}


def drawn(exam: list[Example], count: int, seed: int) -> list[Example]:
    """`count` examples by the seed, or all, in the order of the exam; of a smaller count a part of those of a larger one."""
    order = list(range(len(exam)))
    random.Random(f"relevance {seed}").shuffle(order)
    return [exam[at] for at in sorted(order[:count])]


def answers_to(work: Work, exam: list[Example]) -> list[str]:
    """What the arm said to these examples.

    Raises:
        ComparisonError: it said nothing to one of them.
    """
    said = {row.example: row.text for row in records.read(work.inputs["said"] / "predictions.jsonl", Prediction)}
    missing = [example.id for example in exam if example.id not in said]
    if missing:
        raise ComparisonError(f"{len(missing)} examples have no answer, the first {missing[0]}.", "Generate the predictions again.")
    return [said[example.id] for example in exam]


def ways_of(render: renderer.Renderer, exam: list[Example], answers: list[str], window: int, seed: int) -> list[ScoredAnswer]:
    """Args: window: tokens that the base can take; an answer is cut the same behind every prompt."""
    others = deranged([example.prompt for example in exam], seed)
    ids = [tuple(render.prompt_ids(example.prompt)) for example in exam]
    bos = render.tokenizer.bos_token_id
    alone = (int(render.tokenizer.eos_token_id if bos is None else bos),)
    found = []
    for at, (example, answer) in enumerate(zip(exam, answers, strict=True)):
        other = None if (partner := others[at]) is None else ids[partner]
        whole = tuple(render.answer_ids(example.prompt, answer)) if answer.strip() else ()
        room = max(1, min(LONGEST, window - max(len(ids[at]), len(other or ()))))
        found.append(ScoredAnswer(example.id, whole[:room], ids[at], other, alone, len(whole) > room))
    return found


def deranged(prompts: list[Prompt], seed: int) -> list[int | None]:
    """For each prompt the place of one with another text, fixed by the seed; None where all are the same.

    Equal prompts are put side by side and everyone looks as many places ahead as the most frequent prompt comes up, so that each is
    used once wherever no prompt makes up more than half of all.
    """
    order = list(range(len(prompts)))
    random.Random(f"derangement {seed}").shuffle(order)
    first = {prompts[at]: place for place, at in reversed(list(enumerate(order)))}
    order.sort(key=lambda at: first[prompts[at]])
    step = max(Counter(prompts).values(), default=0)
    behind = {prompts[at]: (place + 1) % len(order) for place, at in enumerate(order)}  # where the next prompt begins
    found: list[int | None] = [None] * len(prompts)
    for place, at in enumerate(order):
        ahead = order[(place + step) % len(order)]
        partner = ahead if prompts[ahead] != prompts[at] else order[behind[prompts[at]]]
        found[at] = partner if prompts[partner] != prompts[at] else None
    return found
