"""Summarizes the effects on many tasks: how many got which verdict, and one claim on their mean."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, stdev

from pipeline.measures.cell_types import Headline
from pipeline.measures.pooled_types import Overview
from pipeline.scoring import verdict
from pipeline.scoring.seed_variance import inverted, t_quantile, z_quantile
from pipeline.scoring.verdict import Correction, effect_verdicts
from pipeline.store.figure_types import PartialInterval


def overview(
    headlines: Sequence[Headline], confidence: float, claims: int = 0, correction: Correction = "none", sources: Sequence[str] = ()
) -> Overview:
    """The effects of these tasks together; each counts once, by its own metric.

    The claim is that the mean effect on these very tasks is not 0. Its p stands beside the family of the tasks' own claims: under Holm it
    is multiplied by one more than their number, as Bonferroni would, and theirs stay as they are.

    Args:
        headlines: of the tasks, at least one.
        confidence: of all intervals, those of the headlines included.
        claims: confirmatory claims of the report besides this one.
        sources: of the test examples of each task, where some may share them; empty: none do.
    """
    effects = [row["effect"] for row in headlines]
    mean, error = fmean(effects), error_of_mean(headlines, confidence, sources)
    low, high = around(mean, error, confidence)
    p = None if error is None else p_over_seeds(mean, headlines, confidence, sources) if has_seeds(headlines) else two_sided_p(mean, error)
    p_adjusted = None if p is None else min(1.0, p * (claims + 1)) if correction == "holm" else p
    kinds = {row["kind"] for row in headlines}
    verdicts: list[str] = [row["verdict"] for row in headlines]
    across = over_tasks(effects, confidence)
    return {
        "tasks": len(headlines),
        "verdicts": {word: verdicts.count(word) for word in effect_verdicts(verdicts)},
        "kind": "lift" if kinds == {"lift"} else "training effect",
        "mean": mean,
        "low": low,
        "high": high,
        "p": p,
        "p_adjusted": p_adjusted,
        "verdict": verdict.INCONCLUSIVE
        if p_adjusted is None or low is None or high is None
        else verdict.decide(p_adjusted, low, high, confidence),
        "over_tasks": across,
        "sentence": "",
    }


def error_of_mean(rows: Sequence[PartialInterval], confidence: float, sources: Sequence[str] = ()) -> float | None:
    """Standard error of the mean of estimates with intervals: sqrt(sum of e_i^2) / k, where e_i is half an interval over z. None without
    an interval of each.

    It is that of other test examples, and other training seeds where the intervals cover them, for the same tasks; errors are independent,
    as tasks share neither examples nor adapters. Tasks on the examples of one source may err alike, so theirs are added as they are.
    Half an interval holds the quantiles of its own parts, so an interval of the mean at the same confidence adds those of all tasks in
    quadrature, as `seed_variance` does within a task.
    """
    ends = [(row["low"], row["high"]) for row in rows]
    widths = [high - low for low, high in ends if low is not None and high is not None and math.isfinite(high - low)]
    if len(widths) < len(rows):
        return None
    return together(widths, sources) / (2 * NormalDist().inv_cdf((1 + confidence) / 2)) / len(rows)


def together(errors: Sequence[float], sources: Sequence[str]) -> float:
    """The error of a sum: those of one source added, and those of several in quadrature; without sources each has its own."""
    by_source: dict[str, float] = {}
    for error, source in zip(errors, sources or map(str, range(len(errors))), strict=True):
        by_source[source] = by_source.get(source, 0.0) + error
    return math.hypot(*by_source.values())


def around(mean: float, error: float | None, confidence: float) -> tuple[float | None, float | None]:
    if error is None:
        return None, None
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return mean - half, mean + half


def two_sided_p(mean: float, error: float) -> float:
    """Of the hypothesis that the true mean is 0, by the normal distribution; without any error 0, and 1 for a mean of 0."""
    if error == 0:
        return float(mean == 0)
    return 2 * NormalDist().cdf(-abs(mean) / error)


def has_seeds(headlines: Sequence[Headline]) -> bool:
    """Whether an effect is a mean over training seeds."""
    return any(row["seed_errors"] for row in headlines)


def p_over_seeds(mean: float, headlines: Sequence[Headline], confidence: float, sources: Sequence[str]) -> float:
    """Two-sided p of the hypothesis that the true mean is 0, where effects are means over training seeds: the level at which the interval
    of the mean just reaches 0, every part of every task with its own quantile."""
    parts = [error_parts(row, confidence) for row in headlines]

    def half(level: float) -> float:
        normal = z_quantile(level)
        return together([math.hypot(normal * examples, over_seeds(level)) for examples, over_seeds in parts], sources) / len(parts)

    return inverted(half, abs(mean))


def error_parts(row: Headline, confidence: float) -> tuple[float, Callable[[float], float]]:
    """The standard error over examples of a task's effect, from its interval, and by level the distance that its seeds add."""
    assert row["low"] is not None
    assert row["high"] is not None  # error_of_mean has seen them
    half, normal = (row["high"] - row["low"]) / 2, z_quantile(1 - confidence)
    errors = row["seed_errors"]
    if errors is None:
        return half / normal, lambda _: 0.0
    seeds, between = errors["seeds"], errors["between"]
    of_seeds = t_quantile(1 - confidence, seeds) * between
    return math.sqrt(max(0.0, half**2 - of_seeds**2)) / normal, lambda level: t_quantile(level, seeds) * between


def over_tasks(effects: Sequence[float], confidence: float) -> PartialInterval:
    """Interval of the mean effect on tasks of which these are a random sample: mean -+ t(k-1) * sd / sqrt(k).

    The spread of the estimates holds that of the tasks and that of examples and runs, so nothing is added (Clark 1973, The
    language-as-fixed-effect fallacy, doi:10.1016/S0022-5371(73)80014-3). It assumes that the effects of tasks are about normal and were not
    picked by their outcome; it is exploratory.
    """
    if len(effects) < 2:
        return {"low": None, "high": None}
    from scipy.stats import t

    mean = fmean(effects)
    half = float(t.ppf((1 + confidence) / 2, len(effects) - 1)) * stdev(effects) / math.sqrt(len(effects))
    return {"low": mean - half, "high": mean + half}
