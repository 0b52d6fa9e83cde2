"""What arms put into a prompt beside the question: worked examples of the training part, or the keys that a JSON answer is to have."""

import json
import random
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.models.renderer import Renderer
from pipeline.store.records import Example

SEPARATOR = "\n\n"
"""Stands between worked examples."""


@dataclass(frozen=True)
class Shots:
    """Worked examples before every question, the same ones in the same order."""

    render: Renderer
    lessons: list[Example]
    """The training part."""
    count: int
    seed: int
    room: int
    """Tokens that a prompt may have."""
    preface: str = ""
    """What stands before every prompt of the task already; it stays in front, once."""

    @cached_property
    def drawn(self) -> list[Example]:
        """The examples that are shown, or all where there are fewer."""
        return random.Random(f"shots {self.seed}").sample(self.lessons, min(self.count, len(self.lessons)))

    @property
    def stop(self) -> str:
        """What ends an answer that follows the pattern, before the next question is invented; empty where answers hold it themselves."""
        return "" if any(SEPARATOR in example.target for example in self.lessons) else SEPARATOR

    def block(self, example: Example) -> str:
        question = example.prompt.removeprefix(self.preface)
        return f"{question}{'' if question[-1:].isspace() else ' '}{example.target}{SEPARATOR}"

    def prompt(self, example: Example) -> tuple[str, int]:
        """The prompt of a held-out example, and how many worked examples it has: as many as fit, the last ones."""
        question = example.prompt.removeprefix(self.preface)
        head = self.preface if question != example.prompt else ""
        blocks = [self.block(shot) for shot in self.drawn]
        for count in range(len(blocks), 0, -1):
            text = head + "".join(blocks[-count:]) + question
            if len(self.render.prompt_ids(text)) <= self.room:
                return text, count
        return example.prompt, 0


def keys(lessons: list[Example]) -> list[str]:
    """The keys of the training targets that are JSON objects, in the order in which they come up."""
    found: dict[str, None] = {}
    for lesson in lessons:
        try:
            target = json.loads(lesson.target)
        except ValueError:
            target = None
        found |= dict.fromkeys(target if isinstance(target, dict) else ())
    return list(found)


def keyed(example: Example, names: list[str], preface: str = "") -> str:
    """A prompt that says which keys the answer has, behind what stands before every prompt of the task."""
    listed = ", ".join(json.dumps(name, ensure_ascii=False) for name in names)
    question = example.prompt.removeprefix(preface)
    head = preface if question != example.prompt else ""
    return f"{head}Answer with one JSON object that has exactly these keys: {listed}.{SEPARATOR}{question}"


def naming(exam: list[Example], names: list[str], render: Renderer, preface: str, room: int) -> tuple[list[Example], int]:
    """The examples with the keys of the answer named, and how many were left as they are: with the keys they would pass `room` tokens."""
    made = [replace(example, prompt=keyed(example, names, preface)) for example in exam]
    fits = [bool(names) and len(render.prompt_ids(example.prompt)) <= room for example in made]
    return [new if fit else old for old, new, fit in zip(exam, made, fits, strict=True)], fits.count(False)
