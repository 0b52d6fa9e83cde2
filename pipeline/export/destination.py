"""Makes the folder of an export: refused where it could not stand, written under another name, and renamed when it is whole"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import ArtifactError, MachineError, UserError
from pipeline.store.artifact import file_hashes, flush
from pipeline.store.disk import explanation

CHECKSUMS = "SHA256SUMS"
"""Lines as `sha256sum --check` reads them."""
MIB = 2**20


def check(out: Path) -> None:
    """Raise ArtifactError for a folder that holds something, or a file; MachineError where none can be made."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ArtifactError(f"--out {out}: it is {'a link' if out.is_symlink() else 'a file'}, not a folder", "Name a new folder.")
    with explained(out):
        if out.is_dir() and (names := sorted(path.name for path in out.iterdir())):
            held = f"{len(names)} files, the first {names[0]}" if len(names) > 1 else names[0]
            raise ArtifactError(f"--out {out}: the folder is not empty ({held})", "Name a new folder, or empty this one.")
        parent = existing_parent(out)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise MachineError(f"--out {out}: no permission to write to {parent}", "Name another folder, or change its permissions.")


def existing_parent(out: Path) -> Path:
    """The nearest folder above that is there."""
    return next(folder for folder in out.absolute().parents if folder.is_dir())


def check_space(out: Path, needed: int) -> None:
    """Raise MachineError where the disk has less room.

    Args:
        needed: bytes.
    """
    free = shutil.disk_usage(existing_parent(out)).free
    if free < needed:
        raise MachineError(
            f"--out {out}: the export takes {needed / MIB:,.1f} MiB, and {free / MIB:,.1f} MiB are free",
            "Free some space, or name a folder on another disk.",
        )


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """An empty folder beside the one that is to be; removed at the end unless publish() renamed it. What killed exports left is removed."""
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        for leftover in out.parent.glob(f".{out.name}.export-*"):
            if not is_running(leftover.name.rpartition("-")[2]):
                shutil.rmtree(leftover, ignore_errors=True)
        folder = out.parent / f".{out.name}.export-{os.getpid()}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def is_running(pid: str) -> bool:
    """Whether a process of this machine has that number."""
    if not pid.isdecimal():
        return True  # nothing of ours
    with suppress(PermissionError):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
    return True


def publish(folder: Path, out: Path) -> None:
    """Write the checksums, flush all to disk and rename the folder into place. Whoever may read one file may read all."""
    lines = [f"{digest}  {name}\n" for name, digest in file_hashes(folder).items()]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")
    mode = (folder / CHECKSUMS).stat().st_mode  # that of the process; transformers writes weights for their owner alone
    for path in folder.iterdir():
        path.chmod(mode)
        flush(path)
    flush(folder)
    os.rename(folder, out)  # an empty folder is replaced
    flush(out.absolute().parent)


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Turn disk errors into a message that a user can act on."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if explained_error := explanation(error, out.parent):
            raise MachineError(f"--out {out}: {explained_error.problem}", explained_error.remedy.replace("--store", "--out")) from error
        raise
