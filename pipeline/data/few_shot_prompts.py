"""Builds the prompts of arms that add few-shot examples from the training part, or the keys of a JSON answer."""

import json
import random
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, takewhile

from pipeline.models.answer_start import indentation, takes_no_blank
from pipeline.models.renderer import Renderer
from pipeline.store.records import CALLS, LEAD_ROLES, Example, Prompt, as_turns

SEPARATOR = "\n\n"
"""Separates few-shot examples."""
MIN_OPENING, MAX_OPENING = 3, 40
"""Characters by which the next question is recognized."""


def choose(train: list[Example], count: int, seed: int) -> list[Example]:
    """The few-shot examples among training examples; all of them if there are fewer than `count`."""
    return random.Random(f"shots {seed}").sample(train, min(count, len(train)))


@dataclass(frozen=True)
class Shots:
    """Few-shot examples before every question, the same ones in the same order."""

    render: Renderer
    train: list[Example]
    """The training part, to choose from."""
    count: int
    seed: int
    max_tokens: int
    """The limit of a prompt's length, in tokens."""
    preface: str = ""
    """The text before every prompt of the task; it stays in front, once."""

    @cached_property
    def chosen(self) -> list[Example]:
        """The few-shot examples; all of the training part if it has fewer than `count`."""
        return choose(self.train, self.count, self.seed)

    @property
    def stop(self) -> str:
        """The stop string that ends an answer where the model invents a next question; empty if targets contain it, or if the questions
        are turns of a conversation.

        A chat model ends its turn itself and may put a blank line behind the first words of its answer, so there the string goes on with
        what all questions begin with; it is empty if that is nothing.
        """
        is_text = all(is_plain(example) and SEPARATOR not in example.target for example in self.train)
        if not is_text or not self.render.chat:
            return SEPARATOR if is_text else ""
        questions = [example.text.removeprefix(self.preface) for example in self.train]
        same = takewhile(lambda pair: pair[0] == pair[1], zip(min(questions), max(questions), strict=False))
        opening = "".join(character for character, _ in same).partition("\n")[0][:MAX_OPENING]
        return SEPARATOR + opening if len(opening.strip()) >= MIN_OPENING else ""

    def block(self, example: Example) -> str:
        question = example.text.removeprefix(self.preface)
        is_joined = question[-1:].isspace() or takes_no_blank(question) or indentation(example.target)
        return f"{question}{'' if is_joined else ' '}{example.target}{SEPARATOR}"

    def prompt(self, example: Example) -> tuple[Prompt, int]:
        """The few-shot prompt of a held-out example, and its number of few-shot examples: the last ones that fit."""
        if not isinstance(example.prompt, str) or not all(map(is_plain, self.chosen)):
            return self.conversation(example)
        question = example.prompt.removeprefix(self.preface)
        head = self.preface if question != example.prompt else ""
        blocks = [self.block(shot) for shot in self.chosen]
        for count in range(len(blocks), 0, -1):
            text = head + "".join(blocks[-count:]) + question
            if len(self.render.prompt_ids(text)) <= self.max_tokens:
                return text, count
        return example.prompt, 0

    def conversation(self, example: Example) -> tuple[Prompt, int]:
        """The same as turns: few-shot examples stand between the system text of the question and its first turn, without their own."""
        turns = as_turns(example.prompt)
        lead = tuple(takewhile(lambda turn: turn.role in LEAD_ROLES, turns))
        blocks = [(*(turn for turn in as_turns(shot.prompt) if turn.role not in LEAD_ROLES), shot.answer_turn) for shot in self.chosen]
        for count in range(len(blocks), 0, -1):
            prompt = (*lead, *chain.from_iterable(blocks[-count:]), *turns[len(lead) :])
            if len(self.render.prompt_ids(prompt)) <= self.max_tokens:
                return prompt, count
        return example.prompt, 0


def is_plain(example: Example) -> bool:
    """Whether an example is text alone: no conversation, and no answer that a chat template writes."""
    return isinstance(example.prompt, str) and CALLS not in example.extra


def json_keys(train: list[Example]) -> list[str]:
    """The keys of all training targets that are JSON objects, in order of first use."""
    names: dict[str, None] = {}
    for example in train:
        try:
            target = json.loads(example.target)
        except ValueError:
            target = None
        names |= dict.fromkeys(target if isinstance(target, dict) else ())
    return list(names)


def with_key_list(example: Example, keys: list[str], preface: str = "") -> Prompt:
    """The prompt with the list of the answer's keys, after the preface of the task; in a conversation, before the last question."""
    key_list = ", ".join(json.dumps(name, ensure_ascii=False) for name in keys)
    request = f"Answer with one JSON object that has exactly these keys: {key_list}.{SEPARATOR}"
    if not isinstance(example.prompt, str):
        last = max((index for index, turn in enumerate(example.prompt) if turn.role == "user"), default=None)
        return tuple(replace(turn, content=request + turn.content) if index == last else turn for index, turn in enumerate(example.prompt))
    question = example.text.removeprefix(preface)
    head = preface if question != example.text else ""
    return f"{head}{request}{question}"


def with_key_lists(heldout: list[Example], keys: list[str], render: Renderer, preface: str, max_tokens: int) -> tuple[list[Example], int]:
    """Examples with the list of keys in their prompts, and how many are unchanged because they would exceed `max_tokens`."""
    candidates = [replace(example, prompt=with_key_list(example, keys, preface)) for example in heldout]
    fits = [bool(keys) and len(render.prompt_ids(candidate.prompt)) <= max_tokens for candidate in candidates]
    return [new if fit else old for old, new, fit in zip(heldout, candidates, fits, strict=True)], fits.count(False)
