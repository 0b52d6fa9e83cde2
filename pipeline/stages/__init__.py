"""One file per stage, found by its name: data, training, predictions, comparison, report; a new stage is one more.

A stage file holds `run(work)` and says what the stage is: `VERSION` if its work is expensive (raised by hand when results can
change, or by `version(params, facts)` for some jobs only; `gc` keeps its artifacts), `NEEDS`, what a job of it needs, and `DATA`,
folders that it reads besides code. The other modules know of stages only what the table below holds. Imports every room below it,
and no other stage, but for `trial`, which begins what `finetune` goes on with.
Start with `finetune.py`: `train()` is the training loop, top to bottom.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType
from typing import Any

from pipeline.data import task
from pipeline.store import import_closure

ORDER = (
    "prepare", "common_examples", "slice_examples", "search_overlap", "sample_validation", "trial", "select", "finetune",
    "import_adapter", "import_model", "cut_adapter", "generate", "import_predictions", "reference", "debug", "debug_by_endpoint",
    "forecast", "relevance", "general_loss", "speed", "spectrum", "compare", "report",
)  # fmt: skip
"""The order in which people read the stages. A stage file that is not listed here comes last."""
NAME_WIDTH = max(map(len, ORDER))
"""Characters of a column of stage names on a terminal."""
WEIGHTS, GPU, NETWORK = "weights", "gpu", "network"
"""What a job can need: a base model in memory, a GPU if the machine has one, an endpoint."""


@dataclass(frozen=True)
class Stage:
    """A row of the table, read from the stage's module."""

    module: ModuleType

    @property
    def name(self) -> str:
        return self.module.__name__.rpartition(".")[2]

    @property
    def file(self) -> Path:
        return Path(str(self.module.__file__))

    @property
    def is_expensive(self) -> bool:
        return hasattr(self.module, "VERSION")

    def version(self, params: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> int | str:
        """The version in a job's key: VERSION, or for a cheap stage the hash of its code, with no other tasks than those in params.

        Args:
            facts: by input. A stage's own `version(params, facts)` may tell apart by them the jobs that a change of code concerns.
        """
        if self.is_expensive:
            own: int | str = self.module.version(params, facts) if hasattr(self.module, "version") else int(self.module.VERSION)
            return own
        return code_version(
            self.file, frozenset(import_closure.strings_in(params)) & shipped_tasks(), tuple(getattr(self.module, "DATA", ()))
        )

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(getattr(self.module, "NEEDS", ()))

    def run(self, work: Any) -> dict[str, Any]:
        """Carry out one job: write into `work.out`, return facts for the manifest."""
        facts: dict[str, Any] = self.module.run(work)
        return facts


def names() -> list[str]:
    """Every stage file, in the order of ORDER."""
    rank = {name: number for number, name in enumerate(ORDER)}
    return sorted((module.name for module in iter_modules(__path__)), key=lambda name: (rank.get(name, len(ORDER)), name))


def find(name: str) -> Stage:
    """The row of a stage."""
    return Stage(import_module(f"{__name__}.{name}"))


def table() -> list[Stage]:
    """All stages, in order."""
    return [find(name) for name in names()]


@cache
def code_version(file: Path, tasks: frozenset[str], data: tuple[Path, ...]) -> str:
    return import_closure.version(file, tasks, data)


@cache
def shipped_tasks() -> frozenset[str]:
    return frozenset(task.names())


def expensive() -> list[str]:
    """Names of the expensive stages."""
    return [stage.name for stage in table() if stage.is_expensive]
