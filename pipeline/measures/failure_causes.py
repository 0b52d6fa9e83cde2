"""Names likely causes of a failed fine-tune: unparsable answers, one answer to all, few steps, a loss that did not fall, destroyed text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.provenance_types import AdapterRow
from pipeline.store.figure_types import SuiteRow

CauseKind = Literal["unparsed", "truncated", "endless", "one answer", "few steps", "loss not falling"]
LARGE_SHARE = 0.5
"""From this share of unusable answers on, they explain a low score."""
COLLAPSED_SHARE = 0.95
"""From this share of equal answers on, a fine-tuned model gives one answer to everything, if the targets vary."""
FEW_STEPS = 50
"""Fewer optimizer steps than this seldom teach a format."""
SMALL_FALL = 0.05
"""A training loss that falls by less than this share has not fallen."""
DESTROYED_NATS = 1.0
"""A loss on plain English that rises by more nats per token than this: each token is on average e times less likely."""


@dataclass(frozen=True)
class Cause:
    """One likely cause with its figures."""

    kind: CauseKind
    value: float
    """Answers, optimizer steps, or the last training loss."""
    of: float = 0.0
    """All answers, or the first training loss."""
    answer: str = ""
    """The one that nearly all examples get; empty unless it is a choice, since model cards quote no other text of a user's data."""


def causes(cell: CellRow, adapters: Mapping[str, AdapterRow]) -> tuple[Cause, ...]:
    """The causes that the figures show, those of the answers first.

    Args:
        adapters: the trainings of the report, by short key.
    """
    trained = [adapters[key] for key in cell["adapters"] if key in adapters]
    return (*of_answers(cell["arms"]), *one_answer(cell), *of_training(trained))


def of_answers(arms: Sequence[ArmRow]) -> list[Cause]:
    counts = next((arm["counts"] for arm in arms if arm["name"] == "tuned"), None)
    if not counts or not counts["n"]:
        return []
    shares: list[tuple[CauseKind, int | None]] = [
        ("truncated", counts["truncated"]),
        ("endless", counts["endless"]),
        ("unparsed", counts["unparsed"]),
    ]
    return [Cause(kind, number or 0, counts["n"]) for kind, number in shares if (number or 0) > LARGE_SHARE * counts["n"]]


def one_answer(cell: CellRow) -> list[Cause]:
    """That the model gives nearly all examples one answer, where their targets vary at least twice as much as its answers do."""
    commonest = cell["examples"]["commonest"]
    if commonest is None or commonest["count"] < COLLAPSED_SHARE * commonest["answers"]:
        return []
    other_answers, other_targets = 1 - commonest["count"] / commonest["answers"], 1 - commonest["target_share"]
    is_collapsed = other_targets > 0 and round(2 * other_answers, 9) <= round(other_targets, 9)
    answer = commonest["answer"] if cell["constraint"] == "choices" else ""
    return [Cause("one answer", commonest["count"], commonest["answers"], answer)] if is_collapsed else []


def of_training(trained: Sequence[AdapterRow]) -> list[Cause]:
    """Causes in the training of any seed, each kind once."""
    by_kind: dict[CauseKind, Cause] = {}
    for adapter in trained:
        if adapter["steps"] is not None and adapter["steps"] < FEW_STEPS:
            by_kind.setdefault("few steps", Cause("few steps", adapter["steps"]))
        losses = [loss for _, loss in adapter["curve"]["train"]]
        if len(losses) > 1 and min(losses[1:]) > (1 - SMALL_FALL) * losses[0]:
            by_kind.setdefault("loss not falling", Cause("loss not falling", losses[-1], losses[0]))
    return list(by_kind.values())


def destroys_text(suites: Sequence[SuiteRow]) -> float | None:
    """By how many nats per token the loss on plain English rose, if that destroys general text; else None, as where the base knew none."""
    losses = [suite for suite in suites if suite["kind"] == "loss" and suite["measurable"]]
    rise = next((suite["difference"] for suite in losses if suite["low"] > 0), None)
    return rise if rise is not None and rise > DESTROYED_NATS else None
