"""The child process of the sandbox: isolates itself, runs one generated program and reports how it ended.

`sandbox.py` starts it with the job as JSON on standard input; the report comes back as JSON on standard output. It uses
the standard library and `isolation` only. Each of three processes starts the next:

    outer    makes the namespaces (a PID namespace holds for children only), starts the keeper and waits for its end
    keeper   process 1 of the new namespaces: builds the root file system, starts the program, watches it. When it ends
             the kernel kills every process inside, whatever session or process group they hide in.
    program  drops all privileges, sets its limits, then runs the text
"""

import contextlib
import errno
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, NoReturn

from pipeline.sandbox import isolation

OUTPUT_TAIL_BYTES = 2000
"""Number of trailing bytes of output in the report."""
POLL_SECONDS = 0.02
"""Seconds between two checks of the processes of a program."""
FAST_POLL_SECONDS = 0.001
"""The same once all its streams are closed and it is about to end."""
NO_START = 70
OPEN_FILES = 64
QUOTA_ERRORS = {errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
FIXED_REASONS = {"assertion failed", "syntax error", "memory limit", "file limit", "process limit", "early exit"}


def main() -> NoReturn:
    job = json.loads(b"".join(iter(lambda: os.read(0, 1 << 16), b"")))
    answer, null = os.dup(1), os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.umask(0o022)
    try:
        isolation.write("/proc/self/oom_score_adj", "1000")  # if the memory of the machine runs out, these go first
        if job["jailed"]:
            isolation.enter(job)
        else:
            isolation.call("prctl", isolation.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        report = supervise(job)
    except OSError as error:
        report = {"broken": f"{error.strerror} ({error.filename})" if error.filename else str(error)}
    if not job["jailed"]:
        kill_rest()
    os.write(answer, json.dumps(report).encode())
    os._exit(0)


def supervise(job: dict[str, Any]) -> dict[str, Any]:
    """Start the program and monitor it to its end. Raises OSError if it cannot be started."""
    output_read, output_write = os.pipe()
    token_read, token_write = os.pipe()
    report_read, report_write = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            become_program(job, output_write, token_read, report_write)
        finally:
            os._exit(NO_START)
    for fd in (output_write, token_read, report_write):
        os.close(fd)
    # Made after the fork: the program's memory never holds it before it has come to its end.
    token = os.urandom(16).hex().encode()
    with contextlib.suppress(BrokenPipeError):  # a quick program may have ended already; its report is still to be read
        os.write(token_write, token)
    monitor = ProcessMonitor(pid, {output_read: b"", report_read: b""}, output_read, started + job["seconds"])
    reason = monitor.until_the_end(job)
    seconds = time.monotonic() - started
    message = monitor.read[report_read]
    if not message.startswith(b"ready\n") and not reason:
        raise OSError(errno.EPERM, message.decode("utf-8", "replace") or "it ended before it began", "limits")
    reason = reason or exit_reason(monitor.status, message.removeprefix(b"ready\n"), token)
    return {"reason": reason, "seconds": seconds, "output": monitor.read[output_read].decode("utf-8", "replace")}


class ProcessMonitor:
    """Watches the running program: its output (the last bytes) and whether it has ended."""

    def __init__(self, pid: int, read: dict[int, bytes], output: int, deadline: float) -> None:
        self.pid = pid
        self.read = read
        self.output = output
        self.deadline = deadline
        self.open = set(read)
        self.written = 0
        self.status = 0
        self.parent = os.getppid()
        for fd in read:
            os.set_blocking(fd, False)

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
                self.read[fd] = (self.read[fd] + new)[-OUTPUT_TAIL_BYTES:]
                self.written += len(new)
            else:
                self.read[fd] = (self.read[fd] + new)[:OUTPUT_TAIL_BYTES]
        return self.written <= max_bytes

    def reap(self) -> bool:
        """Collect the dead, orphans too; True once the program itself is among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == self.pid:
                self.status = status
                return True
            if not pid:
                return False


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


def exit_reason(status: int, message: bytes, token: bytes) -> str:
    """The reason, as listed in sandbox.py. What the program reports of itself is trusted only if it is not a pass."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return {"SIGXCPU": "time limit", "SIGXFSZ": "file limit"}.get(name, f"killed: {name}")
    if code == 0:
        return "passed" if message == token else "early exit"
    reported_reason = "".join(c if c.isprintable() else " " for c in message.decode("utf-8", "replace"))[:120]
    return reported_reason if reported_reason in FIXED_REASONS or reported_reason.startswith("error: ") else "early exit"


def become_program(job: dict[str, Any], output_write: int, token_read: int, report_write: int) -> NoReturn:
    """Turn this process into the program: set up streams, drop privileges, set limits, run the text."""
    os.setsid()
    os.dup2(output_write, 1)
    os.dup2(output_write, 2)
    # Unpredictable descriptors, above those that a program gets when it opens files.
    descriptor = 20 + os.urandom(1)[0] % 40
    token_read, report_write = os.dup2(token_read, descriptor, inheritable=False), os.dup2(report_write, descriptor + 1, inheritable=False)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in (0, 1, 2, token_read, report_write):
            os.closerange(fd, fd + 1)
    try:
        if job["jailed"]:
            isolation.give_up_rights()
        set_limits(job)
    except OSError as error:
        os.write(report_write, str(error).encode())
        os._exit(NO_START)
    os.write(report_write, b"ready\n")
    run_program(job["program"], token_read, report_write)


def set_limits(job: dict[str, Any]) -> None:
    cpu = job["cpu_seconds"]
    limits = {
        resource.RLIMIT_CPU: (cpu, cpu + 1),
        resource.RLIMIT_AS: (job["memory"],) * 2,
        resource.RLIMIT_FSIZE: (job["file"],) * 2,
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    if job["jailed"]:  # without a jail it would count every process of the user on the machine
        limits[resource.RLIMIT_NPROC] = (job["processes"],) * 2
    for which, (soft, hard) in limits.items():
        ceiling = resource.getrlimit(which)[1]
        bound = [value if ceiling == resource.RLIM_INFINITY else min(value, ceiling) for value in (soft, hard)]
        resource.setrlimit(which, (bound[0], bound[1]))


def run_program(text: str, token_read: int, report_write: int) -> NoReturn:
    """Run the text as a module called "program", so that a block under `if __name__ == "__main__"` is left out."""
    read = os.read
    write = os.write
    leave = os._exit
    getpid = os.getpid
    own_pid = os.getpid()
    module = type(sys)("program")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipeline"]:
        del sys.modules[name]
    sys.modules["program"] = module
    sys.argv = ["program"]
    compiled = False
    try:
        code = compile(text, "<program>", "exec", dont_inherit=True)
        compiled = True
        exec(code, module.__dict__)
    except BaseException as error:
        if getpid() == own_pid:
            write(report_write, (reason_of(error) if compiled else "syntax error").encode("utf-8", "replace"))
            print_traceback(error)
        leave(1)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass
    if getpid() == own_pid:  # a fork of the program does not report for it
        write(report_write, read(token_read, 32))
    leave(0)


def reason_of(error: BaseException) -> str:
    """The reason for an exception, as listed in sandbox.py."""
    if isinstance(error, AssertionError):
        return "assertion failed"
    if isinstance(error, SystemExit):
        return "early exit"
    if isinstance(error, MemoryError):
        return "memory limit"
    if isinstance(error, OSError) and error.errno in QUOTA_ERRORS:
        return "file limit"
    try:
        message = str(error)[:200].partition("\n")[0]
    except BaseException:
        message = ""
    if isinstance(error, BlockingIOError) or "start new thread" in message:
        return "process limit"
    return f"error: {type(error).__name__}: {message}"[:120]


def print_traceback(error: BaseException) -> None:
    """Print the traceback into the program's own output, as Python would."""
    try:
        sys.stdout.flush()
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without our own frame
        sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
    except BaseException:
        pass
