"""Builds the application: the routes of OpenAI's API, the page at /, /health and /metrics."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipeline.serving import local_page
from pipeline.serving.faults import ApiError, of_status, of_validation
from pipeline.serving.local_page import LocalPage
from pipeline.serving.reply import Reply
from pipeline.serving.requests import ChatRequest, CompletionRequest
from pipeline.serving.responses import ChatForm, CompletionForm, Head
from pipeline.serving.service import Service


def build(service: Service, page: LocalPage) -> Any:
    """The application of FastAPI."""
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        service.scheduler.start(asyncio.get_running_loop())
        yield
        await asyncio.to_thread(service.scheduler.stop)

    app = FastAPI(title="loralift serve", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_answer_routes(app, service)
    add_model_routes(app, service)
    add_status_routes(app, service)
    local_page.add_routes(app, service, page)
    add_error_handlers(app)
    return app


def add_answer_routes(app: Any, service: Service) -> None:
    from fastapi import Request

    async def chat(body: ChatRequest, request: Request) -> Any:
        reply = Reply(service.counters, request, service.label(body.model), bool(body.stream))
        answer = await reply.counted(service.answer_chat(body))
        head = Head(body.model, "chatcmpl", body.has_usage)
        return await reply.respond(answer, ChatForm(head, service.token_text, bool(body.logprobs)))

    async def completion(body: CompletionRequest, request: Request) -> Any:
        reply = Reply(service.counters, request, service.label(body.model), bool(body.stream))
        answer = await reply.counted(service.answer_completion(body))
        head = Head(body.model, "cmpl", body.has_usage)
        return await reply.respond(answer, CompletionForm(head, service.token_text, body.logprobs is not None))

    app.add_api_route("/v1/chat/completions", chat, methods=["POST"])
    app.add_api_route("/v1/completions", completion, methods=["POST"])


def add_model_routes(app: Any, service: Service) -> None:
    start = int(time.time())

    def described(model: str) -> dict[str, Any]:
        base = service.models[0]
        return {"id": model, "object": "model", "created": start, "owned_by": "loralift", "parent": base if model != base else None}

    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [described(model) for model in service.models]}

    async def one_model(model: str) -> dict[str, Any]:
        service.check_model(model)
        return described(model)

    app.add_api_route("/v1/models", models)
    app.add_api_route("/v1/models/{model:path}", one_model)


def add_status_routes(app: Any, service: Service) -> None:
    from fastapi import Response
    from fastapi.responses import JSONResponse

    async def health() -> Any:
        is_working = service.scheduler.is_working
        return JSONResponse({"status": "ok" if is_working else "stopping"}, 200 if is_working else 503)

    async def metrics() -> Any:
        from prometheus_client import CONTENT_TYPE_LATEST

        service.counters.load.update(service.scheduler.load())
        return Response(service.counters.text(), media_type=CONTENT_TYPE_LATEST)

    app.add_api_route("/health", health)
    app.add_api_route("/metrics", metrics)


def add_error_handlers(app: Any) -> None:
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    async def fault(_: Any, error: ApiError) -> Any:
        return error.response()

    async def invalid(_: Any, error: RequestValidationError) -> Any:
        return of_validation(list(error.errors())).response()

    async def status(_: Any, error: HTTPException) -> Any:
        return of_status(error.status_code, str(error.detail)).response()

    async def crash(_: Any, error: Exception) -> Any:
        return ApiError(500, f"the server failed: {type(error).__name__}").response()

    for kind, handler in ((ApiError, fault), (RequestValidationError, invalid), (HTTPException, status), (Exception, crash)):
        app.add_exception_handler(kind, handler)
