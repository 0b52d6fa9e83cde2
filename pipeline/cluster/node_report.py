"""What is compared of the nodes of a cluster, as a node sees it: packages, code, processor, the files of a run, and the store."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_hex

from filelock import FileLock, Timeout

from pipeline.machine import cpu, package_versions
from pipeline.resources import PACKAGE
from pipeline.store.artifact import Store, file_hash, json_sha256
from pipeline.store.disk import explain_disk_errors

TOKEN, LOCK = "token", "lock"
SECONDS = 5.0
"""How long a network disk may take to show on one machine what another wrote."""


@dataclass(frozen=True)
class StoreProbe:
    """A folder in the store, in which every machine shows the others that it is the same store."""

    folder: Path
    token: str


@dataclass(frozen=True)
class NodeReport:
    """What a machine says of itself."""

    packages: dict[str, str]
    processor: str
    missing: tuple[str, ...] = ()
    """Files and folders of the run that are not there."""
    store_fault: str = ""
    """Why it is not the same store; empty: it is."""
    locks_hold: bool = True
    """Whether a lock that another machine holds is seen."""


def packages() -> dict[str, str]:
    """The versions that results depend on, of packages and of the code."""
    return {"python": platform.python_version(), "ray": installed("ray"), **package_versions(), "loralift's code": code_digest()}


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def code_digest() -> str:
    """The first digits of a hash of all code of loralift: versions of one number may hold different code."""
    return json_sha256({str(path.relative_to(PACKAGE)): file_hash(path) for path in sorted(PACKAGE.rglob("*.py"))})[:12]


def here() -> NodeReport:
    """The report of this machine, which others are compared with."""
    return NodeReport(packages(), str(cpu()["model"]))


def there(folder: str, paths: tuple[str, ...], probe: StoreProbe, name: str) -> NodeReport:
    """The report of a node; it is called there.

    Args:
        folder: what relative paths are relative to.
        paths: files and folders that the run reads.
        name: of the node, by which it answers in the store.
    """
    with suppress(OSError):  # where it does not exist, the relative paths are missing, too
        os.chdir(folder)
    fault, locks_hold = answer(probe, name)
    missing = tuple(path for path in paths if not Path(path).exists())
    return NodeReport(packages(), str(cpu()["model"]), missing, fault, locks_hold)


def answer(probe: StoreProbe, name: str) -> tuple[str, bool]:
    """Read what the driver wrote into the store, and write an answer. Returns what went wrong, and whether the driver's lock holds."""
    deadline = time.monotonic() + SECONDS
    while not (probe.folder / TOKEN).exists():
        if time.monotonic() > deadline:
            return f"{probe.folder.parent.parent} is not there, or not the same folder", True
        time.sleep(0.1)
    try:
        if (probe.folder / TOKEN).read_text("utf-8") != probe.token:
            return f"{probe.folder.parent.parent} is another folder", True
        (probe.folder / name).write_text(probe.token, "utf-8")
    except OSError as error:
        return f"{probe.folder.parent.parent}: {error.strerror}", True
    try:
        with FileLock(probe.folder / LOCK, timeout=0):
            return "", False
    except Timeout:
        return "", True
    except OSError as error:
        return f"locks do not work in {probe.folder.parent.parent}: {error.strerror}", True


@contextmanager
def store_probe(store: Store) -> Iterator[StoreProbe]:
    """A probe that this machine wrote, and whose lock it holds; removed at the end."""
    import shutil

    token = token_hex(8)
    folder = store.data.resolve() / f".probe-{token}"
    with explain_disk_errors(folder.parent):
        folder.mkdir(parents=True)
        try:
            (folder / TOKEN).write_text(token, "utf-8")
            with FileLock(folder / LOCK):
                yield StoreProbe(folder, token)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def has_answered(probe: StoreProbe, name: str) -> bool:
    """Whether what a node wrote into the store is seen here."""
    deadline = time.monotonic() + SECONDS
    while not (probe.folder / name).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
