"""Splits a lift into parts: a constant answer, the output format, examples in the prompt, and what training added.

c0 is the base; c1 the better of base and the constant answer; c2 the better of c1 and the constrained base; c3 the better of c2 and the
few-shot base, each chosen once, on all examples. Then constant = c1 - c0, format = c2 - c1, few-shot = c3 - c2 and training = tuned - c3
sum to the lift whatever the scores are. Choosing the better one on the examples that it is scored on favours the arms without training,
so the value of `training` tends to be too small.
Its test and its interval are against all of them (see `tuned_against_best`): the best one here may not be the truly best one.
"""

from dataclasses import replace

from pipeline import arms
from pipeline.scoring import stats
from pipeline.store.figure_types import Decomposition, Gain, Part, PartName, Trial

STEPS: tuple[arms.Step, ...] = ("constant", "format", "few-shot")
"""In order; an arm's row says which step it may make."""

NO_GAIN: Gain = {"value": 0.0, "low": None, "high": None, "p": None}
"""The gain of a step that gains nothing: it has no interval."""


def decompose(names: list[str], resampled: dict[str, stats.Resampled]) -> dict[str, Decomposition]:
    """The parts of the lift, by metric.

    Args:
        names: of the arms at the indices of `resampled`, as ComparisonResult.names.
        resampled: one per metric, as ComparisonResult.resampled; a metric may lack the arms behind tuned.
    """
    return {metric: of_metric(names[: len(of_arms.observed)], of_arms) for metric, of_arms in resampled.items()}


def of_metric(names: list[str], resampled: stats.Resampled) -> Decomposition:
    """The chain of the best arms so far, and what each step adds."""
    best = stats.BASE
    candidates = [stats.BASE]
    parts: list[Part] = []
    chain = [stats.BASE]
    for step in STEPS:
        tried = [names.index(arm) for arm in arms.untrained(step) if arm in names]
        best_of_step = max(tried, key=lambda index: resampled.observed[index], default=None)
        parts.append(part(step, names, resampled, best_of_step, best))
        if best_of_step is not None and resampled.observed[best_of_step] > resampled.observed[best] + stats.TIE:
            best = best_of_step
        chain.append(best)
        candidates += tried
    lift = resampled.difference(stats.TUNED, stats.BASE)
    training = tuned_against_best(resampled, best, candidates)
    variance = resampled.seed_variance(stats.TUNED, best)
    parts.append({"name": "training", "arm": names[stats.TUNED], "over": names[best], **gain_of(training), "tried": None})
    return {
        "parts": parts,
        "lift": lift.value,
        "low": lift.low,
        "high": lift.high,
        "best_cheap": names[best],
        "candidates": [names[index] for index in candidates],
        "smallest_effect": resampled.smallest_effect(stats.TUNED, best, resampled.arms.right_or_wrong),
        "seed_errors": variance.errors if variance else None,
        "chain": [(names[index], float(resampled.observed[index])) for index in (*chain, stats.TUNED)],
    }


def part(name: PartName, names: list[str], resampled: stats.Resampled, arm: int | None, best: int) -> Part:
    """The step from the best arm so far to the given one, which may be None or score no higher."""
    if arm is None:
        return {"name": name, "arm": None, "over": names[best], **NO_GAIN, "tried": None}
    difference = resampled.difference(arm, best)
    tried: Trial = {"arm": names[arm], "value": difference.value, "low": difference.low, "high": difference.high, "p": difference.p}
    if difference.value <= stats.TIE:
        return {"name": name, "arm": names[best], "over": names[best], **NO_GAIN, "tried": tried}
    return {"name": name, "arm": names[arm], "over": names[best], **gain_of(difference), "tried": tried}


def gain_of(difference: stats.Difference) -> Gain:
    return {"value": difference.value, "low": difference.low, "high": difference.high, "p": difference.p}


def tuned_against_best(resampled: stats.Resampled, best: int, candidates: list[int]) -> stats.Difference:
    """Tuned against the best of several arms, when the sample does not show for sure which one is the best.

    Tuned is better than the best if it is better than each, so p and the lower end are the least favourable ones over all candidates
    (intersection-union test, Berger 1982, doi:10.1080/00401706.1982.10487790). It is worse than the best if it is worse than one, so p
    is multiplied by their number (Bonferroni).
    """
    over_best = resampled.difference(stats.TUNED, best)
    if over_best.value <= 0:
        return replace(over_best, p=min(1.0, len(candidates) * over_best.p))
    differences = [resampled.difference(stats.TUNED, index) for index in candidates]
    return replace(over_best, low=min(difference.low for difference in differences), p=max(difference.p for difference in differences))
