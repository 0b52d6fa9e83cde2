"""Renders answers with their thoughts as a chat template does where its thinking switch is on, token for token."""

import re
from dataclasses import replace

from pipeline.errors import ModelError
from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.store.records import Prompt, Turn, as_turns

OPEN, CLOSE = "<think>", "</think>"
NO_THOUGHTS = "Leave thinking out, or name a base whose chat template has such a switch, as those of Qwen3 do."
ROW_REMEDY = "Leave the row out; if that is every row, leave thinking out, since the template writes thoughts in a form of its own."


def with_thought(turn: Turn, thought: str) -> Turn:
    """An answer with its thought in its text, in the form that chat templates take apart."""
    return replace(turn, content=f"{OPEN}\n{thought}\n{CLOSE}\n\n{turn.content}") if thought.strip() else turn


def is_open(render: Renderer) -> bool:
    """Whether prompts of the chat template end in thoughts that are not closed yet (DeepSeek R1, Qwen3.5)."""
    return render.chat_suffix[0].rfind(OPEN) > render.chat_suffix[0].rfind(CLOSE)


def check(render: Renderer) -> None:
    """Raises ModelError if the base does not think: its chat template has no thinking switch and opens no thoughts, or it has none."""
    if not render.chat:
        raise ModelError("the task says thinking: true, but the base is prompted with plain text", NO_THOUGHTS)
    if not is_open(render) and render.chat_suffix == Renderer(render.tokenizer, render.chat).chat_suffix:
        raise ModelError("the task says thinking: true, but the chat template of the base has no thinking switch", NO_THOUGHTS)


def answer_text(render: Renderer, prompt: Prompt, answer: Turn, thought: str) -> str:
    """The text that the chat template writes for an answer with its thought, from where it begins up to its end token.

    Without a thought it is what the template writes then; mostly closed thoughts without content.

    Raises:
        ChatTemplateError: the template writes thought or answer otherwise, or they spell a control token.
    """
    turn = with_thought(answer, thought)
    if render.spells_control(turn.content):
        raise ChatTemplateError("an answer with thoughts spells a control token of the tokenizer", "Leave the row out.")
    opened = OPEN if is_open(render) else ""
    fields = replace(answer, more={**answer.more, "reasoning_content": thought})
    texts = [written(render, prompt, form) for form in ((turn, fields) if thought.strip() else (turn,))]
    if opened and not turn.calls:  # R1 drops the thoughts of every answer in a conversation
        texts.append(f"{thought}\n{CLOSE}\n\n{answer.content}")
    text = next((text for text in texts if text and has_words(opened + text, turn)), None)
    if text is None:
        raise ChatTemplateError("the chat template changes the row's thought or its answer, or writes no end token after them", ROW_REMEDY)
    return text


def written(render: Renderer, prompt: Prompt, turn: Turn) -> str:
    """What the chat template writes behind a prompt, up to the end token; empty if it changes the prompt or writes no end token."""
    before, whole = render.conversation(as_turns(prompt)), render.conversation(as_turns(prompt), turn)
    end = render.tokenizer.convert_ids_to_tokens(render.end_id)
    return whole.removeprefix(before).rpartition(end)[0] if whole.startswith(before) else ""


def has_words(text: str, turn: Turn) -> bool:
    """Whether a text is the content of an answer, whitespace and empty thoughts aside; of one with calls, whether it begins so."""
    rendered, own = (re.sub(r"\s+", "", value) for value in (text, turn.content))
    bare = rendered if own.startswith(OPEN) else rendered.removeprefix(OPEN + CLOSE)
    return bare.startswith(own) if turn.calls else bare == own


def target_ids(render: Renderer, prompt: Prompt, answer: Turn, thought: str) -> list[int]:
    """The ids that carry the loss: thought, answer and end token. Raises ChatTemplateError as answer_text."""
    return [*render.call_ids(answer_text(render, prompt, answer, thought)), render.end_id]
