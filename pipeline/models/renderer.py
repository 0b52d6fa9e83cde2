"""Renders prompts as token ids: turns through the chat template or plain text, then the target; and decodes ids to text.

Training, generation and scoring all use it, so their ids are the same.

The ids of a prompt never depend on the answer. Those of the answer are the rest of the joint tokenization where that begins with the
prompt's ids, else those of the answer after a newline or alone. So the loss mask is a number of tokens, and no string is searched for.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import base_model
from pipeline.store.records import Prompt, Turn, as_turns, prompt_text

FIXED_DATE_MACRO = (
    "{% macro strftime_now(form) %}"
    "{{ form | replace('%d', '26') | replace('%B', 'July') | replace('%b', 'Jul') | replace('%m', '07') | replace('%Y', '2024') }}"
    "{% endmacro %}"
)
"""Prefixed to chat templates that print today's date (Llama 3, SmolLM3), so that they print Llama 3.1's default. Otherwise prompts would
change daily."""


class Renderer:
    """Turns prompts and answers of one base model into token ids and back."""

    def __init__(self, tokenizer: Any, chat: bool | None = None) -> None:
        """chat: use the chat template; None: if the tokenizer has one."""
        self.tokenizer = tokenizer
        self.chat = bool(tokenizer.chat_template) if chat is None else chat
        if self.chat and not tokenizer.chat_template:
            raise ModelError(
                "the recipe says chat: true, but the tokenizer has no chat template", "Leave chat out, or name an instruct model."
            )
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no end token, so a model could not learn to stop", "Set eos_token in its tokenizer_config.json."
            )
        self.chat_suffix = self.chat_boundary() if self.chat else ("", "")
        self.words_start_with_space = self.encode("word word")[: len(self.encode("word"))] == self.encode("word")
        self.end_id = self.end_of_turn() if self.chat else int(tokenizer.eos_token_id)
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)

    def encode(self, text: str) -> list[int]:
        """The ids of a text without special tokens."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The ids that the answer follows, with at most one BOS.

        Raises:
            ModelError: several turns, and no chat template.
        """
        if self.chat:
            return self.encode(self.conversation(as_turns(prompt)))
        before, _ = self.prompt_answer_boundary(prompt)
        ids: list[int] = self.tokenizer(before)["input_ids"]
        return ids[:-1] if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id else ids

    def conversation(self, turns: Sequence[Turn], answer: str | None = None) -> str:
        """The chat template's text of a conversation: up to where the next answer begins, or with that answer and what follows it.

        Where a template has a thinking switch (Qwen3, SmolLM3) it is off: a base that thinks aloud would be cut off before it answers.
        """
        messages = [asdict(turn) for turn in turns]
        messages += [] if answer is None else [{"role": "assistant", "content": answer}]
        text: str = self.tokenizer.apply_chat_template(
            messages,
            chat_template=FIXED_DATE_MACRO + self.tokenizer.get_chat_template(),
            add_generation_prompt=answer is None,
            tokenize=False,
            enable_thinking=False,
        )
        return text

    def chat_boundary(self) -> tuple[str, str]:
        """A user turn as the chat template ends it, and the whitespace that it puts before an answer (Llama 2; usually none)."""
        before, whole = self.conversation(as_turns("a")), self.conversation(as_turns("a"), "word")
        between = whole[len(before) :].partition("word")[0] if whole.startswith(before) else ""
        return before, between if between.isspace() else ""

    def answer_ids(self, prompt: Prompt, answer: str) -> list[int]:
        """The ids of an answer after its prompt, without the end token."""
        before, space = self.chat_suffix if self.chat else self.prompt_answer_boundary(prompt)
        together, alone = self.encode(before + space + answer.strip()), self.encode(before)
        if together[: len(alone)] == alone:  # the usual case: a tokenization of the whole text
            return together[len(alone) :]
        # a merge would cross the boundary: tokenize the answer after a newline, since some tokenizers put a space before any text
        line, line_and_answer = self.encode("\n"), self.encode("\n" + space + answer.strip())
        return line_and_answer[len(line) :] if line_and_answer[: len(line)] == line else self.encode(space + answer.strip())

    def target_ids(self, prompt: Prompt, target: str) -> list[int]:
        """The ids that carry the loss: the answer and the end token."""
        return [*self.answer_ids(prompt, target), self.end_id]

    def token_counts(self, pairs: Sequence[tuple[Prompt, str]]) -> list[tuple[int, int]]:
        """(prompt tokens, target tokens) of every (prompt, target); tokenized in batches, no text twice."""
        if self.chat:
            befores, spaces = [self.chat_suffix[0]] * len(pairs), [self.chat_suffix[1]] * len(pairs)
            starts = [self.encode(self.chat_suffix[0])] * len(pairs)
            prompt_ids = self.encode_batch([self.conversation(as_turns(prompt)) for prompt, _ in pairs])
        else:
            befores, spaces = map(list, zip(*(self.prompt_answer_boundary(prompt) for prompt, _ in pairs), strict=True))
            starts = self.encode_batch(befores)
            prompt_ids = self.with_special_tokens(starts, [prompt for prompt, _ in pairs])
        wholes = self.encode_batch([before + space + pair[1].strip() for before, space, pair in zip(befores, spaces, pairs, strict=True)])
        counts = []
        for pair, ids, whole, start in zip(pairs, prompt_ids, wholes, starts, strict=True):
            is_usual = whole[: len(start)] == start
            counts.append((len(ids), 1 + (len(whole) - len(start) if is_usual else len(self.answer_ids(*pair)))))
        return counts

    def with_special_tokens(self, starts: list[list[int]], prompts: list[Prompt]) -> list[list[int]]:
        """The prompt_ids of prompts, from the ids of what stands before their answers: every text is led by the same special tokens."""
        first = self.prompt_ids(prompts[0])
        lead = first[: len(first) - len(starts[0])]
        is_simple = first == lead + starts[0]
        ends = (self.tokenizer.eos_token_id,)
        return [
            lead + ids if is_simple and tuple(ids[-1:]) != ends else self.prompt_ids(prompt)
            for ids, prompt in zip(starts, prompts, strict=True)
        ]

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """The ids of many texts without special tokens, tokenized together."""
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids

    def prompt_answer_boundary(self, prompt: Prompt) -> tuple[str, str]:
        """The prompt, and the space that the answer starts with.

        The single space between the two belongs to the answer where the tokenizer's words start with a space
        (GPT, Llama 3, Qwen), and to the prompt where they end with one.
        """
        if not isinstance(prompt, str) and len(prompt) > 1:
            problem = f"a prompt has {len(prompt)} turns, but the model is prompted with plain text"
            raise ModelError(problem, "Name an instruct model, whose tokenizer has a chat template.")
        body = prompt_text(prompt).rstrip(" ")
        if not body or body[-1].isspace():
            return body, ""
        return (body, " ") if self.words_start_with_space else (body + " ", "")

    def end_of_turn(self) -> int:
        """The token that ends an answer in the chat template; often not the tokenizer's EOS."""
        ending = self.encode(self.conversation(as_turns("a"), "word").rpartition("word")[2])
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        return int(next((token for token in ending if token in special), self.tokenizer.eos_token_id))

    def truncate_left(self, prompt: str, tokens: int) -> str:
        """The end of a prompt, such that its ids are at most `tokens`; empty if nothing fits."""
        if len(self.prompt_ids(prompt)) <= tokens:
            return prompt
        encoded = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        low, high = 0, len(encoded)  # the number of tokens that go; the fewest that suffice
        while low < high:
            middle = (low + high) // 2
            if len(self.prompt_ids(prompt[encoded[middle][0] :])) <= tokens:
                high = middle
            else:
                low = middle + 1
        return prompt[encoded[low][0] :] if low < len(encoded) else ""

    def decode(self, ids: list[int]) -> str:
        """The text of ids, special tokens left out."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def renderer(spec: dict[str, Any]) -> Renderer:
    """The renderer of a base model, by the spec that plan() writes into a stage's params.

    Raises:
        ModelError: there is no tokenizer, or chat is asked for where there is no template.
    """
    return cached_renderer(base_model.local_folder(spec), spec["chat"], spec["trust_remote_code"])


@cache
def cached_renderer(folder: Path, chat: bool | None, trust_remote_code: bool) -> Renderer:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} has no tokenizer that loads: {' '.join(str(error).split())[:200]}",
            "A base needs its tokenizer.json beside its weights.",
        ) from None
    return Renderer(tokenizer, chat)
