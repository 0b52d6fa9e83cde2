"""Explains what a disk refuses: full, read-only, too large a file, no permission, a link loop, or a store that is gone."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import MachineError, UserError
from pipeline.progress import say

ELSEWHERE = "Choose another folder with --store."
PERMISSION = ("no permission", "Choose another folder with --store, or change the folder's permissions.")
FREE = "Free some space and run the same command again; finished work is kept."
EXPLANATIONS = {
    errno.ENOSPC: ("the disk is full", FREE),
    errno.EDQUOT: ("the disk quota is used up", FREE),
    errno.EFBIG: ("the file would be larger than this process may write", "Raise the limit (`ulimit -f`), and run the same command again."),
    errno.EROFS: ("the disk is read-only", ELSEWHERE),
    errno.EACCES: PERMISSION,
    errno.EPERM: PERMISSION,
    errno.ELOOP: ("its links lead in a circle", ELSEWHERE),
    errno.ENOTDIR: ("a part of the path is no folder", ELSEWHERE),
    errno.EEXIST: ("a file has the name of the folder", ELSEWHERE),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter folder with --store, or a shorter name in the recipe."),
    errno.EIO: ("the disk reports an error", "Look at the disk, and run the same command again."),
    errno.ESTALE: ("the network disk has lost it", "Mount it again, and run the same command again."),
    errno.EMFILE: ("too many files are open", "Raise the limit (`ulimit -n`), and run the same command again."),
}
"""By error number what is wrong, and what to do."""
ON_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
NUMBER = re.compile(r"os error (\d+)|Os \{ code: (\d+)")
"""How libraries written in Rust spell the number of an error."""


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses into a line that a user can act on.

    Args:
        folder: what is written to; if it is gone at the end, that is what is told.
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
    """What a user can do about an error of the disk; None if it is none."""
    number, name = number_of(error)
    if number == errno.ENOENT and not folder.exists():
        return MachineError(f"{folder} is gone: something else deleted it, or its disk was taken away", "Run the same command again.")
    if number not in EXPLANATIONS:
        return None
    problem, remedy = EXPLANATIONS[number]
    verb = "write to" if number in ON_WRITING else "use"
    return MachineError(f"cannot {verb} {name or folder}: {problem}", remedy)


def number_of(error: BaseException) -> tuple[int | None, str | None]:
    """The number and file name of an error of the disk, also where a library wrapped it in one of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno, None if error.filename is None else str(error.filename)
    if match := NUMBER.search(str(error)):
        return int(match[1] or match[2]), None
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return number_of(earlier) if isinstance(earlier, OSError) else (None, None)


def set_aside(path: Path, why: str) -> None:
    """Give a damaged file of a resume point another name, in place of one that was set aside before, and say so."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    say(f"  {path}: {why}; the file was set aside as {aside.name}")
