"""Was anything forgotten? Tuned against base on what it was not trained for: how much worse, and is that shown to be within a margin.

Non-inferiority is the upper half of Schuirmann's two one-sided tests (1987, https://doi.org/10.1007/BF01068419): the hypothesis to be
refuted is that tuned is worse by the margin or more, so that too few examples end in 'cannot tell' and never in 'kept'.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import stats
from pipeline.measures.rate import rate

Array = NDArray[np.float64]
SHOWN = 20
"""Broken examples that are listed."""


def loss_suite(rows: Sequence[dict[str, Any]], margin: float, confidence: float, resamples: int, seed: int) -> dict[str, Any]:
    """Loss on plain English as forgetting.json has it, without the suite's name; a paragraph is the unit that is resampled.

    base, tuned, difference (positive: tuned is worse), margin and KL(base || tuned) are nats a token over all tokens. `flips` counts
    the paragraphs whose own loss fell (fixed) or rose (broken) by the margin or more.

    Args:
        rows: of losses.jsonl, at least one: {tokens, base, tuned, kl}, sums over a paragraph's tokens.
    """
    tokens, base, tuned, kl = (np.array([row[name] for row in rows], dtype=np.float64) for name in ("tokens", "base", "tuned", "kl"))
    moved = tuned - base
    difference = rate(moved, tokens, confidence, resamples, seed)
    divergence = rate(kl, tokens, confidence, resamples, seed)
    return {
        "kind": "loss",
        "task_metric": None,
        "n": len(rows),
        "base": float(base.sum() / tokens.sum()),
        "tuned": float(tuned.sum() / tokens.sum()),
        **dict(zip(("difference", "low", "high"), difference, strict=True)),
        "p": below(moved, tokens, margin, worst=float((moved / tokens).max())),
        "p_worse": 1 - below(moved, tokens, margin),
        "margin": margin,
        "kl": dict(zip(("mean", "low", "high"), divergence, strict=True)),
        "flips": {"fixed": int((moved <= -margin * tokens).sum()), "broken": int((moved >= margin * tokens).sum())},
        "broken": [],
    }


def task_suite(
    rows: Sequence[dict[str, Any]], groups: NDArray[np.int64], margin: float, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Scores on a general task as forgetting.json has them, without the names of suite and metric.

    base and tuned are mean scores of examples in 0..1, difference is base - tuned (positive: tuned is worse).

    Args:
        rows: at least one: {id, prompt, target, base, tuned: what they said, scores: (base's, tuned's)}.
        groups: (n,) label of each row's source document, the unit that is resampled.
    """
    base, tuned = np.array([row["scores"] for row in rows], dtype=np.float64).T
    lost = base - tuned
    _, place = np.unique(groups, return_inverse=True)
    moved, counts = (np.bincount(place, each).astype(np.float64) for each in (lost, np.ones(len(lost))))
    broken = [
        {name: row[name] for name in ("id", "prompt", "target", "base", "tuned")}
        for row, by in zip(rows, lost, strict=True)
        if by > stats.TIE
    ]
    return {
        "kind": "task",
        "task_metric": None,
        "n": len(rows),
        "base": float(base.mean()),
        "tuned": float(tuned.mean()),
        **dict(zip(("difference", "low", "high"), rate(moved, counts, confidence, resamples, seed), strict=True)),
        "p": below(moved, counts, margin, worst=1.0),
        "p_worse": 1 - below(moved, counts, margin),
        "margin": margin,
        "kl": None,
        "flips": {"fixed": int((lost < -stats.TIE).sum()), "broken": int((lost > stats.TIE).sum())},
        "broken": broken[:SHOWN],
    }


def below(moved: Array, counts: Array, margin: float, worst: float | None = None) -> float:
    """One-sided p that the mean difference is the margin or more; small: it is shown to be smaller. 1 - p is the test the other way.

    A normal test over groups (ratio estimator), with the spread about the margin instead of about the mean, so that groups which do
    not differ at all are no proof by themselves. Mostly few examples lose much, and a sample may miss them; so `worst`, the most that
    can be lost or was, is given as much weight as would bring the mean to the margin, if that widens the spread. Where nothing flips
    and worst is 1 this is Tango's score test (1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B).

    Args:
        moved: (groups,) sums of differences, positive: tuned is worse.
        counts: (groups,) tokens or examples.
    """
    excess, mean = moved - margin * counts, float(moved.sum() / counts.sum())
    square = float((excess**2).sum())
    if worst is not None and mean < margin < worst:
        weight = (margin - mean) / (worst - mean)
        square = max(square, (1 - weight) * square + weight * float((((worst - margin) * counts) ** 2).sum()))
    return NormalDist().cdf(float(excess.sum()) / square**0.5) if square else 0.5
