"""What a task is, and how one is found: by the name of its file, or written inline in a recipe."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pipeline.config.validation_errors import nearest
from pipeline.errors import RecipeError
from pipeline.store.records import Example

Row = dict[str, Any]


@dataclass(frozen=True)
class Placed:
    """A file or folder under `data/sources/`: put there by a person, or fetched where it has a URL."""

    path: str
    """Below `data/sources/`."""
    page: str
    """Where a person finds it."""
    how: str
    """What to fetch there."""
    url: str = ""
    """Where it can be fetched without an account."""
    read: Callable[[Path, str], Iterable[Row]] | None = None
    """Rows of a split, where the file's kind does not say how to read it."""


@dataclass(frozen=True)
class Source:
    """One place where one split can be had. Exactly one of hub, folder, path, placed, make and parts is set."""

    split: str = "train"
    """Its name there; begins the ids of its rows."""
    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()
    """Patterns of files in the hub repository, where what it declares is a loading script or nothing."""
    folder: str | None = None
    path: str | None = None
    placed: Placed | None = None
    make: Callable[[str], Iterable[Row]] | None = None
    """`make(split)`, for embedded tasks."""
    parts: "tuple[Source, ...]" = ()
    """Sources that are read one after the other."""
    keep: Callable[[Row], bool] | None = None
    """Which rows belong to the split, where the place holds others too."""
    rename: tuple[tuple[str, str], ...] = ()
    """Columns that have another name there: (there, here)."""
    rows: int | None = None
    """How many there were when this was written down; another number is told."""


@dataclass(frozen=True)
class Task:
    """A data set, the prompt made of a row, the reading of an answer, and its measures."""

    name: str
    about: str
    train: tuple[Source, ...]
    """Where to look for the training rows, in this order."""
    heldout: tuple[Source, ...]
    example: Callable[[Row], Example]
    """Raises DataError, KeyError or ValueError on a row that is no example; the row is then counted and shown."""
    answer: Callable[[str, Example], str | None]
    """The answer in a model's text; None where it cannot be read."""
    metrics: tuple[str, ...]
    """The first is the one by which the task is judged."""
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()
    """Training rows (0 is the first) that are shown in every prompt and so are not trained on."""
    preface: Callable[[Sequence[Example]], str] | None = None
    """What stands before every prompt, made of the shots."""
    paper: "Paper | None" = None
    """How LoRA Land scored it."""
    grounded: Literal["", "text", "slots"] = ""
    """Whether answers may name only what the prompt names: `text` it is to be taken from, or `slots` to be put into words."""
    slots: "Callable[[Example], list[Slot]] | None" = None
    """The representation that an example puts into words, where answers are grounded in `slots`."""
    accepted: Callable[[Example], list[str]] | None = None
    """Right answers beside the target, which may name what these name."""


@dataclass(frozen=True)
class Slot:
    """One value of a meaning representation."""

    name: str
    value: str
    ways: tuple[str, ...] = ()
    """Other words that say the same."""
    judged: bool = True
    """Whether the value is said in its own words. A yes or no, or a place on a scale, is said in too many others to be looked for."""


@dataclass(frozen=True)
class Paper:
    """What must be known to set our figures beside those of LoRA Land (arXiv 2405.00732)."""

    metric: str
    """The metric of ours that follows the paper's scoring rule."""
    tokens: tuple[int, int]
    """P95 and maximum of prompt and answer together, in tokens of tiktoken (its Figure 2)."""
    differs: tuple[str, ...] = field(default=())
    """In what ours differs from what the paper says or did, in words for people."""
    otherwise: str = ""
    """Why figures cannot be compared at all, where it is so."""


def names() -> list[str]:
    """The shipped tasks."""
    return sorted(path.stem for path in (Path(__file__).parents[1] / "tasks").glob("[a-z]*.py"))


def find(name: str) -> Task:
    """The shipped task of that name.

    Raises:
        RecipeError: there is none; names the nearest.
    """
    if name not in names():
        raise RecipeError(f"there is no task '{name}'.", nearest(name, names(), "`loralift ls tasks`"))
    task: Task = import_module(f"pipeline.tasks.{name}").TASK
    return task
