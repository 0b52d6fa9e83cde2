"""Runs vLLM's server in a process of its own: waits until it answers, hands signals on, and ends with it"""

import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import MachineError
from pipeline.sandbox import isolation
from pipeline.serving.server import GRACE_SECONDS

EARLIEST = (0, 33)
"""Earlier versions have other options, or read scales of single modules otherwise."""
INSTALL = "pip install 'loralift[vllm]', or put the vllm of another environment on PATH."
SECONDS_TO_IMPORT = 120
PATIENCE = 30
"""Seconds beyond those in which vLLM finishes its requests; then it is killed."""


def find() -> str:
    """The command `vllm` of this environment, else on PATH. Raises MachineError if there is none, or it is too old."""
    executable = shutil.which("vllm", path=str(Path(sys.executable).parent)) or shutil.which("vllm")
    if executable is None:
        raise MachineError("--engine vllm: vLLM is not installed", INSTALL)
    answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=SECONDS_TO_IMPORT, check=False)
    match = re.search(r"(\d+)\.(\d+)\S*", answer.stdout)
    if answer.returncode or not match:
        last = (answer.stderr.strip().splitlines() or ["nothing"])[-1]
        raise MachineError(f"--engine vllm: {executable} --version does not answer; it printed: {last[:200]}", INSTALL)
    if (int(match[1]), int(match[2])) < EARLIEST:
        needed = ".".join(map(str, EARLIEST))
        raise MachineError(f"--engine vllm: {executable} is version {match[0]}; {needed} or later is needed", INSTALL)
    return executable


def serve(command: Sequence[str], environ: Mapping[str, str], url: str, announce: Callable[[str], None]) -> None:
    """Run a server until it ends, or a signal ends it.

    Args:
        command: with its arguments.
        url: where it listens, for this machine.
        announce: called with the URL once it answers.

    Raises:
        MachineError: it ended by itself.
    """
    process = subprocess.Popen(command, env=dict(environ), start_new_session=True, preexec_fn=end_with_parent)  # noqa: PLW1509
    stops: list[int] = []

    def stop(number: int, _: object) -> None:
        stops.append(number)
        process.terminate()

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        wait_for_answer(process, url, announce)
        wait_for_end(process, stops)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.kill()
            process.wait()
    if not stops:
        raise MachineError(f"vLLM ended by itself, with exit code {process.returncode}", "What it printed above says why.")


def end_with_parent() -> None:
    """Let the new process end when this one is killed; Linux alone can do it, and vLLM runs nowhere else."""
    if sys.platform == "linux":
        isolation.call("prctl", isolation.PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def wait_for_answer(process: "subprocess.Popen[bytes]", url: str, announce: Callable[[str], None]) -> None:
    """Announce the server once /health answers; returns also if it ends before."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                announce(url)
                return
        except OSError:  # not there yet
            time.sleep(0.2)


def wait_for_end(process: "subprocess.Popen[bytes]", stops: Sequence[int]) -> None:
    """Wait until the server ends; once it was told to, no longer than it may take."""
    while not stops and process.poll() is None:
        time.sleep(0.2)
    try:
        process.wait(GRACE_SECONDS + PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
