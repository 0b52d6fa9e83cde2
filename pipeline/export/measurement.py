"""Measures what an export loses: its answers, scores and logits against those of the adapter that it was made from"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from pipeline.export.fine_tuned import FineTuned
from pipeline.export.load_back import Behaviour
from pipeline.machine import Machine
from pipeline.measures import equivalence
from pipeline.scoring import scoring, stats
from pipeline.scoring.stats import TIE
from pipeline.store.folders import PredictionsFolder
from pipeline.store.records import Prediction

Outcome = Literal["same", "within", "loss"]
"""`same`: a difference of the margin or more is ruled out (TOST); `within`: it loses no more than the margin on these examples, and that
is all that they show; `loss`: it loses more."""


class LogitErrors(TypedDict):
    """Exported against fine-tuned, teacher-forced on targets."""

    prompts: int
    tokens: int
    """Positions at which all logits are compared."""
    largest: float
    """Of the absolute differences of all logits."""
    relative: float
    """Root mean square of the differences over that of the logits."""
    same_next_token: float
    """Share of the positions at which both have one most likely token."""


class Measurement(TypedDict):
    """What export.json says of the loss; scores are those of the primary metric."""

    metric: str
    examples: int
    """Test examples that the export answered."""
    test_examples: int
    """All that there are."""
    fine_tuned: float
    exported: float
    change: float
    """exported - fine_tuned."""
    low: float
    high: float
    confidence: float
    """Of the interval."""
    margin: float
    p_same: float
    """That they differ by the margin or more; small: shown to be the same within it."""
    outcome: Outcome
    equal_answers: int
    equal_prompts: int | None
    """Prompts that the export reads as the ids that the adapter had; null: its weights alone were loaded."""
    logits: LogitErrors
    loaded_by: str


def measure(tuned: FineTuned, reference: list[Any], exported: Behaviour, margin: float, machine: Machine) -> Measurement:
    """The figures of an export.

    Args:
        reference: logits of the adapter, from load_back.reference_logits.

    Raises:
        ComparisonError: the adapter's own predictions lack an example.
    """
    answered = {row.example for row in exported.predictions}
    examples = [example for example in tuned.examples if example.id in answered]
    own = [row for row in PredictionsFolder(tuned.trained.answers.path).predictions() if row.example in answered]
    compare = tuned.recipe.compare
    settings = scoring.Settings(
        tuned.task.name, tuned.task.metrics[:1], compare.confidence, compare.resamples, compare.interval, compare.seed,
        {"unsafe": machine.unsafe_code} | tuned.task.metric_options,
    )  # fmt: skip
    # in the place of the base stands the adapter: the lift is what the export changes
    result = scoring.compare(examples, scoring.ArmPredictions(own, [exported.predictions]), tuned.task.answer, settings)
    (row,) = result.comparisons
    test = equivalence.tost(result.resampled[row["metric"]], stats.TUNED, stats.BASE, margin)
    return {
        "metric": row["metric"],
        "examples": len(examples),
        "test_examples": len(tuned.examples),
        "fine_tuned": row["base"],
        "exported": row["tuned"],
        "change": row["lift"],
        "low": row["low"],
        "high": row["high"],
        "confidence": compare.confidence,
        "margin": margin,
        "p_same": test["p"],
        "outcome": outcome(row["lift"], test["p"], margin, compare.confidence),
        "equal_answers": equal_answers(own, exported.predictions),
        "equal_prompts": exported.equal_prompts,
        "logits": logit_errors(reference, exported.logits),
        "loaded_by": exported.library,
    }


def outcome(change: float, p_same: float, margin: float, confidence: float) -> Outcome:
    """What a change of the score means."""
    if change < -margin - TIE:
        return "loss"
    return "same" if p_same <= 1 - confidence + TIE else "within"


def equal_answers(own: Sequence[Prediction], exported: Sequence[Prediction]) -> int:
    """How many answers have the same text."""
    texts = {row.example: row.text for row in own}
    return sum(texts[row.example] == row.text for row in exported)


def logit_errors(reference: Sequence[Any], exported: Sequence[Any]) -> LogitErrors:
    """The differences of logits, in float32.

    Args:
        reference, exported: of each prompt (tokens, vocabulary).
    """
    pairs = list(zip(reference, exported, strict=True))
    differences = [(two - one) for one, two in pairs]
    equal = [(one.argmax(-1) == two.argmax(-1)) for one, two in pairs]
    tokens = sum(map(len, reference))
    return {
        "prompts": len(pairs),
        "tokens": tokens,
        "largest": max(float(rows.abs().max()) for rows in differences),
        "relative": (sum(float(rows.square().sum()) for rows in differences) / sum(float(one.square().sum()) for one, _ in pairs)) ** 0.5,
        "same_next_token": sum(int(rows.sum()) for rows in equal) / tokens,
    }
