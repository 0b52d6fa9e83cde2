"""Finds data files that no hub serves: in data/sources/, else downloaded where they have a URL, else the user is asked for them."""

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.task import ManualFile, Source, Task
from pipeline.errors import DataError
from pipeline.machine import is_hub_offline
from pipeline.progress import say
from pipeline.resources import checkout
from pipeline.store.artifact import file_hash, json_sha256

FETCH_SECONDS = 30.0
MAX_HASHED_FILES = 20
"""A folder of more files is hashed by their names and sizes, not their bytes."""


def folder() -> Path:
    """The folder of such files: $LORALIFT_SOURCES, else `data/sources/` of the source tree, or of the current folder without one."""
    return Path(os.environ.get("LORALIFT_SOURCES") or (checkout() or Path()) / "data" / "sources")


def existing_path(file: ManualFile) -> Path | None:
    """The path of the file or folder, if it exists."""
    path = folder() / file.path
    return path if path.exists() else None


def content_hash(path: Path) -> str:
    """Digest of a file, or of a folder's visible files (see MAX_HASHED_FILES)."""
    if not path.is_dir():
        return file_hash(path)
    files = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
    visible = {name: file for name, file in files.items() if "/." not in f"/{name}"}
    return json_sha256(
        {name: file_hash(file) if len(visible) <= MAX_HASHED_FILES else file.stat().st_size for name, file in visible.items()}
    )


def locate(file: ManualFile, offline: bool) -> Path:
    """The path of the file or folder, downloaded if it is missing and has a URL.

    Raises:
        DataError: it is missing; says what to fetch from where, and where to put it.
    """
    path = existing_path(file)
    if path is not None:
        return path
    if file.url and not offline and not is_hub_offline():
        return fetch(file.url, folder() / file.path)
    why = ", and HF_HUB_OFFLINE is set" if file.url else ""
    raise DataError(f"there is no {display_path(file)}{why}.", instructions(file))


def display_path(file: ManualFile) -> str:
    """Its path as users write it: relative to the current folder if inside it."""
    path = folder() / file.path
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def instructions(file: ManualFile) -> str:
    """What to fetch from where, and where to put it; or the command that does both, where `file.how` is a command with {place}."""
    location = display_path(file)
    if "{place}" in file.how:
        return f"Run: {file.how.format(place=location)}"
    put = f"and put it at {location}" if Path(file.path).suffix else f"into the folder {location}"
    return f"Fetch {file.how} from {file.url or file.page} {put}."


def required_files(tasks: Iterable[Task]) -> list[tuple[Task, ManualFile, bool]]:
    """The manual files of tasks, each with its task and whether it exists."""
    files = [(task, file) for task in tasks for file in distinct_files(task.train + task.heldout)]
    return [(task, file, existing_path(file) is not None) for task, file in files]


def distinct_files(sources: Iterable[Source]) -> list[ManualFile]:
    """The manual files of sources and their parts, without repeats."""
    files: list[ManualFile] = []
    for source in sources:
        for file in [source.manual_file] if source.manual_file else distinct_files(source.parts):
            if file not in files:
                files.append(file)
    return files


def fetch(url: str, path: Path) -> Path:
    """Download a file; it appears under its name only when it is whole.

    Raises:
        DataError: it cannot be fetched.
    """
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    say(f"  fetching {url}")
    try:
        with requests.get(url, timeout=FETCH_SECONDS, stream=True) as response, partial.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_content(1 << 20):
                file.write(chunk)
        os.replace(partial, path)
    except requests.RequestException as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{url} cannot be fetched: {reason}", f"Fetch it by hand and put it at {path}.") from None
    finally:
        partial.unlink(missing_ok=True)
    return path
