"""Tests whether a figure of ours agrees with the published one: agree, higher, lower or not comparable, with an interval.

The paper prints a point estimate on its n rows and no interval. Ours agrees if the 95 % interval of the difference, taken
as of two independent samples, covers zero. What to make of that:

- "agree" is weak evidence. It says that these two test sets cannot separate the figures; half the width of the interval
  is printed after the word, and no smaller difference could have been detected.
- Both sides score mostly the same rows, so their errors go together and the true interval of the difference is narrower than
  the one used here. The paper's answers are not published, so nobody can pair them.
- Only the draw of the examples is in the interval. A fine-tuned figure also varies from one training run to the next; the paper
  has one run per cell, and this spread is unknown. So "higher" and "lower" of a fine-tuned figure or a lift do not say why.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from pipeline.lora_land.published import PublishedScore

Figure = Literal["base", "tuned", "lift"]
Word = Literal["agree", "higher", "lower", "not comparable"]
CONFIDENCE = 0.95
MIN_EXAMPLES = 30
"""With fewer examples hardly any difference is detectable, so they are not compared."""


@dataclass(frozen=True)
class OurFigure:
    """One figure of ours, and how it was measured."""

    figure: Figure
    value: float
    """A score in 0..1, or a lift in -1..1; the mean over training seeds where there are several."""
    n: int
    """Examples."""
    metric: str
    """The paper's key, if the value was made by the paper's own rule (rouge, accuracy, mae, humaneval); else any other name."""
    split: str
    subset: str = ""
    """As in data/published/rows.csv; empty for rows of the task as a whole."""
    zero_one: bool = False
    """Whether an example scores 0 or 1 and nothing between."""
    deviations: tuple[float, ...] = ()
    """Standard deviation of the scores of our examples, for metrics that are not 0/1: one for a score, base and fine-tuned for a lift."""
    error: float | None = None
    """Standard error from our bootstrap: needed for a lift, taken instead of the deviation for a score that is not 0/1."""
    other_differences: tuple[str, ...] = ()
    """Further differences from the paper, in words: "a chat template was forced"."""


@dataclass(frozen=True)
class Agreement:
    word: Word
    """`higher`: ours is above the paper's."""
    low: float | None
    """Interval of ours minus the paper's; None where they cannot be compared."""
    high: float | None
    why: str


def agreement(ours: OurFigure, published: PublishedScore | None) -> Agreement:
    """Compare a figure of ours with the paper's; `published` is None for a base that is not in the paper.

    A 0/1 score: Newcombe's hybrid score interval of two independent proportions (1998, Statistics in Medicine 17, 873-890).
    A mean of other scores: the normal interval, with the standard deviation of our examples on both sides, since the
    paper's is unknown. A lift: the normal interval with our bootstrap error and, for the paper, the summed variances of its
    two arms as if these were independent; arms that answer the same rows go together, so this is wider than the truth.
    """
    reason = obstacle(ours, published)
    if reason or published is None:
        return Agreement("not comparable", None, None, reason)
    theirs = value_of(ours.figure, published)
    assert theirs is not None  # obstacle() has looked
    if ours.zero_one and ours.figure != "lift":
        low, high = newcombe(ours.value, ours.n, theirs, published.n)
    else:
        half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.hypot(own_error(ours), paper_error(ours, published))
        low, high = ours.value - theirs - half, ours.value - theirs + half
    word: Word = "agree" if low <= 0 <= high else "higher" if low > 0 else "lower"
    return Agreement(word, low, high, explanation(ours, theirs, published, (low, high)))


def value_of(figure: Figure, published: PublishedScore) -> float | None:
    return {"base": published.base, "tuned": published.score, "lift": published.lift}[figure]


def obstacle(ours: OurFigure, published: PublishedScore | None) -> str:
    """Why the two cannot be compared; empty if they can."""
    if published is None:
        return "the paper has no such base"
    rows = published.rows
    checks = {
        f"the paper has no {ours.figure} for {published.model}": value_of(ours.figure, published) is None,
        f"another metric: ours is {ours.metric}, the paper's {published.metric}": ours.metric != published.metric,
        f"the rows that the paper scored are not known (perhaps {rows.n})": not rows.is_certain,
        f"another split: ours is {split_name(ours.split, ours.subset)}, the paper's {split_name(rows.split, rows.subset)}": (
            (ours.split, ours.subset) != (rows.split, rows.subset)
        ),
        f"too few rows: {ours.n} of ours, at least {MIN_EXAMPLES} are needed": ours.n < MIN_EXAMPLES,
        "the spread of our scores is zero or not known": no_spread(ours),
    }
    return "; ".join([*(reason for reason, holds in checks.items() if holds), *ours.other_differences])


def split_name(split: str, subset: str) -> str:
    return f"{split} of {subset}" if subset else split


def no_spread(ours: OurFigure) -> bool:
    """Newcombe's interval is the only one that works with a spread of zero."""
    if ours.figure == "lift":
        return not ours.error or (not ours.zero_one and not (len(ours.deviations) == 2 and all(ours.deviations)))
    return not ours.zero_one and not (len(ours.deviations) == 1 and all(ours.deviations))


def newcombe(ours: float, n: int, theirs: float, m: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(ours * n, n, round(theirs * m), m, method="newcomb", compare="diff", alpha=1 - CONFIDENCE)
    return float(low), float(high)


def own_error(ours: OurFigure) -> float:
    """Standard error of our figure."""
    return ours.error if ours.error is not None else ours.deviations[0] / math.sqrt(ours.n)


def paper_error(ours: OurFigure, published: PublishedScore) -> float:
    """Standard error of the paper's figure, as far as it can be known.

    Right or wrong: one success and one failure are added to each arm, so that a score of 0 or 1 is not taken for
    certain (Agresti and Caffo 2000, doi:10.1080/00031305.2000.10474560).
    """
    n = published.n
    if not ours.zero_one:
        return math.hypot(*ours.deviations) / math.sqrt(n)
    arms = [(score * n + 1) / (n + 2) for score in (published.base, published.score) if score is not None]
    return math.sqrt(sum(p * (1 - p) / (n + 2) for p in arms))


def explanation(ours: OurFigure, theirs: float, published: PublishedScore, ends: tuple[float, float]) -> str:
    low, high = (f"{100 * end:+.1f}" for end in ends)
    half = f"{100 * (ends[1] - ends[0]) / 2:.1f}"
    if ours.figure == "lift":
        method = "our bootstrap error; the paper's two arms as if independent"
    elif ours.zero_one:
        method = "two proportions, Newcombe"
    else:
        method = "the spread of our examples on both sides"
    if published.rows.evidence == "rule":
        method += "; the paper's rows are inferred"
    gap = f"{100 * (ours.value - theirs):+.1f} points from {theirs:.3f}, 95 % interval [{low}, {high}]"
    return f"{gap}: differences under about {half} cannot be seen (n = {ours.n:,} and {published.n:,}; {method})"
