"""What killed jobs left in a store: scratch folders, resume points and folders whose deletion was interrupted."""

import json
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.store.artifact import KEYED_NAME, MANIFEST, ArtifactSpec, Store, canonical

SCRATCH = re.compile(r"\..*--(?P<key>[0-9a-f]{12})\.\d+\.\d+")
"""The name of a scratch folder; see Store.scratch."""
RESUME = re.compile(r"(?P<key>[0-9a-f]{24})")
NOTE = "job.json"
"""In a resume folder: the stage and parameters of its job, since its key tells them to nobody."""


@dataclass(frozen=True)
class Leftover:
    """A folder that no running job uses."""

    path: Path
    key: str
    """The beginning of its job's key."""
    job: tuple[str, str] | None
    """Stage and parameters of the job that can go on from here; None: nothing goes on from it, or it is not known."""


@contextmanager
def noted(store: Store, spec: ArtifactSpec) -> Iterator[None]:
    """Note in the resume folder what job it is of, while the job runs and after it was killed."""
    folder = store.resume_folder(spec)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTE).write_text(json.dumps({"stage": spec.stage, "label": spec.label, "params": spec.params}), "utf-8")
    own = folder.with_name(f"{spec.key[:24]}.lock")
    try:
        with nullcontext() if spec.resume_key == spec.key else FileLock(own):  # by which is_in_use() knows its scratch folder
            yield
    finally:
        if folder.is_dir() and [path.name for path in folder.iterdir()] == [NOTE]:
            shutil.rmtree(folder, ignore_errors=True)


def all_of(store: Store) -> list[Leftover]:
    """Every leftover of a store, sorted by path; folders of jobs that run now are none."""
    folders = [path for pattern in (".*--*", "*--*") for path in (*store.data.glob(f"*/{pattern}"), *store.checkpoints.glob(pattern))]
    unsealed = [path for path in folders if path.is_dir() and not (path / MANIFEST).exists()]
    scratch = [path for path in folders if path.is_dir() and SCRATCH.fullmatch(path.name)]
    resume = [path for path in (store.checkpoints / ".resume").glob("*") if path.is_dir()]
    rows = []
    for path in sorted({*unsealed, *scratch, *resume}):
        match = SCRATCH.fullmatch(path.name) or RESUME.fullmatch(path.name) or KEYED_NAME.fullmatch(path.name)
        if match and not is_in_use(store, match["key"]):
            rows.append(Leftover(path, match["key"], job_of(path)))
    return rows


def is_in_use(store: Store, key: str) -> bool:
    """Whether a process holds the lock of the job whose key begins so."""
    for path in (store.checkpoints / ".resume").glob(f"{key}*.lock"):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            return True
        except OSError:  # a store that cannot be written to: no job runs in it
            return False
    return False


def job_of(folder: Path) -> tuple[str, str] | None:
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        return str(note["stage"]), canonical(note["params"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def unwanted(store: Store, jobs: Collection[tuple[str, str]], keys: Collection[str]) -> list[Leftover]:
    """The leftovers that no job goes on from.

    Args:
        jobs: stage and parameters of every job that is wanted.
        keys: of those among them that can be told.
    """

    def is_wanted(leftover: Leftover) -> bool:
        is_resume_point = leftover.path.parent.name == ".resume"
        return is_resume_point and (leftover.job in jobs or any(key.startswith(leftover.key) for key in keys))

    return [leftover for leftover in all_of(store) if not is_wanted(leftover)]
