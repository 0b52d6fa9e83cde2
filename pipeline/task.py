"""What a task is, and how one is found: by the name of its file, or written inline in a recipe."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.errors import RecipeError, suggest
from pipeline.records import Example

Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where rows come from: a hub data set, a folder, two files, or a function of our own."""

    train: str = "train"
    heldout: str = "test"
    hub: str | None = None
    folder: str | None = None
    config: str | None = None
    revision: str | None = None
    make: Callable[[str], Iterable[Row]] | None = None
    """`make("train")` or `make("heldout")`, for embedded tasks."""


@dataclass(frozen=True)
class Task:
    """A data set, the prompt made of a row, the reading of an answer, and its measures."""

    name: str
    about: str
    source: Source
    example: Callable[[Row], Example]
    """Raises DataError, KeyError or ValueError on a row that is no example; the row is then counted and shown."""
    answer: Callable[[str, Example], str | None]
    """The answer in a model's text; None where it cannot be read."""
    metrics: tuple[str, ...]
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()


def names() -> list[str]:
    """The shipped tasks."""
    return sorted(path.stem for path in (Path(__file__).parent / "tasks").glob("[a-z]*.py"))


def find(name: str) -> Task:
    """The shipped task of that name.

    Raises:
        RecipeError: there is none; names the nearest.
    """
    if name not in names():
        raise RecipeError(f"there is no task '{name}'.", suggest(name, names()))
    task: Task = import_module(f"pipeline.tasks.{name}").TASK
    return task
