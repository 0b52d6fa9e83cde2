"""Finds tasks of lm-evaluation-harness by name, without the half minute in which its own index parses 14,000 files."""

import contextlib
import io
import logging
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config.schema import HARNESS
from pipeline.config.validation_errors import nearest
from pipeline.errors import MachineError, RecipeError

PREFIX = HARNESS
EXTRA = "pip install 'loralift[lm-eval]'"
NAME_LINE = re.compile(r"^[\"']?(task|group|tag)[\"']?:[ \t]*(?:(\S.*?)[ \t]*)?$((?:\n[ \t]*-[ \t]*\S+[ \t]*$)*)", re.MULTILINE)
"""A line of a YAML file that names a task, a group or tags; tags may follow as a list."""
Index = dict[str, Any]
"""Entries of lm-eval's index (name, kind, yaml_path, cfg, tags) by name."""


def version() -> str:
    """The version of lm-eval that is installed.

    Raises:
        MachineError: none is.
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("lm_eval")
    except PackageNotFoundError:
        raise MachineError("the recipe names tasks of lm-evaluation-harness, and lm-eval is not installed.", f"Run: {EXTRA}") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval's log, progress bars and deprecated calls off the terminal."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def tasks_folder() -> Path:
    """The folder of the tasks that lm-eval ships."""
    from importlib.util import find_spec

    version()
    spec = find_spec("lm_eval")
    return Path(str(spec and spec.origin)).parent / "tasks"


def index_of(name: str, include: str = "") -> Index:
    """The entries of a task, group or tag and of all that it consists of; those of the user's folder count first.

    Args:
        include: a folder of task YAML, as lm-eval's --include_path.

    Raises:
        RecipeError: there is none of that name, or no YAML in the folder.
        MachineError: lm-eval is not installed.
    """
    version()
    own = included(include) if include else {}
    if name not in own and name not in folders():
        near = nearest(name, [*folders(), *own], "`lm_eval ls tasks`", PREFIX)
        raise RecipeError(f"lm-evaluation-harness {version()} has no task '{name}'{f', nor has {include}' if include else ''}.", near)
    index = dict(own)
    pending, seen = [name], set[str]()
    while pending:
        wanted = pending.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        for folder in [] if wanted in index else sorted(folders().get(wanted, ())):
            index = {**entries(str(folder)), **index}
        pending += members(index[wanted]) if wanted in index else []
    return index if seen <= set(index) else {**entries(str(tasks_folder())), **own}  # a name that stands in no line of its own


def included(include: str) -> Index:
    """The entries of the user's folder. Raises RecipeError if it holds none."""
    folder = Path(include).expanduser()
    if not folder.is_dir():
        raise RecipeError(f"lm_eval.include: there is no folder {folder}.", "Name the folder that holds the YAML files of your tasks.")
    own = entries(str(folder.resolve()))
    if not own:
        problem = f"lm_eval.include: no file below {folder} defines a task."
        raise RecipeError(problem, "Each task needs a file *.yaml with a line task: and its name; an include: in it must exist.")
    return own


def members(entry: Any) -> list[str]:
    """The names of what a group or tag consists of; none of a task."""
    if entry.kind.name == "TAG":
        return sorted(entry.tags)
    listed = (entry.cfg or {}).get("task") if entry.kind.name == "GROUP" else None
    names: list[str] = []
    for item in listed if isinstance(listed, list) else []:
        name = item if isinstance(item, str) else item.get("group") or item.get("task")
        names += [name] if isinstance(name, str) else [str(inner) for inner in name or () if isinstance(inner, str)]
    return names


@cache
def entries(folder: str) -> Index:
    """The entries of all YAML files below a folder, as lm-eval reads them."""
    with quiet():
        from lm_eval.tasks._index import TaskIndex

        index: Index = TaskIndex.build([Path(folder)])
    return index


@cache
def folders() -> dict[str, set[Path]]:
    """By name of a task, group or tag that lm-eval ships, the folders of the YAML files that name it."""
    by_name: dict[str, set[Path]] = defaultdict(set)
    for path in tasks_folder().rglob("*.yaml"):
        for key, value, listed in NAME_LINE.findall(path.read_text("utf-8", errors="replace")):
            names = re.findall(r"-[ \t]*(\S+)", listed) if not value else [value] if "[" not in value else re.findall(r"[^\[\],\s]+", value)
            for name in names if key == "tag" or value else []:
                by_name[name.strip("'\"")].add(path.parent)
    return by_name


def configuration(name: str, index: Index) -> dict[str, Any]:
    """The whole configuration of a task as lm-eval reads it, functions resolved; no document is loaded."""
    with quiet():
        from lm_eval.tasks._factory import TaskFactory

        config: dict[str, Any] = TaskFactory()._load_full_config(index[name], None)
    return {key: value for key, value in config.items() if key not in ("tag", "group", "task_list")}


def task_configuration(config: dict[str, Any]) -> Any:
    """The lm_eval TaskConfig of a configuration, with lm-eval's defaults in it."""
    with quiet():
        from lm_eval.config.task import TaskConfig

        return TaskConfig(**config)


def build(config: dict[str, Any]) -> Any:
    """The lm_eval task of a configuration; this loads its documents, from the hub or from files."""
    from copy import deepcopy

    with quiet():
        from lm_eval.api.task import ConfigurableTask

        return ConfigurableTask(config=deepcopy(config))
