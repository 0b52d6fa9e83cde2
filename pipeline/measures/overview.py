"""Summarizes the effects on many tasks: how many got which verdict, and the mean effect with its interval."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

from pipeline.measures.cell_types import Headline
from pipeline.measures.report_types import Overview
from pipeline.scoring.verdict import EFFECT_VERDICTS


def overview(headlines: Sequence[Headline], confidence: float) -> Overview:
    """The effects of these tasks together; each counts once, by its own metric.

    The interval is that of other test examples for the same tasks: errors are taken from the tasks' own intervals and are independent, as
    tasks do not share examples. It covers neither other tasks nor other training runs.

    Args:
        headlines: of the tasks, at least one.
        confidence: of all intervals, those of the headlines included.
    """
    mean = fmean(row["effect"] for row in headlines)
    ends = [(row["low"], row["high"]) for row in headlines]
    widths = [high - low for low, high in ends if low is not None and high is not None]
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    errors = [width / (2 * quantile) for width in widths if math.isfinite(width)]
    has_interval = len(errors) == len(headlines)
    half = quantile * math.hypot(*errors) / len(headlines) if has_interval else None
    kinds = {row["kind"] for row in headlines}
    verdicts = [row["verdict"] for row in headlines]
    return {
        "tasks": len(headlines),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in EFFECT_VERDICTS},
        "kind": "lift" if kinds == {"lift"} else "training effect",
        "mean": mean,
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
    }
