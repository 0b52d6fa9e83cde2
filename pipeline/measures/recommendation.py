"""Recommends before any training what to do: fine-tune, try a prompt first, get more data first, or keep the prompt that solves it"""

from collections.abc import Sequence

from pipeline.scoring import detectable
from pipeline.store.forecast import (
    FINE_TUNE,
    MORE_DATA,
    PROMPT_FIRST,
    PROMPT_SUFFICES,
    ArmForecast,
    DataFigures,
    Range,
    Recommendation,
)

SOLVED = 0.95
"""A score from which on an arm without training solves the task."""
MIN_SAMPLE = 20
"""Answers below which the base's score says too little."""
MIN_TRAIN = 100
"""Training examples below which none of the evidence says anything; a rule of thumb."""
DISCORDANCE = 0.2
"""Share of the test examples on which base and fine-tuned are taken to differ, at least."""
WITHOUT_MODEL = ("base", "constant")
"""Arms that no better prompt makes."""


def recommend(arms: Sequence[ArmForecast], tuned: Range, data: DataFigures, confidence: float, seeds: int) -> Recommendation:
    """The recommendation.

    Args:
        arms: those without training, at least the base.
        tuned: the expected fine-tuned score.
        confidence: of the test that will judge the lift.
        seeds: training seeds that it will have.
    """
    top = best(arms)
    if data["sample"] < MIN_SAMPLE:
        return MORE_DATA
    if top["score"] >= SOLVED:
        return PROMPT_SUFFICES
    if data["train"] < MIN_TRAIN or is_out_of_reach(tuned["high"] - top["score"], data["test"], confidence, seeds):
        return MORE_DATA
    if top["name"] not in WITHOUT_MODEL and top["score"] >= tuned["middle"]:
        return PROMPT_FIRST
    return FINE_TUNE


def best(arms: Sequence[ArmForecast]) -> ArmForecast:
    """The arm with the highest score; the first of a tie."""
    return max(arms, key=lambda arm: arm["score"])


def is_out_of_reach(effect: float, examples: int, confidence: float, seeds: int) -> bool:
    """Whether a test set of so many examples detects not even this effect."""
    return effect <= smallest_effect(effect, examples, confidence, seeds)


def smallest_effect(effect: float, examples: int, confidence: float, seeds: int) -> float:
    """The minimum detectable effect of a test set on whose examples the arms differ at least as often as an effect of this size needs."""
    return detectable.planned_effect(examples, max(DISCORDANCE, effect), confidence, seeds=seeds)
