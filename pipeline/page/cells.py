"""Collects the cells of a report: one task at one point of a sweep, with the folders that its figures come from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.arms import Constraint
from pipeline.config import sweeps
from pipeline.config.data_paths import is_whole_path
from pipeline.config.recipe import VARIANT
from pipeline.machine import Work
from pipeline.measures.cell_types import AbsentArm
from pipeline.page import fmt
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.folders import HeldoutFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject
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
    rank: int | None
    """Of an adapter from elsewhere its largest; 0 of a whole model; None where there are predictions alone."""
    seeds: list[int]
    """Training seeds; of what was trained elsewhere 0, 1, ... stand for unknown ones."""
    paper: dict[str, Any]
    """{model: the base's name in LoRA Land or empty, forced_chat: whether the recipe overrules how it is prompted}."""
    inputs: dict[str, Artifact]
    """By the names of `store/input_names.py`, without the cell."""
    constraint: Constraint = ""
    """How answers to the task can be constrained; it decides what arms are called."""
    absent: list[AbsentArm] = field(default_factory=list)
    """Arms that the recipe asks for and the task cannot have."""
    variant: str | None = None
    """The recipe's name of what was fine-tuned elsewhere; None where an adapter was trained here."""

    @property
    def coordinates(self) -> str:
        return fmt.coordinates(self.point)

    @property
    def label(self) -> str:
        return f"{self.task}, {self.coordinates}" if self.point else self.task

    @property
    def adapters(self) -> list[Artifact]:
        """By training seed what was fine-tuned: an adapter, or a whole model; nothing where its weights are not here."""
        names = [str(InputName("adapter", seed=seed)) for seed in self.seeds]
        return [self.inputs[name] for name in names if self.has_fine_tune]

    @property
    def trainings(self) -> list[tuple[int, Artifact]]:
        """Every training seed with its adapter, where there are adapters."""
        return list(zip(self.seeds, self.adapters, strict=True)) if self.adapters else []

    @property
    def has_predictions_alone(self) -> bool:
        """Whether predictions of base and fine-tuned come from elsewhere, so that no model was loaded."""
        return "base" in self.inputs and self.inputs["base"].stage == "import_predictions"

    @property
    def is_behind_endpoint(self) -> bool:
        """Whether the fine-tuned model answers behind an endpoint."""
        return self.tuned_predictions[0].stage == "reference"

    @property
    def has_fine_tune(self) -> bool:
        """Whether the fine-tuned model is here, as an adapter or a whole one."""
        return not (self.has_predictions_alone or self.is_behind_endpoint)

    @property
    def is_whole_model(self) -> bool:
        """Whether the fine-tuned model is a whole one, and no adapter on the base."""
        return bool(self.adapters) and self.adapters[0].stage == "import_model"

    @property
    def fine_tune(self) -> Literal["adapter", "model", "predictions", "endpoint"]:
        """What stands for the fine-tuned model."""
        if not self.has_fine_tune:
            return "predictions" if self.has_predictions_alone else "endpoint"
        return "model" if self.is_whole_model else "adapter"

    def tuned_name(self, seed: int) -> str:
        """What the fine-tuned model of one training is called in tables of answers."""
        return self.tuned_label if self.variant and len(self.seeds) == 1 else f"{self.tuned_label}, seed {seed}"

    @property
    def tuned_label(self) -> str:
        """What the page calls the fine-tuned model: predictions from files by their own name, as nobody knows what made them."""
        return str(self.variant) if self.has_predictions_alone else "fine-tuned"

    @property
    def splits(self) -> list[Literal["heldout", "train"]]:
        """The sets of examples that it has: an adapter from elsewhere needs no training rows."""
        names: tuple[Literal["heldout", "train"], ...] = ("heldout", "train")
        return [name for name in names if name in self.inputs]

    @property
    def train_facts(self) -> dict[str, Any]:
        """Facts of the training rows; empty without any."""
        return self.inputs["train"].facts if "train" in self.inputs else {}

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
        fields = {name: spec[name] for name in ("task", "base", "paper")}
        fields |= {
            "seeds": sorted(spec["seeds"]),
            "absent": spec.get("absent", []),
            "constraint": spec["constraint"],
            "variant": spec.get("variant"),
        }  # seeds as `compare` orders its arms
        cell = Cell(name=spec["cell"], inputs=inputs, point=spec["point"], rank=spec["rank"], **fields)
        cells.append(replace(cell, base=base_name(cell), rank=rank_of(cell)))
    return cells


def rank_of(cell: Cell) -> int | None:
    """The rank of a cell's adapters; of those from elsewhere the largest, 0 of a whole model."""
    if cell.variant is None:
        return cell.rank
    return max((rank for adapter in cell.adapters for rank in adapter.facts.get("rank", [0])), default=cell.rank)


def base_name(cell: Cell) -> str:
    """The name of a base; of one in a folder of the user's machine with the hash of its weights, as the name says little elsewhere."""
    model = (cell.adapters[0] if cell.adapters else cell.inputs["base"]).params.get("model") or {}
    return f"{cell.base} (weights {model['digest'][:SHORT_KEY_DIGITS]})" if is_whole_path(model.get("folder")) else cell.base


def inputs_of(cell: str, work: Work, opened: dict[Path, Artifact]) -> Iterable[tuple[str, Artifact]]:
    for text, folder in work.inputs.items():
        name = input_names.parse(text)
        if name.cell == cell:
            yield name.in_cell(), opened[folder]


def swept(recipe: JsonObject) -> dict[str, list[Any]]:
    """The keys that tell the points of a report apart, with their values: those of the sweep, and `variant` where there are several."""
    names = [entry if isinstance(entry, str) else entry["name"] for entry in recipe.get("variants", ())]
    return sweeps.axes(recipe["sweep"]) | ({VARIANT: names} if len(names) > 1 else {})


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
