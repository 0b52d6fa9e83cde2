"""Reads and writes the folder of a forecast: what lift to expect of a task before any training, and what that rests on"""

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pipeline.store import records
from pipeline.store.folders import Folder

Recommendation = Literal["fine-tune", "prompt first", "more data first", "prompt suffices"]
FINE_TUNE: Recommendation = "fine-tune"
PROMPT_FIRST: Recommendation = "prompt first"
MORE_DATA: Recommendation = "more data first"
PROMPT_SUFFICES: Recommendation = "prompt suffices"


class Range(TypedDict):
    """An expected figure: middle and both ends of its interval."""

    low: float
    middle: float
    high: float


class ArmForecast(TypedDict):
    """The score of an arm without training on the sample of validation examples."""

    name: str
    score: float
    low: float
    high: float
    unparsed: int
    """Answers that could not be parsed."""


class UntestedArm(TypedDict):
    """An arm that the task cannot have, or that left most prompts as they are."""

    arm: str
    why: str


class DataFigures(TypedDict):
    """Counts and figures of the data."""

    train: int
    validation: int
    test: int
    sample: int
    """Examples that were answered."""
    sampled_train: int
    """Those of them that are training examples, since there were too few for validation."""
    looked_at: int
    """Training rows that were looked at while drawing."""
    duplicates: int
    """Training rows that duplicate a test prompt exactly; they are left out."""
    near_duplicates: int
    shared_groups: int
    """Training examples from the source documents of test examples."""
    prompt_tokens: dict[str, float]
    """{mean, max}"""
    target_tokens: dict[str, float]
    compressibility: float
    overlap: float
    """ROUGE-L of targets against their prompts."""


class Evidence(TypedDict):
    """What the interval rests on."""

    source: str
    tasks: int
    cells: int
    level: float
    """Share of new tasks whose lift the interval is to hold."""
    coverage: float
    """Share of the published cells that it holds, each from the other tasks alone."""
    shares: Range
    """Of the gap between the base's score and 1."""


class Forecast(TypedDict):
    """What forecast.json holds."""

    task: str
    metric: str
    arms: list[ArmForecast]
    """The base first."""
    untested: list[UntestedArm]
    best: str
    """The arm with the highest score."""
    lift: Range
    """Fine-tuned minus base."""
    tuned: Range
    effect: Range
    """Fine-tuned minus the best arm without training."""
    smallest_effect: float
    """The minimum detectable effect of the test set."""
    confidence: float
    """Of the arms' intervals, and of the test."""
    seeds: int
    """Training seeds that the lift will be the mean of."""
    parameters: float | None
    """Of the base; null where its shape is not known."""
    published: list[float] | None
    """Lowest and highest fine-tuned score of the published bases, where the task is one of theirs."""
    data: DataFigures
    evidence: Evidence
    recommendation: Recommendation


@dataclass(frozen=True)
class ForecastFolder(Folder):
    """Written by `forecast`."""

    FORECAST = "forecast.json"

    def forecast(self) -> Forecast:
        value: Any = records.read_json(self.path / self.FORECAST)
        forecast: Forecast = value
        return forecast

    def write(self, forecast: Forecast) -> None:
        records.write_json(self.path / self.FORECAST, forecast)
