"""The child process of the sandbox: isolates itself, runs one generated program and reports how it ended.

`sandbox.py` starts it with the job as JSON on standard input; the report comes back as JSON on standard output. It uses
the standard library and `isolation` only. Each of three processes starts the next:

    outer    makes the namespaces (a PID namespace holds for children only), starts the keeper and waits for its end
    keeper   process 1 of the new namespaces: builds the root file system, starts the program, watches it. When it ends
             the kernel kills every process inside, whatever session or process group they hide in.
    program  drops all privileges, sets its limits, then runs the text (`program.py`)
    tests    the keeper's second child, made once it has read the tests, which the program's memory therefore never held (`tester.py`)
"""

import contextlib
import errno
import json
import os
import resource
import select
import signal
import time
from typing import Any, NoReturn

from pipeline.sandbox import isolation, program, tester, values
from pipeline.sandbox.reasons import reported

REPORT_BYTES = 2000
"""Bytes that are read of what the program and its tests report of themselves."""
POLL_SECONDS = 0.02
"""Seconds between two checks of the processes of a program."""
FAST_POLL_SECONDS = 0.001
"""The same once all its streams are closed and it is about to end."""


def main() -> NoReturn:
    job = json.loads(values.receive(0) or b"")
    # The tests stay in the pipe until the program is a process: its memory is a copy of this one's.
    tests_read, answer, null = os.dup(0), os.dup(1), os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.umask(0o022)
    try:
        isolation.write("/proc/self/oom_score_adj", "1000")  # if the memory of the machine runs out, these go first
        if job["jailed"]:
            isolation.enter(job)
        else:
            isolation.call("prctl", isolation.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        report = supervise(job, tests_read)
    except OSError as error:
        report = {"broken": f"{error.strerror} ({error.filename})" if error.filename else str(error)}
    if not job["jailed"]:
        kill_rest()
    os.write(answer, json.dumps(report).encode())
    os._exit(0)


def supervise(job: dict[str, Any], tests_read: int) -> dict[str, Any]:
    """Start the program and its tests, and monitor them to their end. Raises OSError if the program cannot be started."""
    output_read, output_write = os.pipe()
    token_read, token_write = os.pipe()
    report_read, report_write = os.pipe()
    replies_read, replies_write = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            program.become_program(job, output_write, token_read, report_write, replies_write)
        finally:
            os._exit(program.NO_START)
    for fd in (token_read, report_write, replies_write):
        os.close(fd)
    monitor = ProcessMonitor(pid, {output_read: b"", report_read: b""}, output_read, started + job["seconds"], job["output_tail"])
    # Made after the fork: the program's memory never holds it before it has come to its end.
    token = os.urandom(16).hex().encode()
    if job["tested"]:
        start_tests(job, monitor, tests_read, output_write, (token_write, replies_read))
    else:
        with contextlib.suppress(BrokenPipeError):  # a quick program may have ended already; its report is still to be read
            os.write(token_write, token)
    os.close(output_write)
    reason = monitor.until_the_end(job)
    seconds = time.monotonic() - started
    message = monitor.read[report_read]
    if not message.startswith(b"ready\n") and not reason:
        raise OSError(errno.EPERM, message.decode("utf-8", "replace") or "it ended before it began", "limits")
    reason = (
        reason or monitor.verdict() or exit_reason(monitor.status(), message.removeprefix(b"ready\n"), None if job["tested"] else token)
    )
    return {"reason": reason, "seconds": seconds, "output": monitor.read[output_read].decode("utf-8", "replace")}


def start_tests(job: dict[str, Any], monitor: "ProcessMonitor", tests_read: int, output_write: int, channel: tuple[int, int]) -> None:
    """Read the tests and run them in a process whose memory and files the program cannot open."""
    isolation.call("prctl", isolation.PR_SET_DUMPABLE, 0, 0, 0, 0)
    tests = json.loads(values.receive(tests_read) or b"")
    verdict_read, verdict_write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            requests, replies, verdict = program.keep_streams(output_write, 20, [*channel, verdict_write])
            program.confine(job)
            isolation.call("prctl", isolation.PR_SET_DUMPABLE, 0, 0, 0, 0)
            reason, text = tester.run_tests(tests, requests, replies)
            os.write(2, text.encode("utf-8", "replace"))
            os.write(verdict, f"{reason[:200].replace(chr(10), ' ')}\n".encode("utf-8", "replace"))
        finally:
            os._exit(0)
    for fd in (*channel, verdict_write):
        os.close(fd)
    monitor.watch_tests(pid, verdict_read)


class ProcessMonitor:
    """Watches the running program and its tests: the output (the last bytes) and whether it is known how they ended."""

    def __init__(self, pid: int, read: dict[int, bytes], output: int, deadline: float, output_tail: int) -> None:
        self.pid = pid
        self.read = read
        self.output = output
        self.output_tail = output_tail
        self.deadline = deadline
        self.open = set(read)
        self.written = 0
        self.statuses: dict[int, int] = {}
        self.tests_pid = self.verdict_read = -1
        self.parent = os.getppid()
        for fd in read:
            os.set_blocking(fd, False)

    def watch_tests(self, pid: int, verdict_read: int) -> None:
        self.tests_pid = pid
        self.verdict_read = verdict_read
        self.read[verdict_read] = b""
        self.open.add(verdict_read)
        os.set_blocking(verdict_read, False)

    def verdict(self) -> str:
        """What the tests report: "passed" or why not; empty if they do not know."""
        message = self.read.get(self.verdict_read, b"")
        reason = message.decode("utf-8", "replace").rstrip("\n")
        if not message.endswith(b"\n") or reason == tester.LOST:
            return ""
        return reason if reason in ("passed", tester.CANNOT_SEND) else reported(message) or "early exit"

    def status(self) -> int:
        """How the program ended, or else its tests."""
        return self.statuses.get(self.pid, self.statuses.get(self.tests_pid, 0))

    def until_the_end(self, job: dict[str, Any]) -> str:
        """The limit that the program exceeded; empty if it ended by itself."""
        last_check = 0.0
        while True:
            remaining = self.deadline - time.monotonic()
            ready, _, _ = select.select(list(self.open), [], [], max(0.0, min(POLL_SECONDS if self.open else FAST_POLL_SECONDS, remaining)))
            over_output_limit = not self.drain(ready, job["output"])
            ended = self.reap()
            if ended:
                over_output_limit = over_output_limit or not self.drain(list(self.open), job["output"])
            if over_output_limit:
                return "output limit"
            if ended:
                return ""
            if remaining <= 0:
                return "time limit"
            if os.getppid() != self.parent:  # without isolation the keeper itself must notice that its parent is gone
                return "killed: SIGKILL"
            if (now := time.monotonic()) - last_check >= POLL_SECONDS:
                last_check = now
                if limit := exceeded_limit(job):
                    return limit

    def drain(self, ready: list[int], max_bytes: int) -> bool:
        """Read what the pipes hold; False if the program has written more than allowed."""
        for fd in ready:
            try:
                new = os.read(fd, 1 << 16)
            except BlockingIOError:
                continue
            if not new:
                self.open.discard(fd)
            if fd == self.output:
                self.read[fd] = (self.read[fd] + new)[-self.output_tail :]
                self.written += len(new)
            else:
                self.read[fd] = (self.read[fd] + new)[:REPORT_BYTES]
        return self.written <= max_bytes

    def reap(self) -> bool:
        """Collect the dead, orphans too; True once the program is among them, or its tests have come to an end of their own."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if not pid:
                break
            self.statuses[pid] = status
        tests_died = self.tests_pid in self.statuses and not self.read[self.verdict_read]
        return self.pid in self.statuses or tests_died or bool(self.verdict())


def exceeded_limit(job: dict[str, Any]) -> str:
    """The limit that the processes of the program together exceed, if any."""
    count, pages = 0, 0
    for pid in descendants():
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                pages += int(file.read().split()[1])
            count += 1
        except (OSError, IndexError):
            continue
    if pages * resource.getpagesize() > job["memory"]:
        return "memory limit"
    return "process limit" if count > job["processes"] else ""


def descendants() -> list[int]:
    """All descendants of this process, which adopts orphans as process 1 or subreaper."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    pids: set[int] = set()
    new = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in new} - pids:
        pids |= new
    return sorted(pids)


def kill_rest() -> None:
    """Without a PID namespace: kill the descendants until none is left; this process adopts every new orphan."""
    while pids := descendants():
        for send in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, send)
                except OSError:
                    continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def exit_reason(status: int, message: bytes, token: bytes | None) -> str:
    """The reason, as listed in sandbox.py. What the program reports of itself is a pass only if it is the `token`, where it has one."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return {"SIGXCPU": "time limit", "SIGXFSZ": "file limit"}.get(name, f"killed: {name}")
    if code == 0:
        return "passed" if token and message == token else "early exit"
    return reported(message) or "early exit"
