"""Connects to an OpenAI-compatible endpoint: its address, key and client, and what its errors mean.

The key is read from the environment when needed, and never appears in a message, row or repr.
"""

import math
import os
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import MachineError, ModelError, RecipeError
from pipeline.machine import EndpointSettings, RetryPolicy

TRANSIENT_STATUSES = (408, 409, 425, 429)
"""Statuses below 500 after which a retry may succeed."""
UNREACHABLE_ERRORS = ("ConnectError", "ConnectTimeout", "ProxyError")
MIN_SECRET_LENGTH = 12
"""Shorter keys are placeholders of local servers, such as `EMPTY`, and may occur in an answer by chance."""


MAX_BODY_BYTES = 1 << 24
"""Of an answer; the longest answers of models have less than a megabyte."""


class OversizedError(Exception):
    """A body is larger than MAX_BODY_BYTES."""


class BusyError(Exception):
    """A transient failure of one try. `after`: the wait in seconds that the server requests."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.after = after


def check_address(endpoint: str) -> None:
    """Raise RecipeError unless this is a plain http(s) base URL: one that holds a key would be written into manifests."""
    try:
        parts = urlsplit(endpoint)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        address = re.split("[?#]", endpoint.rpartition("@")[2])[0]  # leave out a password or a key before or after it
        raise RecipeError(f"endpoint '{address}' is not an http or https address", "Give the base URL, as https://api.openai.com/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise RecipeError(
            f"the endpoint at {parts.hostname} holds a user, a query or a fragment",
            "Give the base URL alone, and the name of the variable with the key as key_env.",
        )


def on_this_machine(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def ready_key(settings: EndpointSettings, offline: bool) -> str:
    """The API key of an endpoint that is reachable from this machine; empty if none is needed.

    Raises:
        RecipeError: the endpoint is not a base URL.
        MachineError: offline, no openai package or no key.
    """
    check_address(settings.endpoint)
    if offline and not on_this_machine(settings.endpoint):
        problem = f"reference {settings.model}: HF_HUB_OFFLINE is set, and {settings.endpoint} is not on this machine"
        raise MachineError(problem, "Unset HF_HUB_OFFLINE to use the endpoint.")
    if find_spec("openai") is None:
        raise MachineError(f"reference {settings.model}: the package openai is not installed", "pip install 'loralift[references]'")
    return key_of(settings)


def key_of(settings: EndpointSettings) -> str:
    """The API key from the environment; empty if none is needed.

    Raises:
        MachineError: the variable is not set, or cannot be a key.
    """
    if not settings.key_env:
        return ""
    key = os.environ.get(settings.key_env, "").strip()
    if not key:
        raise MachineError(
            f"reference {settings.model}: no key, the environment variable {settings.key_env} is not set",
            f"export {settings.key_env}=..., or write key_env: '' for a server without keys.",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise MachineError(
            f"reference {settings.model}: {settings.key_env} does not hold a key, but blanks, line ends or other characters",
            f"Set {settings.key_env} again.",
        )
    return key


@dataclass(frozen=True)
class Endpoint:
    """One endpoint with its key and its error messages."""

    settings: EndpointSettings
    key: str = field(repr=False)

    def connect(self) -> Any:
        """An openai.AsyncOpenAI whose own retries and redirects are off. Organization and project of the environment are left out: they
        may be meant for another server."""
        import openai

        patience = self.settings.patience
        is_local = on_this_machine(self.settings.endpoint)
        limits = openai.Timeout(patience.timeout, connect=min(10.0, patience.timeout))
        client = openai.AsyncOpenAI(
            api_key=self.key or "none",
            base_url=self.settings.endpoint,
            default_headers={"Authorization": f"Bearer {self.key}"},  # wins over OPENAI_CUSTOM_HEADERS
            max_retries=0,
            timeout=limits,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=limits, follow_redirects=False, trust_env=not is_local, event_hooks={"response": [read_bounded]}
            ),
        )
        client.organization = client.project = None
        return client

    def headers(self) -> dict[str, Any]:
        """Headers that keep the client from sending a key if there is none."""
        import openai

        return {} if self.key else {"Authorization": openai.Omit()}

    def status_fault(self, error: Any) -> Exception:
        """What an openai.APIStatusError means: BusyError if it may pass, else a ModelError that quotes the server."""
        status = int(error.status_code)
        message = self.hidden(message_of(error.body) or str(error.message))
        if error.code == "insufficient_quota":
            return self.fault(f"says that the quota is used up ({status}): {message}", "Raise it with the provider.")
        if status in TRANSIENT_STATUSES or status >= 500:
            return BusyError(f"{status}: {message}", retry_after(error.response.headers))
        variable = self.settings.key_env or "an environment variable, named by key_env"
        if status == 401:  # the server's words may hold parts of the key
            return self.fault("refuses the key (401)", f"Put the right key into {variable}.")
        remedy = {
            403: f"The key in {variable} may not use this model."
            if self.settings.key_env
            else "It may need a key: name its variable by key_env.",
            404: "Check the model's name, and the endpoint, which mostly ends in /v1.",
        }.get(status, "The same request would fail again." if status >= 400 else "It is a redirect: give the address that it leads to.")
        return self.fault(f"answers {status}: {message}", remedy)

    def connection_fault(self, error: Exception, answered: bool) -> Exception:
        """What an openai.APIConnectionError means: BusyError, unless the server was never reachable.

        answered: whether this run has had an answer.
        """
        cause = error.__cause__ or error
        message = self.hidden(str(cause) or type(cause).__name__)
        if not answered and type(cause).__name__ in UNREACHABLE_ERRORS:
            return self.fault(f"cannot be reached: {message}", "Start the server, or check the endpoint.")
        timed_out = type(error).__name__ == "APITimeoutError"
        return BusyError(f"nothing came in {self.settings.patience.timeout:g} s" if timed_out else f"the connection was cut: {message}")

    def size_fault(self) -> ModelError:
        return self.fault(f"sends more than {MAX_BODY_BYTES:,} bytes for one answer", "Check the endpoint.")

    def body_of(self, response: Any) -> dict[str, Any]:
        """The JSON object of a response with status 200, with a list of choices. Some proxies report errors with this status."""
        try:
            body = response.json()
        except (ValueError, RecursionError):
            raise BusyError("the response is not JSON") from None
        if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
            raise BusyError(f"the response holds no choices: {self.hidden(message_of(body))}")
        return body

    def fault(self, problem: str, remedy: str) -> ModelError:
        return ModelError(f"reference {self.settings.model} at {self.settings.endpoint} {problem}", remedy)

    def hidden(self, message: str) -> str:
        """A server's message on one line, without the key."""
        message = " ".join((message.replace(self.key, "***") if self.key else message).split())
        return message if len(message) <= 200 else f"{message[:197]}..."

    def cleaned(self, text: str) -> str:
        """An answer without the key, which a server may repeat, and without unpaired surrogates."""
        text = text.replace(self.key, "***") if len(self.key) >= MIN_SECRET_LENGTH else text
        return text.encode("utf-8", "replace").decode("utf-8")


async def read_bounded(response: Any) -> None:
    """Read the body of a response, decompressed, up to MAX_BODY_BYTES.

    Raises:
        OversizedError: it is larger, or has no end.
    """
    parts, size = [], 0
    async for part in response.aiter_bytes(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise OversizedError
    response._content = b"".join(parts)  # where the client keeps a body that is read


def message_of(body: object, depth: int = 3) -> str:
    """The message in an error body, which comes in several shapes."""
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and name in body and depth:
            return message_of(body[name], depth - 1)
    try:
        return "" if body is None else str(body)[:2000]
    except RecursionError:
        return "a body that is nested too deeply"


def backoff_seconds(patience: RetryPolicy, tries: int, after: float | None) -> float:
    """Seconds before the next try: exponential back-off with jitter, and at least what the server requests."""
    own = min(patience.longest, patience.first * 2.0 ** (tries - 1)) * random.uniform(0.5, 1.0)
    return own if after is None else max(own, after * random.uniform(1.0, 1.1))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After (RFC 9110: seconds or a date) or from OpenAI's retry-after-ms; None if absent."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, OverflowError):
                continue
        if math.isfinite(seconds):
            return seconds
    return None
