"""Collects the cells of a report: one task at one point of a sweep, with the folders that its figures come from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.arms import Constraint
from pipeline.config.data_paths import is_whole_path
from pipeline.machine import Work
from pipeline.measures.cell_types import AbsentArm
from pipeline.page import fmt
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.folders import HeldoutFolder
from pipeline.store.input_names import InputName
from pipeline.store.result_folders import ComparisonFolder

Value = TypeVar("Value")
SHORT_KEY_DIGITS = 12
"""Digits of a key or digest in a report."""


@dataclass(frozen=True)
class Cell:
    name: str
    task: str
    base: str
    """As the recipe names it; of a folder with a whole path only the name."""
    point: dict[str, Any]
    """The swept keys with their values here."""
    rank: int
    seeds: list[int]
    paper: dict[str, Any]
    """{model: the base's name in LoRA Land or empty, forced_chat: whether the recipe overrules how it is prompted}."""
    inputs: dict[str, Artifact]
    """By the names of `store/input_names.py`, without the cell."""
    constraint: Constraint = ""
    """How answers to the task can be constrained; it decides what arms are called."""
    absent: list[AbsentArm] = field(default_factory=list)
    """Arms that the recipe asks for and the task cannot have."""

    @property
    def coordinates(self) -> str:
        return fmt.coordinates(self.point)

    @property
    def label(self) -> str:
        return f"{self.task}, {self.coordinates}" if self.point else self.task

    @property
    def adapters(self) -> list[Artifact]:
        return [self.inputs[str(InputName("adapter", seed=seed))] for seed in self.seeds]

    @property
    def tuned_predictions(self) -> list[Artifact]:
        """By training seed."""
        return [self.inputs[str(InputName("predictions", "tuned", seed=seed))] for seed in self.seeds]

    @property
    def comparison(self) -> ComparisonFolder:
        return ComparisonFolder(self.inputs["comparison"].path)

    @property
    def heldout(self) -> HeldoutFolder:
        return HeldoutFolder(self.inputs["heldout"].path)


def open_cells(work: Work) -> list[Cell]:
    """Raises ArtifactError where a folder holds no artifact."""
    opened: dict[Path, Artifact] = {}
    for folder in work.inputs.values():
        if folder not in opened:
            opened[folder] = Artifact.open(folder)
    cells = []
    for spec in work.params["cells"]:
        inputs = dict(inputs_of(spec["cell"], work, opened))
        fields = {name: spec[name] for name in ("task", "base", "rank", "paper")}
        fields |= {
            "seeds": sorted(spec["seeds"]),
            "absent": spec.get("absent", []),
            "constraint": spec["constraint"],
        }  # seeds as `compare` orders its arms
        cell = Cell(name=spec["cell"], inputs=inputs, point=spec["point"], **fields)
        cells.append(replace(cell, base=base_name(cell)))
    return cells


def base_name(cell: Cell) -> str:
    """The name of a base; of one in a folder of the user's machine with the hash of its weights, as the name says little elsewhere."""
    model = cell.adapters[0].params.get("model") or {}
    return f"{cell.base} (weights {model['digest'][:SHORT_KEY_DIGITS]})" if is_whole_path(model.get("folder")) else cell.base


def inputs_of(cell: str, work: Work, opened: dict[Path, Artifact]) -> Iterable[tuple[str, Artifact]]:
    for text, folder in work.inputs.items():
        name = input_names.parse(text)
        if name.cell == cell:
            yield name.in_cell(), opened[folder]


def short_key(artifact: Artifact) -> str:
    return artifact.key[:SHORT_KEY_DIGITS]


def json_safe(value: Value) -> Value:
    """The value with None for every number that JSON cannot represent."""
    plain: Any = value
    if isinstance(value, dict):
        plain = {key: json_safe(item) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        plain = [json_safe(item) for item in value]
    elif isinstance(value, float) and not math.isfinite(value):
        plain = None
    return plain  # type: ignore[no-any-return]
