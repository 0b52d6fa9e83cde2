"""Compares an arm with the fine-tuned model of the first training seed alone, from which it was made."""

from dataclasses import replace

from pipeline.scoring import stats
from pipeline.scoring.stats import Resampled


def beside_first_seed(resampled: Resampled, arm: int) -> Resampled:
    """Two arms: at stats.BASE the fine-tuned model of the first seed, at stats.TUNED the arm. Resampled with seed 0."""
    arms = resampled.arms
    columns = [arms.rows(stats.TUNED).start, arms.rows(arm).start]
    pair = replace(arms, sums=arms.sums[:, columns], seeds=1)
    (one_seed,) = stats.resample([pair], len(resampled.bootstrap_scores), 0, resampled.confidence, resampled.method)
    return one_seed
