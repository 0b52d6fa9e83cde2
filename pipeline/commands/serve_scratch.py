"""Makes the folder for the copies of a running server, and removes those that killed servers left"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "loralift-serve-"
LOCK = "lock"
"""Held as long as the server runs: the system frees it however the process ends."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; if the process is killed, the next server removes it."""
    remove_leftovers(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, FileLock(Path(name) / LOCK):
        yield Path(name)


def remove_leftovers(root: Path) -> None:
    """Remove the folders whose servers do not run any more. Those of other users, and of servers that just begin, stay."""
    for lock in root.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(Timeout, OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)
