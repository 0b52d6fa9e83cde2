"""Stands in for the renderer of a base where there is none: predictions come from elsewhere, and nobody counts their tokens."""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.models import renderer, thinking
from pipeline.models.renderer import Renderer
from pipeline.store.records import Prompt

NEVER = re.compile(r"(?!)")
"""Matches nothing."""


class NoModel(Renderer):
    """Leaves prompts as they are: no token is counted, and none needs care."""

    def __init__(self) -> None:
        self.tokenizer = None
        self.chat = self.thinking = False
        self.control_ids = {}
        self.control = NEVER

    def without_start(self, prompt: str) -> str:
        return prompt

    def care(self, prompt: Prompt, answers: Sequence[str]) -> list[str]:
        return []

    def turn_spans(self, prompt: Prompt, turns: Sequence[int]) -> list[tuple[int, int]]:
        return []

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        return []

    def answer_ids(self, prompt: Prompt, answer: str) -> list[int]:
        return []

    def target_ids(self, prompt: Prompt, target: str, is_call: bool = False) -> list[int]:
        return []

    def token_counts(self, pairs: Sequence[tuple[Prompt, str]]) -> list[tuple[int, int]]:
        return [(0, 0)] * len(pairs)


def renderer_of(spec: dict[str, Any] | None) -> Renderer:
    """The renderer of a base by its spec; of none NoModel. Raises ModelError if the base does not think where the task says so."""
    if spec is None:
        return NoModel()
    render = renderer.renderer(spec)
    if render.thinking:
        thinking.check(render)
    return render
