"""Hashes the data files of a task that are on this machine: a file may change under its name, so its content is part of the key."""

from pathlib import Path

from pipeline.data import harness_task, manual_files, source
from pipeline.data.task import Task
from pipeline.store.artifact import file_hash


def of_task(task: Task) -> dict[str, str]:
    """By path, the sha256 of every data file of a task."""
    if task.harness:
        return harness_task.local_files(task.harness)
    local = {str(path): file_hash(path) for path in local_files(task)}
    # a file that is fetched may not be here yet, so it is no more part of the key than a branch of the hub
    files = [part.manual_file for part in (*task.train, *task.heldout) if part.manual_file and not part.manual_file.url]
    manual = {file.path: manual_files.content_hash(manual_files.folder() / file.path) for file in files if manual_files.existing_path(file)}
    return local | manual


def local_files(task: Task) -> list[Path]:
    """The files of both splits. Other files of their folder count for nothing: the store itself may lie there."""
    paths = [path for part in source.local_parts((*task.train, *task.heldout)) for path in source.local_files(part)]
    return [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()]
