"""Reads and writes the folder of a trial: a training that was begun to learn its validation loss"""

from dataclasses import dataclass
from typing import TypedDict

from pipeline.store import records
from pipeline.store.folders import AdapterFolder


class TrialResult(TypedDict):
    """trial.json: how far a training was, and its validation loss there."""

    steps: int
    """Optimizer steps so far."""
    total_steps: int
    """Of the whole training."""
    dev_loss: float | None
    """Nats per token, of what `finetune.keep` keeps: the lowest so far, or the last one; null where training diverged."""
    fault: str
    """Why it diverged; empty where it did not."""


@dataclass(frozen=True)
class TrialFolder(AdapterFolder):
    """Written by `trial`: the validation loss of a training so far, and its curve; there is no adapter."""

    RESULT = "trial.json"

    def result(self) -> TrialResult:
        result: TrialResult = records.read_json(self.path / self.RESULT)
        return result

    def write_result(self, result: TrialResult) -> None:
        records.write_json(self.path / self.RESULT, result)
