"""Hashes the data files of a task that are on this machine: a file may change under its name, so its content is part of the key."""

from pathlib import Path

from pipeline.config.schema import Data, InlineTask
from pipeline.data import manual_files
from pipeline.data.task import Task
from pipeline.store.artifact import file_hash


def of_task(entry: str | InlineTask, task: Task) -> dict[str, str]:
    """By path, the sha256 of every data file.

    Args:
        entry: under `tasks` in a recipe.
        task: of that entry.
    """
    if not isinstance(entry, str):
        return {str(path): file_hash(path) for path in local_files(entry.data)}
    # a file that is fetched may not be here yet, so it is no more part of the key than a branch of the hub
    files = [source.manual_file for source in (*task.train, *task.heldout) if source.manual_file and not source.manual_file.url]
    return {file.path: manual_files.content_hash(manual_files.folder() / file.path) for file in files if manual_files.existing_path(file)}


def local_files(data: Data) -> list[Path]:
    if data.hub:
        return []
    if data.folder:
        return sorted(path for path in Path(data.folder).rglob("*") if path.is_file())
    return [path for path in (Path(data.train), Path(data.heldout)) if path.is_file()]
