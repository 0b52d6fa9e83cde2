"""Defines the claims of a report: one family of tests over all cells, each claim better, worse or cannot tell.

Of every cell: tuned over base on the primary metric (`lift`), tuned over the best cheap arm where there is one (`learned`), and
tuned no worse than base by more than a margin on every general suite (`kept`) on which the base scores more than the margin. Which
claims there are is decided by the recipe and by the base, never by their outcome. All else in a report is exploratory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.measures.evidence import Evidence
from pipeline.scoring import stats, verdict
from pipeline.scoring.verdict import Correction, Verdict

ClaimKind = Literal["lift", "learned", "kept"]
ClaimUnit = Literal["score", "nats/token"]


@dataclass(frozen=True)
class Claim:
    """One confirmatory claim."""

    id: str
    """`<cell>.lift`, `<cell>.learned` or `<cell>.kept.<suite>`."""
    cell: str
    """The first one, where several cells share a comparison."""
    task: str
    label: str
    kind: ClaimKind
    subject: str
    """The metric, or the general suite."""
    against: str
    """The arm that tuned is compared with; of `learned` the best one that needs no training."""
    metric: str | None
    """What both are scored by; None where losses are compared."""
    unit: ClaimUnit
    value: float
    """lift, learned: higher is better. kept: how much worse tuned is, so below zero is better."""
    low: float
    high: float
    p: float
    """Two-sided, of this claim alone."""
    margin: float | None
    """Of kept claims."""
    evidence: Evidence
    p_adjusted: float | None = None
    """Over the family; set by `judged`."""
    verdict: Verdict | None = None
    """Set by `judged`; of kept claims `better` is shown to stay within the margin, `worse` shown to leave it."""


def family(cells: Sequence[dict[str, Any]]) -> list[Claim]:
    """Every claim once, in the order of the cells; cells with one `verdict_key` share their claims.

    Args:
        cells: {cell, verdict_key, task, label, primary: the comparison of the primary metric, decomposition: of that metric or None,
            forgetting: the suites of forgetting.json}.
    """
    return [claim for cell in firsts(cells).values() for claim in of_cell(cell)]


def judged(claims: Sequence[Claim], confidence: float, correction: Correction) -> list[Claim]:
    """The same claims in the same order, with p_adjusted over all of them and verdict.

    As for single comparisons (verdict.decide) a verdict needs the adjusted p and an interval on its side, of kept claims of the margin.
    """
    adjusted = verdict.adjusted([claim.p for claim in claims], correction)
    return [replace(claim, p_adjusted=p, verdict=decided(claim, p, confidence)) for claim, p in zip(claims, adjusted, strict=True)]


def stricter(count: int, confidence: float, correction: Correction) -> float:
    """By how much the smallest visible lift grows where a claim is one of `count`: at Holm's first step its test has the level
    (1 - confidence) / count. The ratio of (z_{1-a/2} + z_{0.8}) at both levels."""
    level = (1 - confidence) / count if correction == "holm" else 1 - confidence
    return stats.smallest_effect(1.0, 1 - level) / stats.smallest_effect(1.0, confidence)


def by_cell(cells: Sequence[dict[str, Any]], claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """The claims that hold of each cell, its own or those of the cell that it shares a comparison with."""
    first = firsts(cells)
    return {cell["cell"]: [claim for claim in claims if claim.cell == first[cell["verdict_key"]]["cell"]] for cell in cells}


def firsts(cells: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The first cell of each comparison."""
    found: dict[str, dict[str, Any]] = {}
    for cell in cells:
        found.setdefault(cell["verdict_key"], cell)
    return found


def of_cell(cell: dict[str, Any]) -> list[Claim]:
    return [lift(cell), *learned(cell), *(non_inferiority(cell, suite) for suite in cell["forgetting"] if suite["measurable"])]


def lift(cell: dict[str, Any]) -> Claim:
    row = cell["primary"]
    return over(cell, "lift", "base", row | {"value": row["lift"]})


def learned(cell: dict[str, Any]) -> list[Claim]:
    """Of a cell in which a cheap arm was tried, be it better than the base or not: the family must not hang on the scores.

    Which of several arms is the best is not known for sure; p and the interval allow for that (decompose.beyond).
    """
    decomposition = cell["decomposition"]
    if not decomposition or all(part["arm"] is None for part in decomposition["parts"] if part["name"] != "learned"):
        return []
    (row,) = (part for part in decomposition["parts"] if part["name"] == "learned")
    return [over(cell, "learned", decomposition["best_cheap"], row)]


def over(cell: dict[str, Any], kind: Literal["lift", "learned"], against: str, row: dict[str, Any]) -> Claim:
    """Tuned over another arm on the primary metric; row: {value, low, high, p}."""
    metric = cell["primary"]["metric"]
    return Claim(
        id=f"{cell['cell']}.{kind}",
        kind=kind,
        subject=metric,
        against=against,
        metric=metric,
        unit="score",
        margin=None,
        evidence=Evidence("lifts" if kind == "lift" else "parts", cell["cell"]),
        **{name: cell[name] for name in ("cell", "task", "label")},
        **{name: row[name] for name in ("value", "low", "high", "p")},
    )


def non_inferiority(cell: dict[str, Any], suite: dict[str, Any]) -> Claim:
    """That tuned stays within the margin on a general suite.

    The two-sided p that enters Holm is twice the smaller of the one-sided ones, at most 1: `p` against being worse by the margin or
    more (it carries `better`) and `p_worse` against being worse by the margin or less (it carries `worse`).
    """
    name = suite["suite"]
    return Claim(
        id=f"{cell['cell']}.kept.{name}",
        kind="kept",
        subject=name,
        against="base",
        metric=suite["task_metric"],
        unit="nats/token" if suite["kind"] == "loss" else "score",
        value=suite["difference"],
        p=min(1.0, 2 * min(suite["p"], suite["p_worse"])),
        evidence=Evidence("suites", cell["cell"], name),
        **{key: cell[key] for key in ("cell", "task", "label")},
        **{key: suite[key] for key in ("low", "high", "margin")},
    )


def decided(claim: Claim, p_adjusted: float, confidence: float) -> Verdict:
    """Of kept claims how much is lost is held against the margin, and less is better."""
    if claim.margin is None:
        return verdict.decide(p_adjusted, claim.low, claim.high, confidence)
    return verdict.decide(p_adjusted, -claim.high, -claim.low, confidence, bound=-claim.margin)
