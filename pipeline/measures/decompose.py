"""What a lift is made of: the output format, examples in the prompt, and what was learned.

c0 is the base; c1 the better of base and constrained base; c2 the better of c1 and few-shot base, each chosen once, on all
examples. Then format = c1 - c0, prompt = c2 - c1 and learned = tuned - c2 sum to the lift whatever the scores are. Choosing the
better one on the examples that it is scored on favours the cheap arms, so `learned` is rather too small than too large.
"""

from typing import Any

from pipeline import stats

CHEAP = (("format", ("base_constrained", "base_constrained_raw")), ("prompt", ("base_fewshot",)))
"""Steps of the chain and the arms that may make each; the raw ranking of choices is a way of holding to the form, too."""


def decompose(names: list[str], sampled: dict[str, stats.Sampled]) -> dict[str, dict[str, Any]]:
    """By metric {parts: [{name, arm, over, value, low, high, p}], lift, low, high, best_cheap, chain: [[arm, score], ...]}.

    Args:
        names: of the arms at the places of `sampled`, as Scored.names.
        sampled: one a metric, as Scored.sampled; a metric may lack the arms behind tuned.

    The parts are format, prompt and learned: `arm` stands at the end of the step and `over` at its start, both the same where the
    cheap arm scores no higher (then value, low and high are 0 and p is 1); `arm` is None where the task has no such arm.
    """
    return {metric: of_metric(names[: len(found.whole)], found) for metric, found in sampled.items()}


def of_metric(names: list[str], sampled: stats.Sampled) -> dict[str, Any]:
    best, parts, places = stats.BASE, [], [stats.BASE]
    for step, arms in CHEAP:
        there = [names.index(arm) for arm in arms if arm in names]
        highest = max(there, key=lambda place: sampled.whole[place], default=best)
        nearer = highest if sampled.whole[highest] > sampled.whole[best] + stats.TIE else best
        parts.append(part(step, names[nearer] if there else None, names[best], sampled.difference(nearer, best)))
        best = nearer
        places.append(best)
    lift = sampled.difference(stats.TUNED, stats.BASE)
    parts.append(part("learned", names[stats.TUNED], names[best], sampled.difference(stats.TUNED, best)))
    chain = [[names[place], float(sampled.whole[place])] for place in (*places, stats.TUNED)]
    return {"parts": parts, "lift": lift.value, "low": lift.low, "high": lift.high, "best_cheap": names[best], "chain": chain}


def part(name: str, arm: str | None, over: str, found: stats.Difference) -> dict[str, Any]:
    return {"name": name, "arm": arm, "over": over, "value": found.value, "low": found.low, "high": found.high, "p": found.p}
