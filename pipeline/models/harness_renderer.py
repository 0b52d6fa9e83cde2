"""Renders prompts of lm-evaluation-harness as its own `hf` model does, token for token.

What differs from Renderer: a prompt and what follows it are tokenized as one text and cut at the number of the prompt's own tokens,
whatever a merge does at the boundary; blanks at the end of a prompt lead its continuation; control tokens that a text spells are tokens;
and a prompt that is too long loses its start.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pipeline.models.renderer import Renderer
from pipeline.store.records import Prompt, prompt_text

HARNESS = "lm_eval"
"""Value of `prompts` in the spec of a base whose prompts are rendered so."""


class HarnessRenderer(Renderer):
    """Prompts are plain text; a chat template, if one is asked for, has rendered it before."""

    @cached_property
    def prefix_id(self) -> int:
        """The token that stands before a continuation without context."""
        bos = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if bos is None else bos)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The end token in letters: lm-eval ends an answer there, too."""
        return (self.tokenizer.decode([self.tokenizer.eos_token_id], skip_special_tokens=False),)

    def whole_ids(self, text: str) -> list[int]:
        """The ids of a text with the special tokens that the tokenizer puts around it; no second start token."""
        options: dict[str, Any] = {"add_special_tokens": False} if text.startswith(self.tokenizer.decode([self.prefix_id])) else {}
        ids: list[int] = self.tokenizer.encode(text, **options)
        return ids

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        return self.whole_ids(prompt_text(prompt))

    def answer_ids(self, prompt: Prompt, answer: str) -> list[int]:
        text = prompt_text(prompt)
        return self.whole_ids(text + answer)[len(self.whole_ids(text)) :]

    def pair_ids(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """The ids of context and continuation of a log-likelihood."""
        if not context:
            ids = list(self.tokenizer.encode(continuation, add_special_tokens=False))
            return ([self.prefix_id], ids) if ids[:1] != [self.prefix_id] else (ids[:1], ids[1:])
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        return self.whole_ids(stripped), self.answer_ids(stripped, continuation)

    def fitted(self, ids: list[int], room: int) -> list[int]:
        return ids[-max(1, room) :]

    def token_counts(self, pairs: Sequence[tuple[Prompt, str]]) -> list[tuple[int, int]]:
        return [(len(self.prompt_ids(prompt)), len(self.target_ids(prompt, target))) for prompt, target in pairs]

    def without_start(self, prompt: str) -> str:
        return prompt

    def care(self, prompt: Prompt, answers: Sequence[str]) -> list[str]:
        return []

    def message_text(self, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The chat template's text of messages, as lm-eval's apply_chat_template gives it."""
        from jinja2 import TemplateError

        def text(turns: list[dict[str, str]]) -> str:
            options = {"add_generation_prompt": add_generation_prompt, "continue_final_message": not add_generation_prompt}
            rendered: str = self.tokenizer.apply_chat_template(turns, tokenize=False, **options)
            return rendered

        try:
            return text(list(messages))
        except TemplateError:  # most often a system turn that the template does not take
            return text([message for message in messages if message["role"] != "system"])
