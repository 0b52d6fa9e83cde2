"""Serves the page at /, and what it asks for: the models with their test sets, and one example at a time"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pipeline.serving.example_sets import ExampleSet
from pipeline.serving.faults import ApiError
from pipeline.serving.service import Service


@dataclass(frozen=True)
class LocalPage:
    """The page, as text that holds nothing of this server, and its test sets."""

    html: str
    policy: str
    """Its content security policy."""
    sets: Sequence[ExampleSet] = ()


def add_routes(app: Any, service: Service, page: LocalPage) -> None:
    from fastapi import Path
    from fastapi.responses import HTMLResponse

    headers = {
        "Content-Security-Policy": page.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    async def html() -> Any:
        return HTMLResponse(page.html, headers=headers)

    async def setup() -> dict[str, Any]:
        return {
            "base": service.models[0],
            "models": list(service.models),
            "context_window": service.limits.context_window,
            "takes_turns": service.prompting.plain.chat,
            "test_sets": [examples.summary() for examples in page.sets],
        }

    async def example(task: str, index: Annotated[int, Path(ge=0)]) -> dict[str, Any]:
        examples = next((examples for examples in page.sets if examples.task == task), None)
        if examples is None or index >= len(examples.examples):
            raise ApiError(404, f"there is no example {index} of {task[:100]!r}")
        return examples.request(index)

    app.add_api_route("/", html, include_in_schema=False)
    app.add_api_route("/page/setup", setup)
    app.add_api_route("/page/examples/{task:path}/{index}", example)
