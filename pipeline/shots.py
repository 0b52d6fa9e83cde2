"""What arms put into a prompt beside the question: worked examples of the training part, or the keys that a JSON answer is to have."""

import json
import random
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import DataError
from pipeline.records import Example
from pipeline.text import Renderer


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
    def chosen(self) -> list[str]:
        """Each as it is shown.

        Raises:
            DataError: there are fewer training examples than are to be shown.
        """
        if self.count > len(self.lessons):
            raise DataError(
                f"there are no {self.count} training examples to show, only {len(self.lessons)}.",
                "Lower compare.shots, or leave base_fewshot out.",
            )
        drawn = random.Random(f"shots {self.seed}").sample(self.lessons, self.count)
        return [self.block(example) for example in drawn]

    def block(self, example: Example) -> str:
        question = example.prompt.removeprefix(self.preface)
        return f"{question}{'' if question[-1:].isspace() else ' '}{example.target}\n\n"

    def prompt(self, example: Example) -> tuple[str, int]:
        """The prompt of a held-out example, and how many worked examples it has: as many as fit, the last ones."""
        question = example.prompt.removeprefix(self.preface)
        head = self.preface if question != example.prompt else ""
        for count in range(self.count, 0, -1):
            text = head + "".join(self.chosen[-count:]) + question
            if len(self.render.prompt_ids(text)) <= self.room:
                return text, count
        return example.prompt, 0


def keys(lessons: list[Example]) -> list[str]:
    """The keys of the training targets, in the order in which they come up.

    Raises:
        DataError: a target is no JSON object.
    """
    found: dict[str, None] = {}
    for lesson in lessons:
        try:
            target = json.loads(lesson.target)
        except ValueError:
            target = None
        if not isinstance(target, dict):
            raise DataError(f"the target of {lesson.id} is no JSON object, so there are no keys to ask for.", "Leave base_constrained out.")
        found |= dict.fromkeys(target)
    return list(found)


def keyed(example: Example, names: list[str]) -> str:
    """A prompt that says which keys the answer has."""
    listed = ", ".join(json.dumps(name, ensure_ascii=False) for name in names)
    return f"Answer with one JSON object that has exactly these keys: {listed}.\n\n{example.prompt}"
