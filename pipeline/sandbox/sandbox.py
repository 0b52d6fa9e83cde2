"""Runs generated programs in isolation, and reports whether each ran to its end, or why not.

Each program is a Python process of its own with the standard library and nothing else:

- user, mount, PID, network, IPC and host name namespaces of its own: it sees a read-only root file system with the
  interpreter only, no file of the user or the project, no other process, no network interface, not even loopback;
- an empty /tmp in memory as its folder, gone afterwards; standard input at its end; no variable of our environment;
- no capabilities, no way to gain any, no further user namespaces, no calls that reach memory or kernel beyond the limits
  (a seccomp filter, on x86-64 and 64-bit ARM); limits on time, memory, processes, files and output.

It works for root and for ordinary users. Where the kernel or a container forbids user namespaces, `run` refuses.

A program with tests of its own to pass (`ProgramAndTests`) runs in one process and its tests in another, which the program can
neither read nor write, see `tester.py`: the tests send it the arguments of their calls, take plain values back and compare
them there. What they expect is never in the program's memory, at no time, and what it returns equals nothing but itself. What
remains: an answer that can be guessed from the arguments; tests that ask the program's own functions or objects for a verdict
(`assert is_sorted(f(x))`, where `is_sorted` is its own, too); an object of its own class that is compared to another of its own.

Tests that hand over what cannot be copied (generators, not functions), derive classes from the program's, catch its exceptions
by name, or look at streams, modules, files or random states run in its process (`separate.py`). A text that is run alone has
passed if it ran to its last line: a keeper outside of it then hands it a random word, made after its start, which it must give
back before it exits with 0. `sys.exit(0)`, `os._exit(0)` or printed success do not pass. One that goes looking for the harness
in the frames or the open files of the process can give the word back itself, though, and one whose answers equal everything
meets every check. The metrics therefore run what passes so once more, with checks that no answer meets: who passes these as
well has not passed. What remains there is a program that reads its own checks in memory and tells the two runs apart. The
isolation around the process holds against all of them.

Reasons: "passed", "assertion failed", "error: TYPE: message", "syntax error", "early exit", "time limit", "memory limit",
"output limit", "process limit", "file limit" (too large, too many open or disk full), "killed: SIGNAL".
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError
from pipeline.sandbox import values
from pipeline.sandbox.separate import library_modules, replaced_builtins

GRACE = 60.0
"""Seconds that the start and end of the child may take on a busy machine, besides the time of the program."""
START = "import sys; sys.path.insert(0, sys.argv[1]); from pipeline.sandbox import child; del sys.path[0]; child.main()"
PROBE = "import collections, functools, hashlib, heapq, itertools, json, math, random, re, string, sys, typing"
ADVICE = "Allow user namespaces (in a container: run it privileged), or accept the risk with --unsafe-code."


@dataclass(frozen=True)
class Limits:
    """What one program may use."""

    seconds: float = 30.0
    """On the clock; longer than on a processor, as a busy machine makes a program wait."""
    cpu_seconds: int = 10
    """Of a processor, for each process; the slowest solution of HumanEval and MBPP, MBPP 123, took 2.4."""
    memory: int = 1 << 30
    """Bytes, for each process as address space and for all together as resident memory."""
    processes: int = 32
    """Processes and threads at one time."""
    file: int = 16 << 20
    """Bytes of one file."""
    disk: int = 64 << 20
    """Bytes in its folder."""
    output: int = 4 << 20
    """Bytes written to standard output and error together."""
    output_tail: int = 2000
    """Trailing bytes of that in the result."""


@dataclass(frozen=True)
class ProgramAndTests:
    """A program and tests that are run apart from it, see tester.py."""

    program: str
    tests: str
    helpers: str = ""
    """A text whose functions the tests may use besides the program's."""
    entry: str = ""
    """The name of the function under test, which is the program's even if `helpers` define it."""


@dataclass(frozen=True)
class Result:
    passed: bool
    reason: str
    seconds: float
    """On the clock, without the start of the child."""
    output: str
    """The end of its output, with the traceback of the error that ended it."""


def run(program: str | ProgramAndTests, limits: Limits = Limits(), unsafe: bool = False) -> Result:
    """Run the text of a Python program to its end or to a limit; no trace of it is left afterwards.

    With `unsafe` it runs even without isolation: then only the process limits hold, and the program can read and write all that
    the user can, and reach the network.

    Raises:
        MachineError: this machine cannot isolate the program and `unsafe` is not set, or Python does not start.
    """
    why_not = available()
    if why_not and not unsafe:
        raise MachineError(f"Generated code is not run: no sandbox on this machine ({why_not}).", ADVICE)
    return start(program, limits, jailed=not why_not)


def run_all(
    programs: Sequence[str | ProgramAndTests],
    limits: Limits = Limits(),
    unsafe: bool = False,
    workers: int | None = None,
) -> list[Result]:
    """The results of many programs in their order, `workers` at a time, by default one for each processor."""
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(partial(run, limits=limits, unsafe=unsafe), programs))


@cache
def available() -> str:
    """Empty if this machine can isolate generated code (tried once, for real), else the reason why not."""
    if sys.platform != "linux":
        return f"it needs Linux namespaces, this is {sys.platform}"
    try:
        result = start(PROBE, Limits(), jailed=True)
    except MachineError as error:
        return error.problem.removesuffix(".")
    return "" if result.passed else f"a first program failed in it: {result.reason}"


def start(program: str | ProgramAndTests, limits: Limits, jailed: bool) -> Result:
    """Start one child, send it the job and read its report."""
    with tempfile.TemporaryDirectory(prefix="loralift-") as folder:
        folder = str(Path(folder).resolve())
        tests = program if isinstance(program, ProgramAndTests) else None
        text = program.program if isinstance(program, ProgramAndTests) else program
        job = {"program": text, "tested": bool(tests), "folder": folder, "jailed": jailed, **asdict(limits)}
        messages = [json.dumps(message).encode() for message in (job, to_run_apart(tests) if tests else {})]
        home = "/tmp" if jailed else folder
        # A fixed hash seed: a program must not pass on one day and fail on the next by the order of a set.
        environment = {"HOME": home, "TMPDIR": home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-s", "-S", "-P", "-X", "utf8", "-c", START, str(Path(__file__).parents[2])]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=folder, start_new_session=True) as child:
            try:
                report, stderr = child.communicate(
                    b"".join(values.LENGTH.pack(len(message)) + message for message in messages), limits.seconds + GRACE
                )
            except subprocess.TimeoutExpired:
                return Result(False, "time limit", limits.seconds, "")
            finally:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
    return read(report, stderr, child.returncode)


def to_run_apart(tests: ProgramAndTests) -> dict[str, Any]:
    """What the process of the tests needs."""
    return {
        "tests": tests.tests,
        "helpers": tests.helpers,
        "entry": tests.entry,
        "modules": library_modules(tests.tests),
        "replaced": [tests.entry, *replaced_builtins(tests.tests)],
    }


def read(output: bytes, stderr: bytes, status: int) -> Result:
    """The result in the child's report. Raises MachineError if the child failed."""
    if not output:
        if status <= 0:  # the kernel ended the keeper or its parent, as it does where memory runs out
            return Result(False, "killed: SIGKILL", 0.0, "")
        last = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise MachineError(f"The process for generated code did not start: {last or f'{sys.executable} exits with {status}'}")
    report = json.loads(output)
    if "broken" in report:
        raise MachineError(report["broken"])
    return Result(report["reason"] == "passed", **report)
