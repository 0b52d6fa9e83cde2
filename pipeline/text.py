"""What a model sees: the chat template or the plain prompt as token ids, the answer behind it, and how ids
become text again. Training, generation and scoring all come through here, so their ids are the same.

The ids of a prompt never depend on the answer: prompt and answer are tokenized apart and put together as
ids, so the loss mask is a number of tokens and no string is ever searched for.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pipeline import models
from pipeline.errors import ModelError


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
        self.blank_opens_word = self.plain("word word")[: len(self.plain("word"))] == self.plain("word")
        self.end = self.end_of_turn() if self.chat else int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)

    def plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def prompt_ids(self, prompt: str) -> list[int]:
        """The ids that the answer follows, with at most one BOS."""
        if self.chat:
            turns = [{"role": "user", "content": prompt}]
            ids: list[int] = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
            return ids
        before, _ = self.seam(prompt)
        ids = self.tokenizer(before)["input_ids"]
        return ids[:-1] if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id else ids

    def answer_ids(self, prompt: str, answer: str) -> list[int]:
        """The ids of an answer behind its prompt, without an end token."""
        if self.chat:
            return self.plain(answer.strip())
        before, blank = self.seam(prompt)
        together, alone = self.plain(before + blank + answer.strip()), self.plain(before)
        if together[: len(alone)] == alone:  # the usual case: a tokenization of the whole text
            return together[len(alone) :]
        # a merge would cross the seam: tokenize the answer behind a line end, since some tokenizers put a blank before any text
        line, behind = self.plain("\n"), self.plain("\n" + blank + answer.strip())
        return behind[len(line) :] if behind[: len(line)] == line else self.plain(blank + answer.strip())

    def target_ids(self, prompt: str, target: str) -> list[int]:
        """The ids that carry the loss: the answer and the end token."""
        return [*self.answer_ids(prompt, target), self.end]

    def seam(self, prompt: str) -> tuple[str, str]:
        """The prompt, and the blank that opens the answer.

        The one blank between the two belongs to the answer where the tokenizer's words begin with it
        (GPT, Llama 3, Qwen), and to the prompt where they end with it.
        """
        body = prompt.rstrip(" ")
        if not body or body[-1].isspace():
            return body, ""
        return (body, " ") if self.blank_opens_word else (body + " ", "")

    def end_of_turn(self) -> int:
        """The token that ends an answer in the chat template; often not the tokenizer's EOS."""
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "word"}]
        ids = self.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        known = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        word = self.plain("word")[-1]
        behind = ids[len(ids) - ids[::-1].index(word) :] if word in ids else []
        return int(next((token for token in behind if token in known), self.tokenizer.eos_token_id))

    def cut_left(self, prompt: str, tokens: int) -> str:
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
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def renderer(spec: dict[str, Any]) -> Renderer:
    """The renderer of a base model, by the spec that plan() writes into a stage's params.

    Raises:
        ModelError: there is no tokenizer, or chat is asked for where there is no template.
    """
    return cached_renderer(models.local_folder(spec), spec["chat"], spec["trust_remote_code"])


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
