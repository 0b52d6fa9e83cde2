"""Reads and writes the files in the folders of results, which are comparisons and reports. See `folders.py`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipeline.store import records
from pipeline.store.artifact import CARD
from pipeline.store.folders import Folder, read_mapping
from pipeline.store.records import Comparison
from pipeline.store.score_types import ArmScores, CountsByArm, ExampleRow


@dataclass(frozen=True)
class ComparisonFolder(Folder):
    """Written by `compare`: scores and statistics of one task. The modules in measures/ say what a measure holds.

    A file that is not there was not measured, and is read as None.
    """

    COMPARISONS = "comparisons.jsonl"
    EXAMPLES = "examples.jsonl"
    OTHER_ARMS = "beside.json"
    COUNTS = "counts.json"
    LENIENT = "lenient.json"
    LIVENESS = "liveness.json"
    DECOMPOSITION = "decomposition.json"
    GROUNDING = "grounding.json"
    RELEVANCE = "relevance.json"
    FORGETTING = "forgetting.json"

    @property
    def examples_file(self) -> Path:
        return self.path / self.EXAMPLES

    def comparisons(self) -> list[Comparison]:
        """One a metric; p_adjusted and verdict are not set yet."""
        return list(records.read(self.path / self.COMPARISONS, Comparison))

    def write_comparisons(self, comparisons: Iterable[Comparison]) -> None:
        records.write(self.path / self.COMPARISONS, comparisons)

    def examples(self) -> Iterator[ExampleRow]:
        return cast("Iterator[ExampleRow]", records.dictionaries(self.examples_file))

    def write_examples(self, rows: Iterable[dict[str, Any]]) -> None:
        records.write_dictionaries(self.examples_file, rows)

    def other_arms(self) -> dict[str, ArmScores]:
        """By metric, the arms beside base and tuned."""
        return read_mapping(self.path / self.OTHER_ARMS)

    def counts(self) -> CountsByArm:
        return cast("CountsByArm", read_mapping(self.path / self.COUNTS))

    def liveness(self) -> list[dict[str, Any]]:
        """One report a training seed: {seed, alive, ...}; see models.liveness."""
        reports: list[dict[str, Any]] = records.read_json(self.path / self.LIVENESS)
        return reports

    def lenient(self) -> dict[str, float] | None:
        """By arm, the share of examples whose text contains the target; see scoring.ComparisonResult."""
        return self.measured(self.LENIENT)

    def decomposition(self) -> dict[str, Any] | None:
        """By metric; see measures.decompose."""
        return self.measured(self.DECOMPOSITION)

    def grounding(self) -> dict[str, Any] | None:
        """See measures.grounding."""
        return self.measured(self.GROUNDING)

    def relevance(self) -> dict[str, Any] | None:
        """{arms: {name: ...}}; see measures.relevance."""
        return self.measured(self.RELEVANCE)

    def forgetting(self) -> dict[str, Any] | None:
        """{suites: [...]}; see measures.forgetting."""
        return self.measured(self.FORGETTING)

    def measured(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        return read_mapping(path) if path.is_file() else None

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

    def data(self) -> dict[str, Any]:
        """report.json; see docs/report.md."""
        return read_mapping(self.path / self.DATA)

    def card(self, adapter: str) -> Path:
        """The model card of an adapter, by its folder's name."""
        return self.path / "cards" / adapter / CARD

    def write(self, page: str, markdown: str, data: dict[str, Any]) -> None:
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
