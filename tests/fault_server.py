"""An OpenAI-compatible server on loopback that fails as it is told to, for tests of the real client.

    with FaultServer() as server:
        server.faults["the prompt"] = [BUSY, CUT]     # the first two requests for it; the third is answered
        ask(server.endpoint)
        assert server.requests["the prompt"] == 3

A fault is what a request gets instead of its answer: a status, a body, headers, or a connection that ends early or never says a word.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Fault:
    status: int = 200
    body: Any = ""
    """A string is sent as it is, anything else as JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before it is sent."""
    kind: str = ""
    """`cut`: half the body, then the connection ends. `stall`: nothing, until the server ends. `drip`: a byte now and then.
    `endless`: blanks."""


def refusing(status: int, message: str, code: str | None = None, **headers: str) -> Fault:
    """An error as OpenAI words it."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return Fault(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


BUSY = refusing(429, "Rate limit reached")
CUT = Fault(kind="cut")
STALL = Fault(kind="stall")


def completion(prompt: str, text: str | None, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """The body of an answer; words count as tokens."""
    return {
        "id": "one",
        "object": "chat.completion",
        "created": 0,
        "model": "fault-1",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
        "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": len((text or "").split()), "total_tokens": 0},
    }


class FaultServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, key: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server_port}/v1"
        self.key = key
        """Requests without it get a 401 that repeats what they brought."""
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        """What the next requests for a prompt get, one each."""
        self.always: Fault | None = None
        self.answer: Callable[[str], dict[str, Any]] = lambda prompt: completion(prompt, f"You said: {prompt}")
        self.requests: Counter[str] = Counter()
        """Requests by prompt."""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        """In lower case."""
        self.paths: list[str] = []
        self.together = 1
        """A request for any prompt but the first waits until so many are here, or for two seconds."""
        self.here = self.most_here = 0
        self.lock, self.ended = threading.Condition(), threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may stop reading; nothing else is expected."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultServer

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt, server = body["messages"][-1]["content"], self.server
        with server.lock:
            server.requests[prompt] += 1
            server.bodies.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.paths.append(self.path)
            server.here += 1
            server.most_here = max(server.most_here, server.here)
            server.lock.notify_all()
            if len(server.requests) > 1:
                server.lock.wait_for(lambda: server.most_here >= server.together, 2.0)
            fault = server.faults[prompt].pop(0) if server.faults[prompt] else server.always
            server.here -= 1
        brought = self.headers.get("Authorization", "")
        if server.key and brought != f"Bearer {server.key}":
            fault = refusing(401, f"Incorrect API key provided: {brought}", "invalid_api_key")
        self.reply(fault or Fault(body=server.answer(prompt)))

    def reply(self, fault: Fault) -> None:
        if fault.kind == "stall":
            self.server.ended.wait(30)
            self.close_connection = True
            return
        if fault.kind in ("drip", "endless"):
            self.send_for_ever(b" " if fault.kind == "drip" else b" " * (1 << 16), 0.05 if fault.kind == "drip" else 0.0)
            return
        time.sleep(fault.delay)
        body = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
        if fault.kind == "cut":
            body = json.dumps(completion("", "half of an answer"))
        raw = body.encode()
        self.send_response(fault.status)
        for name, value in {"Content-Type": "application/json", **fault.headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if fault.kind == "cut" else raw)
        self.close_connection = fault.kind == "cut"

    def send_for_ever(self, part: bytes, seconds: float) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        while not self.server.ended.wait(seconds):
            try:
                self.wfile.write(part)
            except OSError:
                return
