"""Declares the fields of a task and of its source; looks a shipped task up by the name of its file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pipeline.arms import Constraint
from pipeline.config.validation_errors import nearest
from pipeline.errors import RecipeError
from pipeline.metrics.numbers import Mark
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.store.user_code import Bundle

Row = dict[str, Any]


@dataclass(frozen=True)
class ManualFile:
    """A file or folder under `data/sources/`: put there by hand, or downloaded where it has a URL."""

    path: str
    """Below `data/sources/`."""
    page: str
    """The web page that offers it."""
    how: str
    """What to fetch there, or a command with {place} that does it."""
    url: str = ""
    """A download link that needs no account."""
    read: Callable[[Path, str], Iterable[Row]] | None = None
    """`read(path, split)` yields the rows, where the file type does not say how to read them."""


@dataclass(frozen=True)
class Source:
    """Where to get a split from. One of hub, folder, path, manual_file, make, fetch and parts is set."""

    split: str = "train"
    """Its name there; the prefix of its row ids."""
    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()
    """Patterns of files in the hub repository, where it declares no splits or only a loading script."""
    folder: str | None = None
    path: str | None = None
    recipe_folder: Path | None = None
    """Where else a folder or path was looked for, before it was taken from the current folder."""
    manual_file: ManualFile | None = None
    make: Callable[[str], Iterable[Row]] | None = None
    """`make(split)`, for embedded tasks."""
    fetch: Callable[[bool], Iterable[Row]] | None = None
    """`fetch(offline)`, for documents that another library loads; `parts` then name what must be within reach."""
    parts: "tuple[Source, ...]" = ()
    """Sources that are read in sequence."""
    keep: Callable[[Row], bool] | None = None
    """Whether a row belongs to the split, where the source holds others too."""
    rename: tuple[tuple[str, str], ...] = ()
    """Columns to rename: (name in the source, name here)."""
    rows: int | None = None
    """The expected number of rows; another number is reported."""


@dataclass(frozen=True)
class Task:
    """A data set, how a row becomes an example, how an answer is parsed, and its metrics."""

    name: str
    about: str
    train: tuple[Source, ...]
    """Sources of the training rows, in order of preference."""
    heldout: tuple[Source, ...]
    example: Callable[[Row], Example]
    """Raises DataError, KeyError or ValueError on an unusable row, which is then counted and reported."""
    answer: Callable[[str, Example], str | None]
    """Parses the answer out of a model's text; None if unparsable."""
    metrics: tuple[str, ...]
    """The first is the primary metric, which decides the verdict."""
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()
    """Indices of training rows that are part of every prompt and so are not trained on."""
    preface: Callable[[Sequence[Example]], str] | None = None
    """Makes the text before every prompt from the shots."""
    decimal_mark: Mark | None = "."
    """How its data write decimals; None: not known, so that `1.234` is not read."""
    span: float = 5.0
    """Distance between the ends of its scale, for metrics that need one."""
    json_targets: bool = False
    """Whether targets are JSON objects, where answers are read in other spellings too."""
    paper: "Paper | None" = None
    """How LoRA Land scored the task."""
    grounded: Literal["", "text", "slots"] = ""
    """Whether answers may name only what the prompt names: a `text` to take them from, or `slots` to put into words; empty: no."""
    slots: "Callable[[Example], list[Slot]] | None" = None
    """The meaning representation of an example, where answers are grounded in `slots`."""
    accepted: Callable[[Example], list[str]] | None = None
    """Correct answers besides the target; an answer may name whatever they name."""
    may_be_empty: bool = False
    """Whether a target may be empty, so that no answer is right."""
    code: Mapping[str, Bundle] = field(default_factory=dict)
    """Metrics of the user's own, by name."""
    likelihoods: bool = False
    """Whether answers are the likelihoods of given texts, so that nothing is generated."""
    harness: str = ""
    """The definition of a task of lm-evaluation-harness, as canonical JSON; empty: it is none."""

    @property
    def metric_options(self) -> dict[str, Any]:
        """Options of its metrics; see metrics.load."""
        options: dict[str, Any] = {"decimal_mark": self.decimal_mark, "span": self.span}
        options |= {"code": self.code} if self.code else {}
        return options | ({"definition": self.harness} if self.harness else {})

    @property
    def runs_programs(self) -> bool:
        """Whether its answers are programs, which its primary metric runs."""
        return self.metrics[0] in ("pass_at_1", "pass_at_k")

    @property
    def constraint(self) -> Constraint:
        """How answers can be held to the task's form: to its closed set of answers, or to the keys of its JSON targets."""
        if self.choices or self.answer is parsers.choice:
            return "choices"
        return "keys" if self.json_targets or self.answer is parsers.json else ""


@dataclass(frozen=True)
class Slot:
    """One value of a meaning representation."""

    name: str
    value: str
    wordings: tuple[str, ...] = ()
    """Other wordings of the value."""
    judged: bool = True
    """Whether answers are searched for the value. A yes or no, or a level on a scale, has too many wordings for that."""


@dataclass(frozen=True)
class Paper:
    """How LoRA Land (arXiv 2405.00732) scored a task, for a comparison with our scores."""

    metric: str
    """Our metric that follows the paper's scoring rule."""
    tokens: tuple[int, int]
    """P95 and maximum of prompt and answer together, in tokens of tiktoken (its Figure 2)."""
    differs: tuple[str, ...] = field(default=())
    """How our setup differs from the paper's, in sentences for the report."""
    incomparable_reason: str = ""
    """Why the scores cannot be compared at all; empty if they can."""


@cache
def names() -> tuple[str, ...]:
    """The shipped tasks."""
    return tuple(sorted(path.stem for path in (Path(__file__).parents[1] / "tasks").glob("[a-z]*.py")))


def find(name: str) -> Task:
    """The shipped task of that name.

    Raises:
        RecipeError: there is none; names the nearest.
    """
    if name not in names():
        raise RecipeError(f"there is no task '{name}'.", nearest(name, names(), "`loralift ls tasks`"))
    task: Task = import_module(f"pipeline.tasks.{name}").TASK
    return task
