"""Explains disk errors: full, read-only, file too large, no permission, a link loop, or a store that was deleted."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import MachineError, UserError
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
    errno.EMFILE: ("too many files are open", "Raise the limit (`ulimit -n`), and run the same command again."),
}
"""Error number to (what is wrong, what to do)."""
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
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


def explanation(error: BaseException, folder: Path) -> MachineError | None:
    """What a user can do about a disk error; None for any other error."""
    number, name = number_of(error)
    if number == errno.ENOENT and not folder.exists():
        return MachineError(f"{folder} is gone: something else deleted it, or its disk was taken away", "Run the same command again.")
    if number not in EXPLANATIONS:
        return None
    problem, remedy = EXPLANATIONS[number]
    verb = "write to" if number in WRITE_ERRORS else "use"
    return MachineError(f"cannot {verb} {name or folder}: {problem}", remedy)


def number_of(error: BaseException) -> tuple[int | None, str | None]:
    """The errno and file name of a disk error, also if a library wrapped it in an exception of its own."""
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
