"""Explains disk errors: full, read-only, file too large, no permission, a link loop, a deleted store; waits for a store that is away."""

import errno
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.errors import DiskError, UserError
from pipeline.progress import say

CHOOSE_FOLDER = "Choose another folder with --store."
PERMISSION = ("no permission", "Choose another folder with --store, or change the folder's permissions.")
FREE_SPACE = "Free some space and run the same command again; finished work is kept."
EXPLANATIONS = {
    errno.ENOSPC: ("the disk is full", FREE_SPACE),
    errno.EDQUOT: ("the disk quota is used up", FREE_SPACE),
    errno.EFBIG: ("the file would be larger than this process may write", "Raise the limit (`ulimit -f`), and run the same command again."),
    errno.EROFS: ("the disk is read-only", CHOOSE_FOLDER),
    errno.EACCES: PERMISSION,
    errno.EPERM: PERMISSION,
    errno.ELOOP: ("its links lead in a circle", CHOOSE_FOLDER),
    errno.ENOTDIR: ("a part of the path is not a folder", CHOOSE_FOLDER),
    errno.EEXIST: ("a file has the name of the folder", CHOOSE_FOLDER),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter folder with --store, or a shorter name in the recipe."),
    errno.EIO: ("the disk reports an error", "Look at the disk, and run the same command again."),
    errno.ESTALE: ("the network disk has lost it", "Mount it again, and run the same command again."),
    errno.ENOTCONN: ("the network disk is not connected", "Mount it again, and run the same command again."),
    errno.ETIMEDOUT: ("the network disk does not answer", "Look at the network, and run the same command again."),
    errno.EHOSTDOWN: ("the machine that has the disk is down", "Run the same command again when it is up."),
    errno.EHOSTUNREACH: ("the machine that has the disk cannot be reached", "Look at the network, and run the same command again."),
    errno.EMFILE: ("too many files are open", "Raise the limit (`ulimit -n`), and run the same command again."),
}
"""Error number to (what is wrong, what to do)."""
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
OF_SOCKETS_TOO = (errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH)
"""Error numbers that are of a disk only if they come with the name of a file."""
AWAY = (errno.EIO, errno.ESTALE, *OF_SOCKETS_TOO)
"""What a network disk answers while it is away."""
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between the tries to reach a disk that is away: a minute in all."""
Result = TypeVar("Result")
RUST_ERROR_NUMBER = re.compile(r"os error (\d+)|Os \{ code: (\d+)")
"""How libraries written in Rust print an errno."""


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn disk errors into a message that a user can act on.

    Args:
        folder: the folder written to; if it was deleted meanwhile, the message says so.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if explained := explanation(error, folder):
            raise explained from error
        raise


def explanation(error: BaseException, folder: Path) -> DiskError | None:
    """What a user can do about a disk error; None for any other error."""
    number, name = number_of(error)
    if number == errno.ENOENT and not folder.exists():
        return gone(folder)
    if number not in EXPLANATIONS:
        return None
    problem, remedy = EXPLANATIONS[number]
    verb = "write to" if number in WRITE_ERRORS else "use"
    return DiskError(f"cannot {verb} {name or folder}: {problem}", remedy)


def patiently(action: Callable[[], Result], folder: Path) -> Result:
    """What the action returns; while the disk of the folder is away, wait for it and act again, up to a minute.

    Args:
        folder: there before; a disk on which it is not there is away. Nothing is written in its place.

    Raises:
        DiskError: it is still away after the last wait.
        whatever the action raises while the disk is there.
    """
    for seconds in (*WAITS, None):
        try:
            with explain_disk_errors(folder):
                folder.stat()
                return action()
        except Exception as error:
            if not is_away(error, folder):
                raise
            if seconds is None:
                raise error if isinstance(error, DiskError) else gone(folder) from error
            say(f"  {folder} cannot be reached; trying again in {seconds:g} s")
            time.sleep(seconds)
    raise AssertionError("the last try returns or raises")


def is_away(error: Exception, folder: Path) -> bool:
    """Whether an error comes of a disk that may be back soon."""
    try:
        folder.stat()
    except OSError:
        return True
    return isinstance(error, OSError | DiskError) and number_of(error)[0] in AWAY


def gone(folder: Path) -> DiskError:
    return DiskError(f"{folder} is gone: something else deleted it, or its disk was taken away", "Run the same command again.")


def number_of(error: BaseException) -> tuple[int | None, str | None]:
    """The errno and file name of a disk error, also if a library wrapped it in an exception of its own."""
    if isinstance(error, OSError) and error.errno in OF_SOCKETS_TOO and error.filename is None:
        return None, None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno, None if error.filename is None else str(error.filename)
    if match := RUST_ERROR_NUMBER.search(str(error)):
        return int(match[1] or match[2]), None
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return number_of(earlier) if isinstance(earlier, OSError) else (None, None)


def set_aside(path: Path, why: str) -> None:
    """Give a damaged file of a resume point another name, in place of one that was set aside before, and say so."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    say(f"  {path}: {why}; the file was set aside as {aside.name}")
