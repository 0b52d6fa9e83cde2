"""A server of `loralift serve` in a process of its own, and what it counts."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests import ROOT, foreign

SECONDS = 240


class Server:
    """Runs `loralift serve WORDS`; stop it with stop()."""

    def __init__(self, log: Path, *words: object, port: int = 0, **environ: str) -> None:
        """port: 0 for one that is free."""
        self.log = log
        command = [sys.executable, "-m", "pipeline", "serve", *map(str, words), "--port", str(port), "--device", "cpu"]
        with log.open("w") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, stdout=file, stderr=file)
        self.url = wait_for(self.announced)

    def announced(self) -> str:
        assert self.process.poll() is None, self.log.read_text()
        match = re.search(r"serving (http://\S+)/v1", self.log.read_text())
        return match[1] if match else ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> int:
        """Send SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(SECONDS)

    def client(self, key: str = "none"):
        """The official client, without tries of its own."""
        import openai

        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=SECONDS)

    def metric(self, name: str, key: str = "", **labels: str) -> float:
        """A value of /metrics; 0 where there is none yet."""
        return metric(read(f"{self.url}/metrics", key), name, **labels)

    def send(self, path: str, body: bytes, buffer: int = 1 << 20) -> socket.socket:
        """Send a request and leave the answer unread.

        Args:
            buffer: bytes of the answer that the system may take in meanwhile, about.
        """
        connection = socket.socket()
        connection.settimeout(SECONDS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect(("127.0.0.1", self.port))
        head = f"POST {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}\r\n".encode() + body)
        return connection


def endless_adapter(folder: Path, base: Path) -> Path:
    """Save an adapter whose answers go on until the context window is full."""
    foreign.adapter(folder, base, r=4)
    foreign.change_tensors(folder / "adapter_model.safetensors", lambda tensors: {name: value * 6 for name, value in tensors.items()})
    return folder


def metric(text: str, name: str, **labels: str) -> float:
    wanted = "".join(f'(?=.*{key}="{value}")' for key, value in labels.items())
    match = re.search(rf"^{name}(?:\{{{wanted}[^}}]*\}})? (\S+)$", text, re.M)
    return float(match[1]) if match else 0.0


def read(url: str, key: str = "") -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return response.read().decode()


def wait_for(condition):
    """The first true value of a function, which is called until then."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if value := condition():
                return value
        time.sleep(0.02)
    raise AssertionError("it did not come about")
