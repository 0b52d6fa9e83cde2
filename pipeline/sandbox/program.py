"""The process of a generated program: drops all privileges, sets its limits, runs the text, then serves its tests."""

import os
import resource
import sys
from typing import Any, NoReturn

from pipeline.sandbox import isolation
from pipeline.sandbox.reasons import reason_of
from pipeline.sandbox.server import Server

NO_START = 70
OPEN_FILES = 64


def become_program(job: dict[str, Any], output_write: int, token_read: int, report_write: int, replies_write: int) -> NoReturn:
    """Turn this process into the program: set up streams, drop privileges, set limits, run the text.

    `token_read` gives the keeper's word, or the requests of the tests where they are a process of their own.
    """
    # Unpredictable descriptors, above those that a program gets when it opens files.
    first = 20 + os.urandom(1)[0] % 40
    token_read, report_write, replies_write = keep_streams(output_write, first, [token_read, report_write, replies_write])
    try:
        confine(job)
    except OSError as error:
        os.write(report_write, str(error).encode())
        os._exit(NO_START)
    os.write(report_write, b"ready\n")
    run_program(job["program"], token_read, report_write, replies_write if job["tested"] else None)


def keep_streams(output_write: int, first: int, keep: list[int]) -> list[int]:
    """Write to the pipe of the output, move the descriptors to `keep` to numbers from `first` on, and close all others."""
    os.setsid()
    os.dup2(output_write, 1)
    os.dup2(output_write, 2)
    moved = [os.dup2(fd, first + index, inheritable=False) for index, fd in enumerate(keep)]
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in (0, 1, 2, *moved):
            os.closerange(fd, fd + 1)
    return moved


def confine(job: dict[str, Any]) -> None:
    if job["jailed"]:
        isolation.give_up_rights()
    set_limits(job)


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


def run_program(text: str, token_read: int, report_write: int, replies_write: int | None) -> NoReturn:
    """Run the text as a module called "program", so that a block under `if __name__ == "__main__"` is left out.

    Without `replies_write` its tests are part of it: it then hands back the keeper's word.
    """
    read = os.read
    write = os.write
    leave = os._exit
    getpid = os.getpid
    own_pid = os.getpid()
    server = Server(reason_of)
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
    if getpid() != own_pid:  # a fork of the program does not report for it
        leave(0)
    if replies_write is None:
        write(report_write, read(token_read, 32))
    else:
        server.serve(module.__dict__, token_read, replies_write)
    leave(0)


def print_traceback(error: BaseException) -> None:
    """Print the traceback into the program's own output, as Python would."""
    try:
        sys.stdout.flush()
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without our own frame
        sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
    except BaseException:
        pass
