"""Refuses requests before they are read: for another host, without the key, or with a body that is too large."""

import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from pipeline.serving.faults import ApiError

MAX_BODY_BYTES = 4 << 20
"""Of a request; a prompt of 128,000 tokens has about half a megabyte."""
MAX_DRAINED_BYTES, MAX_DRAIN_SECONDS = 64 << 20, 10.0
"""Of a body that is too large so much is read and dropped, as a client that still sends would not see the answer."""
OPEN_PATHS = ("/", "/health")
"""Need no key: the page holds nothing of this server, and asks for the key."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Guard:
    """A middleware of ASGI.

    Args:
        key: without one everybody is served.
        hosts: names that the Host header may have; none: any. A page in a browser could else reach a server on loopback under a name of
            its own.
    """

    def __init__(self, app: Any, key: str, hosts: Sequence[str]) -> None:
        self.app = app
        self.key = key.encode()
        self.hosts = hosts

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self.check(scope["path"], dict(scope["headers"]))
        except ApiError as error:
            if error.status == 413:
                await drain(receive)
            await error.response()(scope, receive, send)
            return
        await self.app(scope, bounded(receive), send)

    def check(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Raise ApiError for a request that is not to be read."""
        host = headers.get(b"host", b"").decode("latin-1").rpartition(":")
        name = host[0] if host[1] and host[2].isdigit() else "".join(host)
        if self.hosts and name.strip("[]").lower() not in self.hosts:
            raise ApiError(403, f"the host {name[:100]!r} is not this server's; use {self.hosts[0]}")
        sent_key = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if self.key and path not in OPEN_PATHS and not hmac.compare_digest(sent_key, self.key):
            raise ApiError(401, "the key is missing or wrong; send Authorization: Bearer KEY", code="invalid_api_key")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > MAX_BODY_BYTES:
            raise too_large()


def too_large() -> ApiError:
    return ApiError(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes", code="body_too_large")


def bounded(receive: Receive) -> Receive:
    """Receive a body in chunks, of an unknown length, up to the limit."""
    size = 0

    async def read() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            from starlette.exceptions import HTTPException

            await drain(receive)
            raise HTTPException(413, too_large().message)
        return message

    return read


async def drain(receive: Receive) -> None:
    """Read the rest of a body and drop it."""
    size, start = 0, time.monotonic()
    while size < MAX_DRAINED_BYTES and time.monotonic() - start < MAX_DRAIN_SECONDS:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return
