"""Writes answers as OpenAI's API does: whole objects, and chunks of a stream."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pipeline.serving.answers import Answer, Choice
from pipeline.serving.rows import Piece
from pipeline.serving.sampling import TokenLogprob

TokenText = Callable[[int], str]
"""The text of one token, special ones spelled out."""


class Form(Protocol):
    """How one of the two kinds of response is written."""

    head: "Head"

    def whole(self, answer: Answer, choices: Sequence[Choice]) -> dict[str, Any]:
        """The response to a request without a stream."""
        ...

    def opening(self, answer: Answer) -> list[dict[str, Any]]:
        """Chunks before the first piece."""
        ...

    def chunk(self, piece: Piece) -> dict[str, Any]: ...

    def usage_chunk(self, answer: Answer) -> dict[str, Any]:
        """The last chunk of a stream that ends with token counts."""
        ...


class Head:
    """What is the same in all parts of a response.

    Args:
        model: id, as requested.
        has_usage: whether chunks have a key for token counts.
    """

    def __init__(self, model: str, prefix: str, has_usage: bool) -> None:
        self.fields = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self.has_usage = has_usage

    def part(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self.fields, "object": kind, "choices": choices, **({"usage": None} if self.has_usage else {})}


class ChatForm(Form):
    """Responses of /v1/chat/completions."""

    def __init__(self, head: Head, token_text: TokenText, has_logprobs: bool) -> None:
        self.head = head
        self.token_text = token_text
        self.has_logprobs = has_logprobs

    def whole(self, answer: Answer, choices: Sequence[Choice]) -> dict[str, Any]:
        entries = [
            {
                "index": index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": self.logprobs(choice.logprobs),
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(choices)
        ]
        return {**self.head.part("chat.completion", entries), "usage": answer.usage()}

    def opening(self, answer: Answer) -> list[dict[str, Any]]:
        return [self.entry(index, {"role": "assistant", "content": ""}, None, None) for index in range(len(answer.rows))]

    def chunk(self, piece: Piece) -> dict[str, Any]:
        delta = {"content": piece.text} if piece.text or piece.logprobs else {}
        return self.entry(piece.index, delta, self.logprobs(piece.logprobs) if piece.logprobs else None, piece.finish)

    def usage_chunk(self, answer: Answer) -> dict[str, Any]:
        return {**self.head.part("chat.completion.chunk", []), "usage": answer.usage()}

    def entry(self, index: int, delta: dict[str, Any], logprobs: dict[str, Any] | None, finish: str | None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self.head.part("chat.completion.chunk", [choice])

    def logprobs(self, entries: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.has_logprobs:
            return None
        content = [
            {**self.token(entry.token, entry.logprob), "top_logprobs": [self.token(token, value) for token, value in entry.top]}
            for entry in entries
        ]
        return {"content": content, "refusal": None}

    def token(self, token: int, logprob: float) -> dict[str, Any]:
        text = self.token_text(token)
        return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode("utf-8", "replace"))}


class CompletionForm(Form):
    """Responses of /v1/completions."""

    def __init__(self, head: Head, token_text: TokenText, has_logprobs: bool) -> None:
        self.head = head
        self.token_text = token_text
        self.has_logprobs = has_logprobs
        self.offsets: dict[int, int] = {}
        """By row, where in its text the next token begins."""

    def whole(self, answer: Answer, choices: Sequence[Choice]) -> dict[str, Any]:
        entries = [self.entry(index, choice.text, choice.logprobs, choice.finish) for index, choice in enumerate(choices)]
        return {**self.head.part("text_completion", entries), "usage": answer.usage()}

    def opening(self, answer: Answer) -> list[dict[str, Any]]:
        return []

    def chunk(self, piece: Piece) -> dict[str, Any]:
        return self.head.part("text_completion", [self.entry(piece.index, piece.text, piece.logprobs, piece.finish)])

    def usage_chunk(self, answer: Answer) -> dict[str, Any]:
        return {**self.head.part("text_completion", []), "usage": answer.usage()}

    def entry(self, index: int, text: str, logprobs: Sequence[TokenLogprob], finish: str | None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": self.logprobs(index, logprobs), "finish_reason": finish}

    def logprobs(self, index: int, entries: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.has_logprobs:
            return None
        tokens = [self.token_text(entry.token) for entry in entries]
        offsets = []
        for text in tokens:
            offsets.append(self.offsets.get(index, 0))
            self.offsets[index] = offsets[-1] + len(text)
        return {
            "tokens": tokens,
            "token_logprobs": [entry.logprob for entry in entries],
            "top_logprobs": [{self.token_text(token): value for token, value in entry.top} for entry in entries],
            "text_offset": offsets,
        }
