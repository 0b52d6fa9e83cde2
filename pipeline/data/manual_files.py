"""Files of data sets that no hub serves: found under data/sources/, fetched there where they have a URL, else asked for in one line."""

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.task import Placed, Source, Task
from pipeline.errors import DataError
from pipeline.progress import say
from pipeline.resources import checkout
from pipeline.store.artifact import digest, file_hash

FETCH_SECONDS = 30.0
FEW = 20
"""Files of a folder whose bytes are read for its digest."""


def folder() -> Path:
    """Where such files lie: what LORALIFT_SOURCES says, else `data/sources/` of the source tree, or of the current folder without one."""
    return Path(os.environ.get("LORALIFT_SOURCES") or (checkout() or Path()) / "data" / "sources")


def here(asked: Placed) -> Path | None:
    """The file or folder, if it is there."""
    path = folder() / asked.path
    return path if path.exists() else None


def whole_hash(path: Path) -> str:
    """Digest of a file, or of a folder's files; of more than a few their names and sizes must do. Hidden ones do not count."""
    if not path.is_dir():
        return file_hash(path)
    found = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
    shown = {name: file for name, file in found.items() if "/." not in f"/{name}"}
    return digest({name: file_hash(file) if len(shown) <= FEW else file.stat().st_size for name, file in shown.items()})


def located(asked: Placed, offline: bool) -> Path:
    """The file or folder, fetched if it is missing and has a URL.

    Raises:
        DataError: it is not there; says which file to fetch from where, and where to put it.
    """
    path = here(asked)
    if path is not None:
        return path
    if asked.url and not offline and os.environ.get("HF_HUB_OFFLINE", "0").upper() not in ("1", "TRUE", "YES", "ON"):
        return fetch(asked.url, folder() / asked.path)
    why = ", and HF_HUB_OFFLINE is set" if asked.url else ""
    raise DataError(f"there is no {shown(asked)}{why}.", how(asked))


def shown(asked: Placed) -> str:
    """Its place as people write it."""
    path = folder() / asked.path
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def how(asked: Placed) -> str:
    """What to fetch from where, and where to put it; or the command that does both, where `asked.how` is one and says {place}."""
    place = shown(asked)
    if "{place}" in asked.how:
        return f"Run: {asked.how.format(place=place)}"
    put = f"and put it at {place}" if Path(asked.path).suffix else f"into the folder {place}"
    return f"Fetch {asked.how} from {asked.url or asked.page} {put}."


def wanted(tasks: Iterable[Task]) -> list[tuple[Task, Placed, bool]]:
    """The placed files of tasks, each with its task and whether it is there."""
    asked = [(task, found) for task in tasks for found in unique(task.train + task.heldout)]
    return [(task, found, here(found) is not None) for task, found in asked]


def unique(sources: Iterable[Source]) -> list[Placed]:
    """The placed files of sources and of their parts, each once."""
    found: list[Placed] = []
    for source in sources:
        for asked in [source.placed] if source.placed else unique(source.parts):
            found += [] if asked in found else [asked]
    return found


def fetch(url: str, path: Path) -> Path:
    """Download a file; it appears under its name only when it is whole.

    Raises:
        DataError: it cannot be fetched.
    """
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    say(f"  fetching {url}")
    try:
        with requests.get(url, timeout=FETCH_SECONDS, stream=True) as answer, part.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 20):
                file.write(chunk)
        os.replace(part, path)
    except requests.RequestException as error:
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{url} cannot be fetched: {said}", f"Fetch it by hand and put it at {path}.") from None
    finally:
        part.unlink(missing_ok=True)
    return path
