"""Reads and writes the files of the folders that training and comparison need, a class for each kind of folder.

Stages read and write their folders through these classes alone. The folders of results are in `result_folders.py`, so that a change
of what a report holds is no change of what training reads.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pipeline.store import records
from pipeline.store.artifact import Artifact
from pipeline.store.records import Example, Prediction


@dataclass(frozen=True)
class Folder:
    """A folder that a stage writes, or one that was sealed."""

    path: Path


@dataclass(frozen=True)
class PreparedFolder(Folder):
    """Written by `prepare`: examples of one split."""

    EXAMPLES = "examples.jsonl"
    DROPPED = "dropped.json"

    def examples(self) -> list[Example]:
        return list(records.read(self.path / self.EXAMPLES, Example))

    def write_examples(self, examples: Iterable[Example]) -> int:
        """Returns the number of examples."""
        return records.write(self.path / self.EXAMPLES, examples)

    def dropped(self) -> dict[str, Any]:
        """By reason, rows of the source that were left out: {count, first: [location], value}."""
        return read_mapping(self.path / self.DROPPED)

    def write_dropped(self, reasons: dict[str, Any]) -> None:
        records.write_json(self.path / self.DROPPED, reasons)


@dataclass(frozen=True)
class HeldoutFolder(PreparedFolder):
    """The held-out examples of a task."""

    PREFACE = "preface.txt"

    def preface(self) -> str:
        """The few-shot block that the task puts before every prompt; empty for most tasks."""
        path = self.path / self.PREFACE
        return path.read_text("utf-8") if path.exists() else ""

    def write_preface(self, text: str) -> None:
        (self.path / self.PREFACE).write_text(text, "utf-8")


@dataclass(frozen=True)
class TrainFolder(PreparedFolder):
    """The training examples of a task, and those for the dev loss."""

    DEV = "dev.jsonl"
    OVERLAP = "overlap.json"

    def dev(self) -> list[Example]:
        return list(records.read(self.path / self.DEV, Example))

    def write_dev(self, examples: Iterable[Example]) -> int:
        """Returns the number of examples."""
        return records.write(self.path / self.DEV, examples)

    def overlap(self) -> dict[str, Any]:
        """Training prompts left out as copies of held-out ones: {exact, near, threshold, pairs: [{train, heldout, similarity, kind}]}."""
        return read_mapping(self.path / self.OVERLAP)

    def write_overlap(self, overlap: dict[str, Any]) -> None:
        records.write_json(self.path / self.OVERLAP, overlap)


@dataclass(frozen=True)
class AdapterFolder(Folder):
    """Written by `finetune`: an adapter as peft saves it, and its training curve."""

    WEIGHTS = "adapter_model.safetensors"
    CURVE = "curve.csv"

    @property
    def curve_file(self) -> Path:
        return self.path / self.CURVE

    def weights_bytes(self) -> int:
        return (self.path / self.WEIGHTS).stat().st_size

    def weights(self) -> int:
        """Weights in the file, trained or not."""
        from safetensors import safe_open

        with safe_open(self.path / self.WEIGHTS, "np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (it is no mapping)

    def targets(self) -> list[str]:
        """The full names of the modules that carried the adapter when it was trained."""
        names: list[str] = Artifact.open(self.path).facts["targets"]
        return names

    def zero_modules(self) -> list[str]:
        """Those of them whose B matrix was zero where it came from; of an adapter that was trained here none may be."""
        names: list[str] = Artifact.open(self.path).facts.get("zero_modules", [])
        return names


@dataclass(frozen=True)
class ModelFolder(Folder):
    """Written by `import_model`: which fine-tuned model it is; the weights stay where they are."""

    MODEL = "model.json"

    def spec(self) -> dict[str, Any]:
        """What identifies the model, as models.base_model.Model.spec() has it."""
        return read_mapping(self.path / self.MODEL)

    def write_spec(self, spec: dict[str, Any]) -> None:
        records.write_json(self.path / self.MODEL, spec)


class LivenessMeasures(TypedDict):
    """liveness.json of an arm: the measures that show whether its adapter, or whole fine-tuned model, changes anything."""

    tensors: int
    """B matrices; of a whole model the tensors that are not those of the base."""
    zero_tensors: list[str]
    targets: int
    """Modules that were trained."""
    unmatched: list[str]
    """Those of them that the model lacks."""
    probes: int
    """Prompts whose next-token logits were compared."""
    largest_logit_difference: float


@dataclass(frozen=True)
class PredictionsFolder(Folder):
    """Written by `generate` and `reference`: one arm's answers to the held-out examples."""

    PREDICTIONS = "predictions.jsonl"
    LIVENESS = "liveness.json"

    def predictions(self) -> list[Prediction]:
        return list(records.read(self.path / self.PREDICTIONS, Prediction))

    def write_predictions(self, predictions: Iterable[Prediction]) -> int:
        """Returns the number of predictions."""
        return records.write(self.path / self.PREDICTIONS, predictions)

    def liveness(self) -> LivenessMeasures:
        """The measures of the arm's adapter; see models.liveness."""
        signs: LivenessMeasures = records.read_json(self.path / self.LIVENESS)
        return signs

    def write_liveness(self, liveness: LivenessMeasures) -> None:
        records.write_json(self.path / self.LIVENESS, liveness)


class RoundRow(TypedDict):
    """A row of rounds.jsonl: one repair of one program."""

    example: str
    round: int
    """Counted from 1."""
    test: str
    """The visible test that failed and was traced."""
    outcome: str
    """What the tested call gave, or how it ended."""
    verdicts: str
    """The model's verdicts on the steps of the run, verbatim."""
    program: str
    """After the round."""
    passed: int
    """Visible tests that it passes."""
    tests: int


@dataclass(frozen=True)
class DebuggedFolder(PredictionsFolder):
    """Written by `debug` and `debug_by_endpoint`: an arm's programs after debugging."""

    ROUNDS = "rounds.jsonl"

    def rounds(self) -> list[RoundRow]:
        rows: Iterable[Any] = records.read_dictionaries(self.path / self.ROUNDS)
        return list(rows)

    def write_rounds(self, rows: Iterable[RoundRow]) -> None:
        records.write_dictionaries(self.path / self.ROUNDS, rows)


class RelevanceRow(TypedDict):
    """A row of relevance.jsonl: log-probability of an answer, summed, in nats."""

    example: str
    tokens: int
    own: float
    """After its own prompt."""
    other: float | None
    """After another prompt; null where there is none."""
    alone: float
    """After no prompt."""


@dataclass(frozen=True)
class RelevanceFolder(Folder):
    """Written by `relevance`: log-probabilities of one arm's answers under the base."""

    RELEVANCE = "relevance.jsonl"

    def rows(self) -> list[RelevanceRow]:
        rows: Iterable[Any] = records.read_dictionaries(self.path / self.RELEVANCE)
        return list(rows)

    def write_rows(self, rows: Iterable[RelevanceRow]) -> None:
        records.write_dictionaries(self.path / self.RELEVANCE, rows)


class LossRow(TypedDict):
    """A row of losses.jsonl: sums over a paragraph's tokens, in nats."""

    example: str
    """Id of the paragraph."""
    tokens: int
    base: float
    tuned: float
    kl: float


@dataclass(frozen=True)
class LossesFolder(Folder):
    """Written by `general_loss`: losses on the general paragraphs with and without an adapter."""

    LOSSES = "losses.jsonl"

    def rows(self) -> list[LossRow]:
        rows: Iterable[Any] = records.read_dictionaries(self.path / self.LOSSES)
        return list(rows)

    def write_rows(self, rows: Iterable[LossRow]) -> None:
        records.write_dictionaries(self.path / self.LOSSES, rows)


@dataclass(frozen=True)
class SpeedFolder(Folder):
    """Written by `speed`: timings of single requests."""

    SPEED = "speed.json"

    def measurements(self) -> dict[str, Any]:
        """{arms: {name: ...}, new_tokens, untimed, adapter_bytes, context_window}; an arm's row is engine.timing.ArmTimer.measurements."""
        return read_mapping(self.path / self.SPEED)

    def write_measurements(self, measurements: dict[str, Any]) -> None:
        records.write_json(self.path / self.SPEED, measurements)


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object."""
    value: dict[str, Any] = records.read_json(path)
    return value
