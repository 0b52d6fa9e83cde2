"""Defines a row of a batch: one continuation of one prompt, what it has so far, and what of it is new to its reader."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pipeline.serving.sampling import Sampler, TokenLogprob
from pipeline.serving.text_stream import TextStream

Finish = Literal["stop", "length"]
"""How an answer ended: with an end token or a stop string; or at its limit."""


@dataclass(frozen=True)
class Piece:
    """What is new of a row since the last piece."""

    index: int
    """Of the row among those of its request."""
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens whose text has come; empty where none are wanted."""
    finish: Finish | None = None
    """Set in the last piece."""
    error: str = ""
    """Set in the last piece of a row that failed, with what is wrong."""


@dataclass(frozen=True)
class RowRequest:
    """What a row is to answer, and how."""

    prompt: tuple[int, ...]
    model: str
    """Id of the base or of an adapter."""
    max_new_tokens: int
    eos_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_logprobs: int | None = None
    """Likeliest tokens to report beside every token; None: no log-probabilities."""


@dataclass(eq=False)
class Row:
    """A row in work.

    Args:
        index: among the rows of its request.
        decode: ids to text, called by the thread that owns the weights.
        deliver: takes its pieces; called by the same thread.
    """

    request: RowRequest
    index: int
    decode: Callable[[list[int]], str]
    deliver: Callable[[Piece], None]
    ids: list[int] = field(default_factory=list)
    """New tokens, without the end token."""
    is_cancelled: bool = False
    """Set by any thread, when nobody waits for the answer any more."""
    is_done: bool = False

    def __post_init__(self) -> None:
        request = self.request
        self.sampler = Sampler(request.temperature, request.top_p, request.seed)
        self.text = TextStream(self.decode, request.stop_strings)
        self.waiting_logprobs: list[tuple[int, TokenLogprob]] = []
        """Where the text of a token begins, and its log-probability, until that text is released."""

    @property
    def tokens(self) -> list[int]:
        """Prompt and answer so far."""
        return [*self.request.prompt, *self.ids]

    def __len__(self) -> int:
        return len(self.request.prompt) + len(self.ids)

    def accept(self, token: int, logprob: TokenLogprob | None) -> None:
        """Take the next token, and deliver what is new."""
        if token in self.request.eos_ids:
            self.end("stop", self.text.finish())
            return
        self.ids.append(token)
        if logprob:
            self.waiting_logprobs.append((self.text.stable, logprob))
        text = self.text.add(token)
        if self.text.is_stopped:
            self.end("stop", text)
        elif len(self.ids) == self.request.max_new_tokens:
            text += self.text.finish()
            self.end("stop" if self.text.is_stopped else "length", text)
        else:
            self.deliver(Piece(self.index, text, self.released_logprobs()))

    def end(self, finish: Finish, text: str) -> None:
        self.is_done = True
        logprobs = self.released_logprobs() if self.text.is_stopped else tuple(entry for _, entry in self.waiting_logprobs)
        self.deliver(Piece(self.index, text, logprobs, finish))

    def fail(self, why: str) -> None:
        """Deliver what is wrong, in place of the rest of the answer."""
        self.is_done = True
        self.deliver(Piece(self.index, error=why))

    def released_logprobs(self) -> tuple[TokenLogprob, ...]:
        """The log-probabilities of tokens whose text has been released, at least in part."""
        count = sum(start < self.text.released for start, _ in self.waiting_logprobs)
        ready, self.waiting_logprobs = self.waiting_logprobs[:count], self.waiting_logprobs[count:]
        return tuple(entry for _, entry in ready)
