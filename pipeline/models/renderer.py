"""Renders prompts as token ids: turns through the chat template or plain text, then the target; and decodes ids to text.

Training, generation and scoring all use it, so their ids are the same.

What stands in a prompt or an answer is text: a control token spelled there (`<eos>`) is never taken for the token.
The ids of a prompt never depend on the answer. Those of the answer are the rest of the joint tokenization where that begins with the
prompt's ids, else those of the answer after a newline or alone. So the loss mask is a number of tokens, and no string is searched for.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import base_model
from pipeline.models.answer_start import indentation, takes_no_blank
from pipeline.models.control_tokens import control_tokens, template_tokens
from pipeline.models.template_errors import NO_TEMPLATE_REMEDY, TOOLS_REMEDY, TURNS_REMEDY, ChatTemplateError
from pipeline.store.records import TOOLS, Prompt, Turn, as_turns, prompt_text

FIXED_DATE_MACRO = (
    "{% macro strftime_now(form) %}"
    "{{ form | replace('%d', '26') | replace('%B', 'July') | replace('%b', 'Jul') | replace('%m', '07') | replace('%Y', '2024') }}"
    "{% endmacro %}"
)
"""Prefixed to chat templates that print today's date (Llama 3, SmolLM3), so that they print Llama 3.1's default. Otherwise prompts would
change daily."""

PLACEHOLDER = re.compile("\ue000([0-9]+)\ue001")
"""Stands for a control token spelled in a turn while the chat template writes its own."""
CONTROL, LEADING, NO_BLANK = "control tokens", "leading whitespace", "no blank"
"""Why a prompt or an answer is rendered with care; see Renderer.care."""


class Renderer:
    """Turns prompts and answers of one base model into token ids and back."""

    def __init__(self, tokenizer: Any, chat: bool | None = None, thinking: bool = False) -> None:
        """chat: use the chat template; None: if the tokenizer has one. thinking: with its thinking switch on."""
        self.tokenizer = tokenizer
        self.thinking = thinking
        self.chat = bool(tokenizer.chat_template) if chat is None else chat
        if self.chat and not tokenizer.chat_template:
            raise ModelError(
                "the recipe says chat: true, but the tokenizer has no chat template", "Leave chat out, or name an instruct model."
            )
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no end token, so a model could not learn to stop", "Set eos_token in its tokenizer_config.json."
            )
        self.control_ids = {name: int(tokenizer.convert_tokens_to_ids(name)) for name in control_tokens(tokenizer)}
        self.control = re.compile("|".join(map(re.escape, self.control_ids)))
        """Finds a control token that is spelled in a text. The longest one comes first."""
        self.chat_suffix = self.chat_boundary() if self.chat else ("", "")
        self.words_start_with_space = self.encode("word word")[: len(self.encode("word"))] == self.encode("word")
        self.end_id = self.end_of_turn() if self.chat else int(tokenizer.eos_token_id)
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)

    def encode(self, text: str) -> list[int]:
        """The ids of a text without special tokens around it; those that the text spells are tokens, as in a chat template's text."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def encode_text(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text, in which a control token is spelled like any other word.

        Args:
            special: with the special tokens that the tokenizer puts around a text.
        """
        as_text = {"split_special_tokens": True} if self.control.search(text) else {}
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, **as_text)["input_ids"]
        return ids

    def encode_inside(self, text: str) -> list[int]:
        """The ids of a text that stands behind other text: some tokenizers put a space before the first word of any text."""
        line, ids = self.encode("\n"), self.encode_text("\n" + text)
        return ids[len(line) :] if ids[: len(line)] == line else self.encode_text(text)

    def spells_control(self, text: str) -> bool:
        """Whether a text spells a control token, so that reading it as one would give other ids."""
        return self.control.search(text) is not None and self.encode(text) != self.encode_text(text)

    @cached_property
    def adds_start(self) -> bool:
        """Whether every prompt is led by a start token."""
        bos = self.tokenizer.bos_token_id
        return bos is not None and self.prompt_ids("a")[:1] == [bos]

    def without_start(self, prompt: str) -> str:
        """The prompt without start tokens written at its beginning, where every prompt is led by one anyway."""
        while self.adds_start and prompt.startswith(self.tokenizer.bos_token):
            prompt = prompt.removeprefix(self.tokenizer.bos_token)
        return prompt

    def care(self, prompt: Prompt, answers: Sequence[str]) -> list[str]:
        """What in a prompt and its answers needs care, which older versions did not take; empty for most.

        CONTROL: a control token is spelled there. LEADING: whitespace leads an answer. NO_BLANK: the answer follows the prompt without
        a blank, since the prompt ends in an opening sign or in a script without blanks.
        """
        texts = [turn.content for turn in as_turns(prompt)]
        leading = [self.leading(prompt, answer) != self.join(prompt)[1] for answer in answers]
        reasons = {
            CONTROL: any(map(self.spells_control, [*texts, *answers])),
            LEADING: any(leading),
            NO_BLANK: not self.chat and takes_no_blank(prompt_text(prompt)),
        }
        return [name for name, holds in reasons.items() if holds]

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The ids that the answer follows, with at most one BOS.

        Raises:
            ChatTemplateError: the template refuses the turns, or there is none and they are several.
        """
        if self.chat:
            return self.conversation_ids(as_turns(prompt))
        before, _ = self.prompt_answer_boundary(prompt)
        ids = self.encode_text(before, special=True)
        return ids[:-1] if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id else ids

    def conversation_ids(self, turns: Sequence[Turn]) -> list[int]:
        """The ids of a conversation up to where the next answer begins; control tokens are those of the template alone."""
        if not any(self.spells_control(turn.content) for turn in turns):
            return self.encode(self.conversation(turns))
        spelled = sorted({name for turn in turns for name in self.control.findall(turn.content)})
        held = [replace(turn, content=self.control.sub(lambda m: f"\ue000{spelled.index(m[0])}\ue001", turn.content)) for turn in turns]
        ids: list[int] = []
        for index, piece in enumerate(template_tokens(self.tokenizer).split(self.conversation(held))):
            text = PLACEHOLDER.sub(lambda m: spelled[int(m[1])] if int(m[1]) < len(spelled) else m[0], piece)
            encode = self.encode_inside if ids else self.encode_text
            ids += [self.control_ids[piece.strip()]] if index % 2 else encode(text) if text else []
        return ids

    def conversation(self, turns: Sequence[Turn], answer: str | Turn | None = None) -> str:
        """The chat template's text of a conversation: up to where the next answer begins, or with that answer and what follows it.

        A thinking switch of the template (Qwen3, SmolLM3) is off unless the task says so: a base that thinks first would be truncated
        before it answers.
        """
        from jinja2 import TemplateError

        messages = [turn.message() for turn in turns if turn.role != TOOLS]
        last = Turn("assistant", answer) if isinstance(answer, str) else answer
        messages += [] if last is None else [last.message()]
        tools = next((json.loads(turn.content) for turn in turns if turn.role == TOOLS), None)
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages,
                tools=tools,
                chat_template=FIXED_DATE_MACRO + self.tokenizer.get_chat_template(),
                add_generation_prompt=answer is None,
                tokenize=False,
                enable_thinking=self.thinking,
            )
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(turn.role for turn in (*turns, *([last] if last else [])))
            raise ChatTemplateError(f"the chat template refuses the turns {roles}: {' '.join(str(error).split())}", TURNS_REMEDY) from None
        return text

    def turn_spans(self, prompt: Prompt, turns: Sequence[int]) -> list[tuple[int, int]]:
        """Where in the ids of a prompt earlier answers stand, each with its end token, as [start, end).

        Args:
            turns: indices of the answers among the turns of the prompt.

        Raises:
            ChatTemplateError: an answer is rendered otherwise once other turns follow, so training on it there would teach what is never
                generated (templates that drop thoughts, or move the system text to the last question).
        """
        ids = self.prompt_ids(prompt) if turns else []
        return [self.turn_span(ids, as_turns(prompt)[:index], as_turns(prompt)[index]) for index in turns]

    def turn_span(self, ids: list[int], before: Prompt, turn: Turn) -> tuple[int, int]:
        """turn_spans of one answer, which follows the turns `before` in the ids of a prompt."""
        start, answer = self.prompt_ids(before), turn.content
        texts = list(dict.fromkeys((answer, answer.strip())))  # many templates trim
        answers = [self.answer_ids(before, text) for text in texts]
        if turn.calls:
            answer = self.call_text(before, turn)
            answers = [self.call_ids(answer)]
        for answer_ids in answers:
            head = [*start, *answer_ids]
            if ids[: len(head)] == head and self.end_id in ids[len(head) :]:
                end = ids.index(self.end_id, len(head))
                if not self.decode(ids[len(head) : end]).strip():  # Llama 2 puts a blank before the end token
                    return len(start), end + 1
        problem = f"the chat template renders answer {answer.strip()[:40]!r} otherwise once further turns follow it"
        raise ChatTemplateError(problem, "Train on the last answer alone: loss: last.")

    def chat_boundary(self) -> tuple[str, str]:
        """A user turn as the chat template ends it, and the whitespace that it puts before an answer (Llama 2; usually none)."""
        before, whole = self.conversation(as_turns("a")), self.conversation(as_turns("a"), "word")
        between = whole[len(before) :].partition("word")[0] if whole.startswith(before) else ""
        return before, between if between.isspace() else ""

    def join(self, prompt: Prompt) -> tuple[str, str]:
        """What stands before an answer, as far as it decides its ids, and the whitespace that leads the answer."""
        return self.chat_suffix if self.chat else self.prompt_answer_boundary(prompt)

    def leading(self, prompt: Prompt, answer: str) -> str:
        """The whitespace that leads an answer: its indentation as written, else what the join asks for."""
        if not answer.strip():
            return ""  # the end token follows the prompt
        before, space = self.join(prompt)
        own = indentation(answer)
        return (own.removeprefix(" ") if before.endswith(" ") else own) or space

    def answer_ids(self, prompt: Prompt, answer: str) -> list[int]:
        """The ids of an answer after its prompt, without the end token."""
        before, _ = self.join(prompt)
        text = self.leading(prompt, answer) + answer.strip()
        if not self.chat:
            together, alone = self.encode_text(before + text), self.encode_text(before)
        elif self.spells_control(answer):
            return self.encode_inside(text)
        else:
            together, alone = self.encode(before + text), self.encode(before)
        if together[: len(alone)] == alone:  # the usual case: a tokenization of the whole text
            return together[len(alone) :]
        return self.encode_inside(text)  # a merge would cross the boundary

    def target_ids(self, prompt: Prompt, target: str, is_call: bool = False) -> list[int]:
        """The ids that carry the loss: the answer and the end token.

        Args:
            is_call: the target is a call_text(), in which control tokens are the template's.
        """
        return [*(self.call_ids(target) if is_call else self.answer_ids(prompt, target)), self.end_id]

    def call_text(self, prompt: Prompt, turn: Turn) -> str:
        """The text that the chat template writes for an answer that calls tools, from where it begins up to its end token.

        Raises:
            ChatTemplateError: there is no template, or it writes the answer otherwise than behind its prompt.
        """
        if not self.chat:
            raise ChatTemplateError("the answer calls a tool, but the model is prompted with plain text", NO_TEMPLATE_REMEDY)
        before, whole = self.conversation(as_turns(prompt)), self.conversation(as_turns(prompt), turn)
        written = whole.removeprefix(before) if whole.startswith(before) else ""
        text, end, _ = written.rpartition(token := self.tokenizer.convert_ids_to_tokens(self.end_id))
        if not text.strip():
            lacking = f"end token ({token}) behind a call of a tool" if written.strip() and not end else "call of a tool behind the prompt"
            raise ChatTemplateError(f"the chat template writes no {lacking}", TOOLS_REMEDY)
        return text

    def call_ids(self, text: str) -> list[int]:
        """The ids of a call_text(), without the end token."""
        before = self.chat_suffix[0]
        together, alone = self.encode(before + text), self.encode(before)
        return together[len(alone) :] if together[: len(alone)] == alone else self.encode(text)

    def token_counts(self, pairs: Sequence[tuple[Prompt, str]]) -> list[tuple[int, int]]:
        """(prompt tokens, target tokens) of every (prompt, target); tokenized in batches, no text twice."""
        is_usual = [not any(map(self.control.search, (prompt_text(prompt), target))) for prompt, target in pairs]
        usual = [pair for pair, is_one in zip(pairs, is_usual, strict=True) if is_one]
        counts = iter(self.usual_counts(usual) if usual else ())
        return [
            next(counts) if is_one else (len(self.prompt_ids(pair[0])), len(self.target_ids(*pair)))
            for pair, is_one in zip(pairs, is_usual, strict=True)
        ]

    def usual_counts(self, pairs: Sequence[tuple[Prompt, str]]) -> list[tuple[int, int]]:
        """token_counts of pairs that spell no control token."""
        if self.chat:
            starts = [self.encode(self.chat_suffix[0])] * len(pairs)
            prompt_ids = self.encode_batch([self.conversation(as_turns(prompt)) for prompt, _ in pairs])
        else:
            starts = self.encode_batch([self.join(prompt)[0] for prompt, _ in pairs])
            prompt_ids = self.with_special_tokens(starts, [prompt for prompt, _ in pairs])
        wholes = self.encode_batch([self.join(prompt)[0] + self.leading(prompt, target) + target.strip() for prompt, target in pairs])
        counts = []
        for pair, ids, whole, start in zip(pairs, prompt_ids, wholes, starts, strict=True):
            is_usual = whole[: len(start)] == start
            counts.append((len(ids), 1 + (len(whole) - len(start) if is_usual else len(self.answer_ids(*pair)))))
        return counts

    def with_special_tokens(self, starts: list[list[int]], prompts: list[Prompt]) -> list[list[int]]:
        """The prompt_ids of prompts, from the ids before their answers: the same special tokens come before every text."""
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
        (GPT, Llama 3, Qwen), and to the prompt where they end with one. See takes_no_blank for prompts without it.
        """
        if not isinstance(prompt, str) and len(prompt) > 1:
            problem = f"a prompt has {len(prompt)} turns, but the model is prompted with plain text"
            raise ChatTemplateError(problem, NO_TEMPLATE_REMEDY)
        body = prompt_text(prompt).rstrip(" ")
        if not body or body[-1].isspace() or takes_no_blank(prompt_text(prompt)):
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
        as_text = {"split_special_tokens": True} if self.control.search(prompt) else {}
        encoded = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True, **as_text)["offset_mapping"]
        low, high = 0, len(encoded)  # the number of tokens that go; the fewest that suffice
        while low < high:
            middle = (low + high) // 2
            if len(self.prompt_ids(prompt[encoded[middle][0] :])) <= tokens:
                high = middle
            else:
                low = middle + 1
        return prompt[encoded[low][0] :] if low < len(encoded) else ""

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Strings that end an answer whatever the task says."""
        return ()

    def fitted(self, ids: list[int], room: int) -> list[int]:
        """The ids of a prompt for a context window that leaves it `room` tokens; `prepare` has left out what is longer."""
        del room
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of ids, special tokens left out."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def renderer(spec: dict[str, Any]) -> Renderer:
    """The renderer of a base model, by the spec that plan() writes into a stage's params.

    Raises:
        ModelError: there is no tokenizer, or chat is asked for where there is no template.
    """
    switches = spec.get("prompts", ""), spec.get("thinking", False)
    return cached_renderer(base_model.local_folder(spec), spec["chat"], spec["trust_remote_code"], *switches)


@cache
def cached_renderer(folder: Path, chat: bool | None, trust_remote_code: bool, prompts: str, thinking: bool) -> Renderer:
    render = read_renderer(folder, chat, trust_remote_code, prompts, thinking)
    refuse_beyond_embedding(render, folder)
    return render


def read_renderer(folder: Path, chat: bool | None, trust_remote_code: bool, prompts: str, thinking: bool) -> Renderer:
    """prompts: whose rules they are rendered by, where not by those of this file; see harness_renderer.py. thinking: see Renderer."""
    from transformers import AutoTokenizer

    from pipeline.models.harness_renderer import HARNESS, HarnessRenderer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} has no tokenizer that loads: {' '.join(str(error).split())[:200]}",
            "A base needs its tokenizer.json beside its weights.",
        ) from None
    return HarnessRenderer(tokenizer, chat) if prompts == HARNESS else Renderer(tokenizer, chat, thinking)


def refuse_beyond_embedding(render: Renderer, folder: Path) -> None:
    """Raise ModelError if a token of texts has no row in the base's embedding, as where tokens were added without resizing it.

    Control tokens that no prompt or answer has, such as those for images, may lie beyond.
    """
    rows = base_model.vocabulary_size(folder)
    used = {render.end_id, render.pad_id, *render.prompt_ids("a")}
    vocabulary = render.tokenizer.get_vocab()
    beyond = {
        token: number
        for token, number in sorted(vocabulary.items(), key=lambda item: item[1])
        if rows is not None and number >= rows and (number in used or token not in render.control_ids)
    }
    if beyond:
        token, number = next(iter(beyond.items()))
        raise ModelError(
            f"{folder}: {len(beyond)} tokens of the tokenizer lie beyond the embedding of {rows:,} rows, the first {token!r} ({number})",
            "Take the tokenizer that the base was trained with, or resize the embedding and save both.",
        )
