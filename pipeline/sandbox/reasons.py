"""Why a program failed, in the words that sandbox.py lists."""

import errno

QUOTA_ERRORS = {errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
FIXED_REASONS = {"assertion failed", "syntax error", "memory limit", "file limit", "process limit", "early exit"}


def reported(message: bytes) -> str:
    """What a process says of its own failure; empty if that is no reason of ours."""
    reason = "".join(c if c.isprintable() else " " for c in message.decode("utf-8", "replace").rstrip("\n"))[:120]
    return reason if reason in FIXED_REASONS or reason.startswith("error: ") else ""


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
