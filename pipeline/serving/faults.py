"""Errors of the API in the form that OpenAI's has: {"error": {message, type, param, code}}."""

from collections.abc import Mapping
from typing import Any

INVALID = "invalid_request_error"
TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
"""By status; all others are INVALID."""


class ApiError(Exception):
    """A request that is not answered.

    Args:
        message: what is wrong, with the value; and what to do.
        param: the key of the request that it is about.
        code: for programs.
    """

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = headers

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": TYPES.get(self.status, INVALID), "param": self.param, "code": self.code}}

    def response(self) -> Any:
        """The response of starlette."""
        from starlette.responses import JSONResponse

        return JSONResponse(self.body(), self.status, headers=self.headers)


def of_validation(errors: list[Any]) -> ApiError:
    """The error of a body that is no JSON object of the right keys and types.

    Args:
        errors: of pydantic, or of FastAPI where the body is no JSON.
    """
    first = max((error for error in errors if error["loc"][:2] == errors[0]["loc"][:2]), key=lambda error: len(error["loc"]))
    place = ".".join(str(part) for part in first["loc"][1:] if not isinstance(part, str) or part.isidentifier())
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return ApiError(400, f"the body is not JSON: {reason}", code="invalid_json")
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"unknown parameter: {place[:100]}", place[:100], "unknown_parameter")
    return ApiError(400, f"{place or 'body'}: {first['msg'].removeprefix('Value error, ')}", place or None, "invalid_value")


def of_status(status: int, detail: str) -> ApiError:
    """The error of a status that the framework gives, such as 404 for a path that is not there."""
    return ApiError(status, detail)
