"""Splits a lift into parts: output format, examples in the prompt, and what training added.

c0 is the base; c1 the better of base and constrained base; c2 the better of c1 and few-shot base, each chosen once, on all
examples. Then format = c1 - c0, prompt = c2 - c1 and learned = tuned - c2 sum to the lift whatever the scores are. Choosing the
better one on the examples that it is scored on favours the cheap arms, so the value of `learned` is rather too small than too large.
Its test and its interval are against all of them (see `beyond`): the one that leads here need not be the one that is truly best.
"""

from dataclasses import asdict, replace
from typing import Any

from pipeline import arms
from pipeline.scoring import stats

STEPS: tuple[arms.Step, ...] = ("format", "prompt")
"""Of the chain, in order; the arms that may make each say so in their rows."""


def decompose(names: list[str], sampled: dict[str, stats.Sampled]) -> dict[str, dict[str, Any]]:
    """By metric {parts: [{name, arm, over, value, low, high, p, tried}], lift, low, high, best_cheap, candidates, chain: [[arm, score]]}.

    Args:
        names: of the arms at the places of `sampled`, as ComparisonResult.names.
        sampled: one a metric, as ComparisonResult.sampled; a metric may lack the arms behind tuned.

    The parts are format, prompt and learned: `arm` stands at the end of the step and `over` at its start. Where the cheap arm scores no
    higher both are the same, value is 0 and there is no interval; `tried` {arm, value, low, high, p} is what it scored over `over`. Both
    `arm` and `tried` are None where the task has no such arm. `candidates` are the arms that needed no training, the base among them.
    """
    return {metric: of_metric(names[: len(values.whole)], values) for metric, values in sampled.items()}


def of_metric(names: list[str], sampled: stats.Sampled) -> dict[str, Any]:
    best, parts, places, candidates = stats.BASE, [], [stats.BASE], [stats.BASE]
    for step in STEPS:
        there = [names.index(arm) for arm in arms.untrained(step) if arm in names]
        highest = max(there, key=lambda place: sampled.whole[place], default=None)
        parts.append(part(step, names, sampled, highest, best))
        if highest is not None and sampled.whole[highest] > sampled.whole[best] + stats.TIE:
            best = highest
        places.append(best)
        candidates += there
    lift, learned = sampled.difference(stats.TUNED, stats.BASE), beyond(sampled, best, candidates)
    parts.append({"name": "learned", "arm": names[stats.TUNED], "over": names[best], **asdict(learned), "tried": None})
    chain = [[names[place], float(sampled.whole[place])] for place in (*places, stats.TUNED)]
    cheap = {"best_cheap": names[best], "candidates": [names[place] for place in candidates], "chain": chain}
    return {"parts": parts, "lift": lift.value, "low": lift.low, "high": lift.high, **cheap}


def part(name: str, names: list[str], sampled: stats.Sampled, arm: int | None, best: int) -> dict[str, Any]:
    """A step from the best arm so far to the next one, which may be none or score no higher; both by place in `names`."""
    none = {"value": 0.0, "low": None, "high": None, "p": None}
    if arm is None:
        return {"name": name, "arm": None, "over": names[best], **none, "tried": None}
    difference = sampled.difference(arm, best)
    tried = {"arm": names[arm], **asdict(difference)}
    if difference.value <= stats.TIE:
        return {"name": name, "arm": names[best], "over": names[best], **none, "tried": tried}
    return {"name": name, "arm": names[arm], "over": names[best], **asdict(difference), "tried": tried}


def beyond(sampled: stats.Sampled, best: int, candidates: list[int]) -> stats.Difference:
    """Tuned against the best of several arms, of which the sample only guesses which it is.

    Tuned is better than the best if it is better than each, so p and the lower end are the least favourable ones over all candidates
    (intersection-union test, Berger 1982, doi:10.1080/00401706.1982.10487790). It is worse than the best if it is worse than one, so p
    is multiplied by their number (Bonferroni).
    """
    over_best = sampled.difference(stats.TUNED, best)
    if over_best.value <= 0:
        return replace(over_best, p=min(1.0, len(candidates) * over_best.p))
    differences = [sampled.difference(stats.TUNED, place) for place in candidates]
    return replace(over_best, low=min(difference.low for difference in differences), p=max(difference.p for difference in differences))
