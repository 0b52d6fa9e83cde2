"""Turns requests into rows: checks the model, renders the prompt as for training, checks its length, and queues what is to be answered."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.serving.answers import Answer
from pipeline.serving.counters import Counters
from pipeline.serving.faults import ApiError
from pipeline.serving.prompting import Prompting
from pipeline.serving.requests import AnswerRequest, ChatRequest, CompletionRequest
from pipeline.serving.rows import Piece, RowRequest
from pipeline.serving.scheduler import QueueFullError, Scheduler, StoppingError
from pipeline.store.records import Prompt

LAST_SEED = 2**63 - 1


@dataclass(frozen=True)
class ModelLimits:
    """What the base sets for every answer."""

    context_window: int
    """Tokens of prompt and answer together."""
    vocabulary: int
    eos_ids: tuple[int, ...]


class Service:
    """
    Args:
        models: ids of the base, which is the first, and of its adapters.
        prompting: its renderers are used in one thread alone.
    """

    def __init__(self, models: Sequence[str], limits: ModelLimits, prompting: Prompting, scheduler: Scheduler, counters: Counters) -> None:
        self.models = tuple(models)
        self.limits = limits
        self.prompting = prompting
        self.scheduler = scheduler
        self.counters = counters
        self.rendering = ThreadPoolExecutor(1, "render")  # a tokenizer must not be used by two threads at once

    def check_model(self, model: str) -> None:
        """Raise ApiError for an id that is not served."""
        if model not in self.models:
            served = ", ".join(self.models[:5]) + (", ..." if len(self.models) > 5 else "")
            raise ApiError(404, f"the model {model[:100]!r} is not served; served: {served}", "model", "model_not_found")

    def label(self, model: str) -> str:
        """The id for metrics; empty where none of that id is served."""
        return model if model in self.models else ""

    async def answer_chat(self, body: ChatRequest) -> Answer:
        """Queue the answer to a conversation. Raises ApiError."""
        self.check_model(body.model)
        prompt, new_tokens, logprobs = body.prompt(), body.new_tokens, body.logprob_count
        ids = await self.in_rendering(lambda: self.chat_ids(prompt, self.prompting.of(body.model, body.thinks)))
        return self.answer(body, [ids], new_tokens, logprobs)

    async def answer_completion(self, body: CompletionRequest) -> Answer:
        """Queue the continuations of texts. Raises ApiError."""
        self.check_model(body.model)
        prompts = body.prompts()
        ids = await self.in_rendering(lambda: [self.completion_ids(prompt) for prompt in prompts])
        return self.answer(body, ids, body.new_tokens, body.logprob_count)

    async def in_rendering(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.rendering, work)

    def chat_ids(self, prompt: Prompt, render: Renderer) -> list[int]:
        """The ids of a conversation, as training renders it. Raises ApiError if the chat template refuses it, or there is none."""
        try:
            return render.prompt_ids(prompt)
        except ChatTemplateError as error:
            raise ApiError(400, f"{error.problem}", "messages") from None

    def completion_ids(self, prompt: str | list[int]) -> list[int]:
        """The ids of a raw text, in which control tokens are tokens; it gets the start token that every text gets, once.

        Raises:
            ApiError: an id is none of this vocabulary, or there is no token at all.
        """
        if not isinstance(prompt, str):
            if max(prompt) >= self.limits.vocabulary:
                raise ApiError(400, f"prompt: {max(prompt)} is no token id; there are {self.limits.vocabulary:,}", "prompt")
            return prompt
        tokenizer = self.prompting.plain.tokenizer
        ids: list[int] = tokenizer(self.prompting.plain.without_start(prompt))["input_ids"]
        if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id and not prompt.endswith(tokenizer.eos_token):
            ids = ids[:-1]
        if not ids:
            raise ApiError(400, "prompt: the text has no tokens", "prompt")
        return ids

    def answer(self, body: AnswerRequest, prompts: list[list[int]], new_tokens: int | None, logprobs: int | None) -> Answer:
        """Queue the rows of a request. Raises ApiError if a prompt is too long, or too much is queued."""
        seed = body.seed if body.seed is not None else secrets.randbits(63)
        requests = [
            RowRequest(
                tuple(ids),
                body.model,
                self.new_tokens(len(ids), new_tokens),
                self.limits.eos_ids,
                body.stop_strings,
                body.temperature or 0.0,
                1.0 if body.top_p is None else body.top_p,
                (seed + choice) & LAST_SEED,
                logprobs,
            )
            for ids in prompts
            for choice in range(body.choices)
        ]
        if len(requests) > self.scheduler.queue:
            raise ApiError(400, f"{len(requests)} answers requested; the queue holds {self.scheduler.queue}", "n")
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        try:
            rows = self.scheduler.submit(requests, pieces)
        except QueueFullError as error:
            raise ApiError(429, f"too many requests; {error}", code="queue_full", headers={"Retry-After": str(error.after)}) from None
        except StoppingError:
            raise ApiError(503, "the server is shutting down", headers={"Retry-After": "10"}) from None
        return Answer(self.scheduler, rows, pieces, sum(map(len, prompts)))

    def new_tokens(self, prompt_tokens: int, wanted: int | None) -> int:
        """Tokens of an answer, at most. Raises ApiError if the context window has no room for them."""
        window = self.limits.context_window
        room = window - prompt_tokens
        if room < (wanted or 1):
            sizes = f"{prompt_tokens:,} tokens of prompt" + (f" and {wanted:,} of answer" if wanted else "")
            problem = f"{sizes} exceed the context window of {window:,} tokens"
            raise ApiError(400, f"{problem}; shorten the prompt or lower max_tokens", "messages", "context_length_exceeded")
        return wanted or room

    def token_text(self, token: int) -> str:
        """The text of one token, special ones spelled out."""
        return str(self.prompting.plain.tokenizer.decode([token]))
