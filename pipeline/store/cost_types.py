"""Declares the types of speed and cost of arms, as report.json holds them."""

from typing import Literal, TypedDict

Reason = Literal["never", "speed not measured", "training not timed", "no price of an hour", "no price of a token"]
"""Why there is no number of requests: a request costs no less, or something is not known."""


class RequestRates(TypedDict):
    """How fast an arm reads and writes, one request at a time."""

    prompt_tokens_per_second: float
    """Median over requests, to the first token."""
    tokens_per_second: float | None
    """Median over requests, after the first token; null where none is written."""
    ranks: bool
    """Whether the arm ranks choices and writes nothing."""


class LatencyFigures(TypedDict):
    """Seconds of a request."""

    p50: float
    p95: float | None
    """Null of fewer than 40 requests: there it would be hardly more than the slowest one."""
    max: float


class ArmSpeed(RequestRates, LatencyFigures):
    """One request at a time, greedy, the same number of new tokens for every arm; seconds, tokens and bytes."""

    prompt_tokens: float
    """Mean of a timed prompt."""
    weight_bytes: int
    peak_bytes: int | None
    """Of the longest request; null off CUDA."""


class TimedArm(ArmSpeed):
    """An arm of speed.json with its requests."""

    latency: list[float]
    first: list[float]
    """Time to the first token."""


class ArmSpeedRow(ArmSpeed):
    """The timing of an arm, or of the one with weights of the same shape that was timed in its place."""

    timed_as: str | None
    """The arm that was timed in its place; null where it was timed itself."""
    overhead: float | None
    """Its latency over base's, median over prompts that both answered; null for base."""


class SpeedFigures(TypedDict):
    """The timing of a cell as a whole."""

    overhead: dict[str, float]
    """By arm that was timed: its latency over base's."""
    new_tokens: int
    """Tokens that each request writes."""
    prompts: int
    untimed: str | None
    """Why weights that are not quantized were not timed; else null."""
    adapter_bytes: int
    """Of the files of the adapter, or of the whole fine-tuned model."""
    context_window: int
    """Tokens."""


class Speed(SpeedFigures):
    """speed.json with the figures that follow from it."""

    arms: dict[str, TimedArm]


class ArmCost(TypedDict):
    """What an arm's requests cost, in US dollars; null where a speed or a price is not known."""

    in_per_million: float | None
    """Per million prompt tokens."""
    out_per_million: float | None
    """Per million new tokens."""
    request: float | None
    """One request of mean length."""
    seconds: float | None
    """Of the machine for such a request; null behind an endpoint."""
    over_base: float | None
    """Those seconds over base's."""


class TrainingCost(TypedDict):
    """What training took; seeds are replicates, so the price is that of one adapter."""

    adapters: int
    gpu_hours: float | None
    """Of one adapter, the mean."""
    all_gpu_hours: float | None
    dollars: float | None
    """Of one adapter; null where an hour has no price."""


class BreakEven(TypedDict):
    """From which number of requests one arm, its training included, is cheaper than another."""

    one: str
    other: str
    requests: int | None
    """Null where there is a reason."""
    unmeasured: list[str]
    """Which of the two run on this machine and were not timed."""
    reason: Reason | None


class BreakEvenRow(BreakEven):
    """A break-even with what the report adds."""

    why: str
    """The reason in words; empty where there is none."""
