"""Follows the rows of one request in the event loop, and gives them up when their reader is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from pipeline.serving.faults import ApiError
from pipeline.serving.rows import Finish, Piece, Row
from pipeline.serving.sampling import TokenLogprob
from pipeline.serving.scheduler import Scheduler


@dataclass
class Choice:
    """One finished answer."""

    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Finish | None = None


class Answer:
    """The rows that answer one request.

    Args:
        pieces: where the scheduler puts what is new; without a bound, as an answer has one: so a slow reader never holds the batch.
        prompt_tokens: of all prompts, each counted once.
    """

    def __init__(self, scheduler: Scheduler, rows: Sequence[Row], pieces: asyncio.Queue[Piece], prompt_tokens: int) -> None:
        self.scheduler = scheduler
        self.rows = rows
        self.queue = pieces
        self.prompt_tokens = prompt_tokens
        self.is_over = False
        """Whether every row has ended, or one has failed."""
        self.first_piece: float | None = None
        """When it came, by time.monotonic()."""

    @property
    def new_tokens(self) -> int:
        """So far, end tokens not counted."""
        return sum(len(row.ids) for row in self.rows)

    def usage(self) -> dict[str, int]:
        new = self.new_tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": new, "total_tokens": self.prompt_tokens + new}

    async def pieces(self) -> AsyncIterator[Piece]:
        """What is new, as it comes, until every row has ended. Raises ApiError if a row fails."""
        unfinished = len(self.rows)
        while unfinished:
            piece = await self.queue.get()
            self.first_piece = self.first_piece or time.monotonic()
            if piece.error:
                self.cancel()
                self.is_over = True
                raise ApiError(500, piece.error)
            unfinished -= piece.finish is not None
            self.is_over = not unfinished
            yield piece

    async def choices(self) -> list[Choice]:
        """The whole answers, in the order of the rows. Raises ApiError if one fails."""
        choices = [Choice() for _ in self.rows]
        async for piece in self.pieces():
            choice = choices[piece.index]
            choice.text += piece.text
            choice.logprobs += piece.logprobs
            choice.finish = piece.finish or choice.finish
        return choices

    def cancel(self) -> None:
        """Free the rows, if they have not ended."""
        if not self.is_over:
            self.scheduler.cancel(self.rows)
