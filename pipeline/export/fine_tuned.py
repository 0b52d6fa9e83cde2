"""Holds an adapter with its answers to the test examples, which its exports are compared with"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.config.recipe import Recipe
from pipeline.data.task import Task
from pipeline.export.request import MARGIN, ExportRequest
from pipeline.measures.report_types import Report
from pipeline.page.model_card import TrainedAdapter
from pipeline.store.folders import HeldoutFolder
from pipeline.store.records import Example, JsonObject


@dataclass(frozen=True)
class FineTuned:
    """An adapter of a recipe, trained and answering."""

    recipe: Recipe
    task: Task
    trained: TrainedAdapter
    report: Report | None = None
    """Of the recipe; None where its comparison is not finished, or the adapter is a cut one."""
    cut_from: int | None = None
    """The rank at which it was trained, where it was cut to a smaller one."""

    @property
    def loading(self) -> JsonObject:
        """How base and adapter are loaded: model, quantization and compute, as its answers were generated."""
        return self.trained.answers.params

    @property
    def spec(self) -> JsonObject:
        """The base, as models.base_model.Model.spec() has it."""
        spec: JsonObject = self.loading["model"]
        return spec

    @cached_property
    def examples(self) -> Sequence[Example]:
        """The test examples."""
        return HeldoutFolder(self.trained.cell.inputs["heldout"].path).examples()

    @property
    def name(self) -> str:
        """In messages."""
        several = len(self.recipe.finetune.seeds) > 1 or len(self.trained.cell.seeds) > 1
        return f"{self.trained.cell.variant or self.task.name}{f', seed {self.trained.seed}' if several else ''}"

    def margin(self, request: ExportRequest) -> float:
        """How much lower an export may score by the primary metric."""
        return next(value for value in (request.margin, self.recipe.compare.same_within, MARGIN) if value is not None)
