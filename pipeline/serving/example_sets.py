"""Holds the test examples that the page at / offers as prompts, with how the report let them be answered"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.store.records import Example, as_turns

ROLES = ("system", "user", "assistant")
"""Of turns that a request may hold."""


@dataclass(frozen=True)
class ExampleSet:
    """The test set of one task."""

    task: str
    models: tuple[str, ...]
    """Ids of the adapters that were trained for the task."""
    examples: Sequence[Example]
    """Those that a request can hold."""
    left_out: int
    """Examples with tools, or with turns of other roles."""
    max_new_tokens: int
    stop_strings: tuple[str, ...]
    thinks: bool = False
    """Whether base and fine-tuned model answered with the thinking switch of the chat template on."""

    def summary(self) -> dict[str, Any]:
        return {"name": self.task, "size": len(self.examples), "left_out": self.left_out, "models": list(self.models)}

    def request(self, index: int) -> dict[str, Any]:
        """One example as a request of /v1/chat/completions has it, with its target. Raises IndexError."""
        example = self.examples[index]
        return {
            "id": example.id,
            "messages": [turn.message() for turn in as_turns(example.prompt)],
            "target": example.target,
            "max_tokens": self.max_new_tokens,
            "stop": list(self.stop_strings),
            "thinks": self.thinks,
        }


def can_be_requested(example: Example) -> bool:
    """Whether the turns of an example are of roles that a request may hold, without calls, and end with the user's."""
    turns = as_turns(example.prompt)
    return turns[-1].role == "user" and all(turn.role in ROLES and not turn.more for turn in turns)
