"""Declares the types of lifts along the swept keys, as report.json holds them."""

from typing import Any, Literal, TypedDict

from pipeline.measures.cell_types import Run
from pipeline.scoring.verdict import Verdict


class SweepAxis(TypedDict):
    """A swept key along which lifts are drawn."""

    axis: str | None
    log: int | None
    """Base of a logarithmic axis; null for a linear one."""


class SweepPoint(TypedDict):
    """A cell as a point of the sweep."""

    cell: str
    task: str
    point: dict[str, Any]
    """The swept keys with their values."""
    value: Any
    """Along the first axis; null where there is none."""
    series: dict[str, Any]
    """The other swept keys with their values."""
    metric: str
    base: float
    tuned: float
    lift: float
    low: float
    high: float
    p_adjusted: float | None
    verdict: Verdict | Literal[""]
    runs: list[Run] | None
    trainable_parameters: int | None
    """Null where predictions come from elsewhere."""
    adapter_bytes: int | None
    """Null as above."""
    seconds: float | None
    """Of training, the mean over seeds; null where it was done elsewhere."""


class Sweep(SweepAxis):
    """Lifts along the swept keys; axis and log are those of the first axis, null where there is none."""

    keys: list[str]
    axes: list[SweepAxis]
    """Rank before training examples; where neither is swept the one numeric key."""
    points: list[SweepPoint]
    rate_note: str
    """That the learning rate was not searched for each point, where the best one may differ among them; empty where it is swept."""
