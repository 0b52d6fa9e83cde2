"""Decides a verdict from figures. Each kind of claim has words of its own; no other file spells them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.scoring import stats

Correction = Literal["holm", "none"]
EffectVerdict = Literal["improved", "worse", "same", "inconclusive"]
Verdict = Literal[
    "improved",
    "worse",
    "same",
    "inconclusive",
    "above base",
    "below base",
    "above the rest",
    "below the rest",
    "no regression",
    "regressed",
    "not testable",
    "lower",
    "higher",
    "cheaper",
    "not cheaper",
    "no verdict",
]
IMPROVED: Final = "improved"
WORSE: Final = "worse"
SAME: Final = "same"
"""A difference of the margin or more is ruled out either way. It goes before improved and worse."""
INCONCLUSIVE: Final = "inconclusive"
"""There is too little data for any other verdict."""
ABOVE_BASE: Final = "above base"
NO_REGRESSION: Final = "no regression"
REGRESSED: Final = "regressed"
NOT_TESTABLE: Final = "not testable"
"""The base does not beat the constant answer on that task, so there is nothing to lose."""
NO_VERDICT: Final = "no verdict"
"""Of every claim in a report that is not final: tasks are missing, or it is a smoke test."""
EFFECT_VERDICTS: tuple[EffectVerdict, ...] = (IMPROVED, WORSE, INCONCLUSIVE)
OTHER_TASK_VERDICTS: tuple[Verdict, ...] = (REGRESSED, NO_REGRESSION, INCONCLUSIVE, NOT_TESTABLE)
"""Of regressions on other tasks, what matters most first."""
THIS_TASK_ONLY: Final = "this task only"
"""Qualifies an improvement by an adapter that destroys general text."""
Tone = Literal["good", "limited", "bad", "open"]


@dataclass(frozen=True)
class Words:
    """The two definite verdicts of one kind of claim; the third is INCONCLUSIVE."""

    good: Verdict
    bad: Verdict


EFFECT = Words(IMPROVED, WORSE)
LIFT = Words(ABOVE_BASE, "below base")
"""Of a lift where a training effect is the headline: it is no praise, since a baseline without training may do better."""
REST = Words("above the rest", "below the rest")
"""Of the lift in a slice of the test set against that on all other examples."""
OTHER_TASK = Words(NO_REGRESSION, REGRESSED)
HALLUCINATION_RATE = Words("lower", "higher")
PRICE = Words("cheaper", "not cheaper")
TONED_WORDS = (EFFECT, OTHER_TASK, HALLUCINATION_RATE, PRICE)
"""Those that speak for the fine-tuned model or against it."""


def effect_verdicts(present: Collection[str]) -> tuple[Verdict, ...]:
    """The verdicts on effects in the order of tallies; `same` if it is present, since only recipes with a margin have it."""
    return (IMPROVED, WORSE, *((SAME,) if SAME in present else ()), INCONCLUSIVE)


def adjust(p: Sequence[float], correction: Correction, most_true: int | None = None) -> list[float]:
    """p over the whole family of tests, in the given order; most_true as for stats.holm."""
    return stats.holm(p, most_true) if correction == "holm" else list(p)


def decide(p_adjusted: float, low: float, high: float, confidence: float, words: Words = EFFECT) -> Verdict:
    """The good verdict above zero, the bad one below it, else `inconclusive`.

    A verdict needs both an adjusted p of at most 1 - confidence and an interval that excludes zero. The test limits
    false claims over the whole family; the interval holds what the reader is shown, and the skewness of the scores.
    """
    if p_adjusted <= 1 - confidence:
        return by_interval(low, high, words)
    return INCONCLUSIVE


def by_interval(low: float, high: float, words: Words = EFFECT) -> Verdict:
    """The verdict of an interval alone, for figures that are exploratory."""
    return words.good if low > 0 else words.bad if high < 0 else INCONCLUSIVE


def tone(verdict: Verdict | Literal[""], is_limited: bool = False) -> Tone:
    """Whether a verdict speaks for the fine-tuned model, for it on one task only, against it, or neither.

    Args:
        is_limited: whether it holds for one task only, as the adapter destroys general text.
    """
    if verdict in {words.good for words in TONED_WORDS}:
        return "limited" if is_limited else "good"
    return "bad" if verdict in {words.bad for words in TONED_WORDS} else "open"


def qualified(verdict: Verdict, is_limited: bool) -> str:
    """A verdict in words; is_limited as for `tone`."""
    return f"{verdict}, {THIS_TASK_ONLY}" if is_limited else verdict
