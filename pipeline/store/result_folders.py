"""Reads and writes the files of comparison and report folders. See `folders.py`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.store import records
from pipeline.store.artifact import CARD
from pipeline.store.figure_types import (
    DebuggedScores,
    Decomposition,
    EquivalenceTests,
    HallucinationByArm,
    Liveness,
    RelevanceByArm,
    Suites,
)
from pipeline.store.folders import Folder, read_mapping
from pipeline.store.score_types import ArmScores, Comparison, CountsByArm, ExampleRow
from pipeline.store.selection_types import Selection
from pipeline.store.slice_types import Slicing, SlicingScores


@dataclass(frozen=True)
class SlicingFolder(Folder):
    """Written by `slice_examples`: the slice of every test example, by each entry of the recipe."""

    SLICING = "slicing.json"

    def slicings(self) -> list[Slicing]:
        rows: list[Slicing] = records.read_json(self.path / self.SLICING)
        return rows

    def write_slicings(self, slicings: Sequence[Slicing]) -> None:
        records.write_json(self.path / self.SLICING, slicings)


@dataclass(frozen=True)
class SpectrumFolder(Folder):
    """Written by `spectrum`: singular values of the update of every module of an adapter."""

    SPECTRUM = "spectrum.json"

    def modules(self) -> dict[str, list[float]]:
        """By full name of the module, the largest first."""
        rows: dict[str, list[float]] = records.read_json(self.path / self.SPECTRUM)
        return rows

    def write_modules(self, modules: Mapping[str, Sequence[float]]) -> None:
        records.write_json(self.path / self.SPECTRUM, modules)


@dataclass(frozen=True)
class SelectionFolder(Folder):
    """Written by `select`: the trials of a task at a point, and which was chosen."""

    SELECTION = "selection.json"

    def selection(self) -> Selection:
        selection: Selection = records.read_json(self.path / self.SELECTION)
        return selection

    def write_selection(self, selection: Selection) -> None:
        records.write_json(self.path / self.SELECTION, selection)


@dataclass(frozen=True)
class ComparisonFolder(Folder):
    """Written by `compare`: scores and statistics of one task. For the shapes see `score_types.py` and `figure_types.py`.

    A file that is not there was not measured, and is read as None.
    """

    COMPARISONS = "comparisons.jsonl"
    EXAMPLES = "examples.jsonl"
    OTHER_ARMS = "beside.json"
    COUNTS = "counts.json"
    LENIENT = "lenient.json"
    LIVENESS = "liveness.json"
    DECOMPOSITION = "decomposition.json"
    HALLUCINATION = "hallucination.json"
    RELEVANCE = "relevance.json"
    OTHER_TASKS = "forgetting.json"
    EQUIVALENCE = "equivalence.json"
    SLICES = "slices.json"
    DEBUGGING = "debugging.json"

    @property
    def examples_file(self) -> Path:
        return self.path / self.EXAMPLES

    def comparisons(self) -> list[Comparison]:
        """One per metric."""
        rows: Iterator[Any] = records.read_dictionaries(self.path / self.COMPARISONS)
        return list(rows)

    def write_comparisons(self, comparisons: Iterable[Comparison]) -> None:
        records.write_dictionaries(self.path / self.COMPARISONS, comparisons)

    def examples(self) -> Iterator[ExampleRow]:
        rows: Iterator[Any] = records.read_dictionaries(self.examples_file)
        return rows

    def write_examples(self, rows: Iterable[ExampleRow]) -> None:
        records.write_dictionaries(self.examples_file, rows)

    def other_arms(self) -> dict[str, ArmScores]:
        """By metric."""
        scores: dict[str, ArmScores] = records.read_json(self.path / self.OTHER_ARMS)
        return scores

    def counts(self) -> CountsByArm:
        counts: CountsByArm = records.read_json(self.path / self.COUNTS)
        return counts

    def liveness(self) -> list[Liveness]:
        """One per training seed."""
        reports: list[Liveness] = records.read_json(self.path / self.LIVENESS)
        return reports

    def lenient(self) -> dict[str, float] | None:
        """By arm, the share of examples whose target is in the text."""
        shares: dict[str, float] | None = self.measured(self.LENIENT)
        return shares

    def decomposition(self) -> dict[str, Decomposition] | None:
        """By metric."""
        by_metric: dict[str, Decomposition] | None = self.measured(self.DECOMPOSITION)
        return by_metric

    def equivalence(self) -> EquivalenceTests | None:
        """None where the recipe has no margin for it."""
        tests: EquivalenceTests | None = self.measured(self.EQUIVALENCE)
        return tests

    def slices(self) -> list[SlicingScores]:
        """One entry for each of the recipe's; none where it has none."""
        scores: list[SlicingScores] | None = self.measured(self.SLICES)
        return scores or []

    def debugging(self) -> list[DebuggedScores]:
        """One entry for each arm whose programs were debugged."""
        scores: list[DebuggedScores] | None = self.measured(self.DEBUGGING)
        return scores or []

    def hallucination(self) -> HallucinationByArm | None:
        by_arm: HallucinationByArm | None = self.measured(self.HALLUCINATION)
        return by_arm

    def relevance(self) -> RelevanceByArm | None:
        by_arm: RelevanceByArm | None = self.measured(self.RELEVANCE)
        return by_arm

    def other_tasks(self) -> Suites | None:
        suites: Suites | None = self.measured(self.OTHER_TASKS)
        return suites

    def measured(self, name: str) -> Any:
        """What a file holds; None where it is not there."""
        path = self.path / name
        return records.read_json(path) if path.is_file() else None

    def write_json(self, values: dict[str, Any]) -> None:
        """Write JSON files.

        Args:
            values: file name, one of the constants above, to what the file is to hold.
        """
        for name, value in values.items():
            records.write_json(self.path / name, value)


@dataclass(frozen=True)
class ReportFolder(Folder):
    """Written by `report`: the page, the same as Markdown and as data, charts, and a model card for every adapter."""

    PAGE = "report.html"
    MARKDOWN = "report.md"
    DATA = "report.json"

    @property
    def page(self) -> Path:
        return self.path / self.PAGE

    def data(self) -> Any:
        """report.json; see measures.report_types.Report and docs/report.md."""
        return read_mapping(self.path / self.DATA)

    def card(self, adapter: str) -> Path:
        """The model card of an adapter, by its folder's name."""
        return self.path / "cards" / adapter / CARD

    def write(self, page: str, markdown: str, data: Mapping[str, object]) -> None:
        self.page.write_text(page, "utf-8")
        (self.path / self.MARKDOWN).write_text(markdown, "utf-8")
        (self.path / self.DATA).write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")

    def write_card(self, adapter: str, text: str) -> None:
        path = self.card(adapter)
        path.parent.mkdir(parents=True)
        path.write_text(text, "utf-8")

    def write_chart(self, name: str, svg: str, png: bytes) -> None:
        folder = self.path / "charts"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.svg").write_text(svg, "utf-8")
        (folder / f"{name}.png").write_bytes(png)
