"""Measures how relevant an arm's answers are: log-probabilities under the base after their own prompt, another prompt and none."""

import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.engine import resumable
from pipeline.engine.batching import TokenRow
from pipeline.engine.open_backend import open_backend
from pipeline.errors import ComparisonError
from pipeline.machine import Work
from pipeline.models import renderer
from pipeline.store.folders import HeldoutFolder, PredictionsFolder, RelevanceFolder, RelevanceRow
from pipeline.store.records import Example, Prompt

VERSION = 2
NEEDS = ("weights", "gpu")
MAX_ANSWER_TOKENS = 256
"""Tokens of an answer that are scored; the rest is cut off."""


def run(work: Work) -> dict[str, Any]:
    params = work.params
    if not PredictionsFolder(work.inputs["predictions"]).predictions():
        RelevanceFolder(work.out).write_rows([])  # an arm that was not tested
        return {"examples": 0}
    render = renderer.renderer(params["model"])
    heldout = subset(HeldoutFolder(work.inputs["heldout"]).examples(), params["examples"], params["seed"])
    with open_backend(work) as backend:
        answers = scored_answers(render, heldout, answers_to(work, heldout), backend.context_window, params["seed"])
        start = time.monotonic()
        rows = list(dict.fromkeys(row for answer in answers for row in answer.rows()))  # many answers are equal
        batches = backend.logprobs_batches(rows)
        sums = resumable.compute_resumably(
            work.resume / "values.jsonl",
            batches,
            lambda batch: backend.logprobs([rows[index] for index in batch]),
            "scoring",
            "answers",
        )
    scores = dict(zip(rows, sums, strict=True))
    RelevanceFolder(work.out).write_rows(answer.score(scores) for answer in answers)
    return {
        "examples": len(answers),
        "empty": sum(not answer.ids for answer in answers),
        "without_other": sum(answer.other is None for answer in answers),
        "cut": sum(answer.is_cut for answer in answers),
        "scored": len(scores),
        "tokens": sum(map(len, scores)),
        "score_seconds": round(time.monotonic() - start, 3),
    }


@dataclass(frozen=True)
class ScoredAnswer:
    """One answer and the prompts it is scored after, as token ids."""

    example: str
    ids: tuple[int, ...]
    own: tuple[int, ...]
    """The prompt of its example."""
    other: tuple[int, ...] | None
    """The prompt of another example; None: no example of the subset has another prompt."""
    no_prompt: tuple[int, ...]
    """In place of a prompt: one BOS."""
    is_cut: bool
    """Whether the answer was longer than MAX_ANSWER_TOKENS or the context window."""

    def rows(self) -> list[TokenRow]:
        prompts = [self.own, self.no_prompt] + ([self.other] if self.other else [])
        return [TokenRow.from_prompt(prompt, self.ids) for prompt in prompts] if self.ids else []

    def score(self, scores: dict[TokenRow, float]) -> RelevanceRow:

        def after(prompt: tuple[int, ...]) -> float:
            return scores[TokenRow.from_prompt(prompt, self.ids)] if self.ids else 0.0

        other = None if self.other is None else after(self.other)
        return {"example": self.example, "tokens": len(self.ids), "own": after(self.own), "other": other, "alone": after(self.no_prompt)}


def subset(heldout: list[Example], count: int, seed: int) -> list[Example]:
    """`count` examples by the seed, or all, in their order; a smaller subset is part of a larger one."""
    order = list(range(len(heldout)))
    random.Random(f"relevance {seed}").shuffle(order)
    return [heldout[index] for index in sorted(order[:count])]


def answers_to(work: Work, heldout: list[Example]) -> list[str]:
    """The arm's answers to these examples.

    Raises:
        ComparisonError: one of them has no answer.
    """
    texts = {row.example: row.text for row in PredictionsFolder(work.inputs["predictions"]).predictions()}
    missing = [example.id for example in heldout if example.id not in texts]
    if missing:
        raise ComparisonError(f"{len(missing)} examples have no answer, the first {missing[0]}.", "Generate the predictions again.")
    return [texts[example.id] for example in heldout]


def scored_answers(render: renderer.Renderer, heldout: list[Example], answers: list[str], window: int, seed: int) -> list[ScoredAnswer]:
    """Args: window: tokens that the base can take; an answer is cut the same after every prompt."""
    others = derangement([example.prompt for example in heldout], seed)
    prompts = [tuple(render.prompt_ids(example.prompt)) for example in heldout]
    bos = render.tokenizer.bos_token_id
    no_prompt = (int(render.tokenizer.eos_token_id if bos is None else bos),)
    scored = []
    for index, (example, answer) in enumerate(zip(heldout, answers, strict=True)):
        other = None if (partner := others[index]) is None else prompts[partner]
        ids = tuple(render.answer_ids(example.prompt, answer.strip())) if answer.strip() else ()
        max_tokens = max(1, min(MAX_ANSWER_TOKENS, window - max(len(prompts[index]), len(other or ()))))
        scored.append(ScoredAnswer(example.id, ids[:max_tokens], prompts[index], other, no_prompt, len(ids) > max_tokens))
    return scored


def derangement(prompts: list[Prompt], seed: int) -> list[int | None]:
    """For every prompt the index of one with another text, fixed by the seed; None if all are the same.

    Equal prompts are put side by side and every prompt is paired with the one as many positions ahead as the most frequent prompt
    comes up, so that every prompt is used once unless one makes up more than half of all.
    """
    order = list(range(len(prompts)))
    random.Random(f"derangement {seed}").shuffle(order)
    first = {prompts[index]: position for position, index in reversed(list(enumerate(order)))}
    order.sort(key=lambda index: first[prompts[index]])
    step = max(Counter(prompts).values(), default=0)
    next_prompt = {prompts[index]: (position + 1) % len(order) for position, index in enumerate(order)}  # where the next one begins
    partners: list[int | None] = [None] * len(prompts)
    for position, index in enumerate(order):
        ahead = order[(position + step) % len(order)]
        partner = ahead if prompts[ahead] != prompts[index] else order[next_prompt[prompts[index]]]
        partners[index] = partner if prompts[partner] != prompts[index] else None
    return partners
