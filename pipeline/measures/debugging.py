"""Measures what debugging changed: the hidden tests of an arm's programs, before and after."""

from collections.abc import Sequence

from pipeline import arms
from pipeline.measures.first_seed import beside_first_seed
from pipeline.scoring import stats
from pipeline.scoring.stats import Resampled
from pipeline.store.figure_types import DebuggedScores


def measure(names: Sequence[str], resampled: Resampled) -> list[DebuggedScores]:
    """After minus before for every debugged arm, on the same examples; of several training seeds the first, whose programs were debugged.

    Args:
        names: of the arms at the indices of `resampled`, the primary metric's.
    """
    return [
        change(name, resampled, index, names.index(arms.find(name).debugs))
        for index, name in enumerate(names[: len(resampled.observed)])
        if arms.find(name).debugs
    ]


def change(name: str, resampled: Resampled, after: int, before: int) -> DebuggedScores:
    if before == stats.TUNED and resampled.arms.seeds > 1:
        resampled, after, before = beside_first_seed(resampled, after), stats.TUNED, stats.BASE
    difference = resampled.difference(after, before)
    scores = [resampled.arms.aggregate(resampled.arms.sums[:, resampled.arms.rows(arm)])[:, 0] for arm in (after, before)]
    gains = scores[0] - scores[1]
    return {
        "arm": name,
        "before": float(resampled.observed[before]),
        "after": float(resampled.observed[after]),
        "value": difference.value,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "fixed": int((gains > stats.TIE).sum()),
        "broken": int((gains < -stats.TIE).sum()),
    }
