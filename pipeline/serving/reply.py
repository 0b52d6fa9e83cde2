"""Sends the answer to one request, whole or as a stream, and counts it; a client that goes away frees its rows."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from pipeline.serving.answers import Answer
from pipeline.serving.counters import Counters
from pipeline.serving.faults import ApiError
from pipeline.serving.responses import Form

GONE = 499
"""The status by which a request is counted whose client did not wait for the answer."""


class Reply:
    """
    Args:
        request: of starlette; its body has been read.
        model: id for the metrics; empty where none of that id is served.
    """

    def __init__(self, counters: Counters, request: Any, model: str, is_stream: bool) -> None:
        self.counters = counters
        self.request = request
        self.model = model
        self.is_stream = is_stream
        self.start = time.monotonic()

    async def counted(self, queued: Awaitable[Answer]) -> Answer:
        """The queued answer; a refusal is counted."""
        try:
            answer = await queued
        except ApiError as error:
            self.count(error.status)
            raise
        self.counters.prompt_tokens.labels(self.model).inc(answer.prompt_tokens)
        return answer

    def count(self, status: int, answer: Answer | None = None) -> None:
        self.counters.requests.labels(self.model, str(status)).inc()
        if answer:
            self.counters.new_tokens.labels(self.model).inc(answer.new_tokens)
            self.counters.duration.observe(time.monotonic() - self.start)
            if answer.first_piece is not None:
                self.counters.first_token.observe(answer.first_piece - self.start)

    async def respond(self, answer: Answer, form: Form) -> Any:
        """The response of starlette. Raises ApiError if the answer fails before it is sent."""
        return event_stream(self, answer, form) if self.is_stream else await self.whole(answer, form)

    async def whole(self, answer: Answer, form: Form) -> Any:
        from starlette.responses import JSONResponse, Response

        choices = asyncio.ensure_future(answer.choices())
        gone = asyncio.ensure_future(until_gone(self.request))
        try:
            await asyncio.wait({choices, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not choices.done():
                self.count(GONE, answer)
                return Response(status_code=GONE)  # nobody reads it
            body = form.whole(answer, choices.result())
            self.count(200, answer)
            return JSONResponse(body)
        except ApiError as error:
            self.count(error.status, answer)
            raise
        finally:
            answer.cancel()
            for task in (choices, gone):
                task.cancel()

    async def events(self, answer: Answer, form: Form) -> AsyncIterator[str]:
        """The events of a stream; an error is the last one."""
        try:
            for chunk in form.opening(answer):
                yield event(chunk)
            async for piece in answer.pieces():
                if piece.text or piece.logprobs or piece.finish:
                    yield event(form.chunk(piece))
        except ApiError as error:
            self.count(error.status, answer)
            yield event(error.body())
            return
        self.count(200, answer)
        if form.head.has_usage:
            yield event(form.usage_chunk(answer))
        yield "data: [DONE]\n\n"


def event_stream(reply: Reply, answer: Answer, form: Form) -> Any:
    """A response of server-sent events that gives its rows up when it ends, however it does."""
    from starlette.responses import StreamingResponse

    class EventStream(StreamingResponse):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await super().__call__(scope, receive, send)
            finally:
                if not answer.is_over:
                    reply.count(GONE, answer)
                answer.cancel()

    return EventStream(reply.events(answer, form), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


async def until_gone(request: Any) -> None:
    """Return when the client of a request, whose body has been read, is gone."""
    with contextlib.suppress(RuntimeError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
