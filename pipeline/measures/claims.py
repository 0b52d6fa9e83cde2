"""Defines the claims of a report: one family of tests over all cells, each with its verdict.

Of every cell: tuned over base on the primary metric (`lift`), tuned over the best baseline where there is another than the base
(`training effect`), and tuned no worse than base by more than a margin (`non-inferiority`) on every other-task suite on which the base
beats the constant answer.
Which claims there are is decided by the recipe and by the base, never by their outcome. All else in a report is exploratory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from pipeline.measures.evidence import Evidence
from pipeline.measures.report_types import ClaimKind, ClaimUnit
from pipeline.scoring import detectable, verdict
from pipeline.scoring.seed_variance import SeedVariance
from pipeline.scoring.verdict import Correction, Verdict
from pipeline.store.figure_types import DecompositionRow, Equivalence, EquivalenceTests, Suite
from pipeline.store.score_types import SeedErrors


@dataclass(frozen=True)
class Claim:
    """One confirmatory claim."""

    id: str
    """`<cell>.lift`, `<cell>.training-effect`, `<cell>.non-inferiority.<suite>`, or `<cell>.equivalence.<subject>`."""
    cell: str
    """The first one, where several cells share a comparison."""
    task: str
    label: str
    kind: ClaimKind
    subject: str
    """The metric, or the other-task suite; of `equivalence` what is tested: `lift`, `training effect`, or the merged arm."""
    against: str
    """The arm that tuned is compared with; of a training effect the best one that needs no training."""
    metric: str | None
    """What both are scored by; None where losses are compared."""
    unit: ClaimUnit
    value: float
    """Fine-tuned minus the arm that it is compared with; for a loss, higher is worse."""
    low: float
    high: float
    p: float
    """Two-sided, of this claim alone."""
    margin: float | None
    """Of non-inferiority claims: the change that still is no regression, below zero for a score, above zero for a loss. Of
    `equivalence` the difference that is ruled out either way."""
    evidence: Evidence
    p_adjusted: float | None = None
    """Over the family; set by `judge`."""
    verdict: Verdict | None = None
    """Set by `judge`; on other tasks `no regression` is a drop shown to be below the margin, `regressed` one shown to exceed it."""


class Figure(TypedDict):
    """A difference with its interval and its p-value."""

    value: float
    low: float
    high: float
    p: float


class PrimaryFigures(TypedDict):
    """The figures of a comparison that its claim is about."""

    metric: str
    lift: float
    low: float
    high: float
    p: float


class ClaimCell(TypedDict):
    """The parts of a cell that its claims depend on."""

    cell: str
    comparison_key: str
    """Equal for cells that share a comparison."""
    task: str
    label: str
    primary: PrimaryFigures
    """By the primary metric, as is the decomposition."""
    decomposition: DecompositionRow | None
    forgetting: Sequence[Suite]
    equivalence: EquivalenceTests | None


def family(cells: Sequence[ClaimCell]) -> list[Claim]:
    """Every claim once, in the order of the cells; cells with one `comparison_key` share their claims."""
    first = set(first_cells({cell["cell"]: cell["comparison_key"] for cell in cells}).values())
    return [claim for cell in cells if cell["cell"] in first for claim in of_cell(cell)]


def judge(claims: Sequence[Claim], confidence: float, correction: Correction, is_final: bool = True) -> list[Claim]:
    """The same claims in the same order, with p_adjusted over all of them and verdict.

    Args:
        is_final: whether the family is complete; else no claim has a verdict.

    As for single comparisons (verdict.decide) a verdict needs the adjusted p and an interval on its side: of zero, or for
    non-inferiority of the margin.
    """
    adjusted = verdict.adjust([claim.p for claim in claims], correction, most_true(claims))
    has_effect = {claim.cell for claim in claims if claim.kind == "training effect"}

    def word(claim: Claim, p: float) -> Verdict:
        if not is_final:
            return verdict.NO_VERDICT
        return verdict_of(claim, p, confidence, verdict.LIFT if claim.kind == "lift" and claim.cell in has_effect else verdict.EFFECT)

    judged = [replace(claim, p_adjusted=p, verdict=word(claim, p)) for claim, p in zip(claims, adjusted, strict=True)]
    same = {(claim.cell, claim.subject) for claim in judged if claim.verdict == verdict.SAME}
    return [replace(claim, verdict=verdict.SAME) if (claim.cell, claim.kind) in same else claim for claim in judged]


def most_true(claims: Sequence[Claim]) -> int:
    """How many of the hypotheses that the claims reject can be true at once: an effect cannot both be zero and exceed the margin."""
    return len(claims) - sum(claim.kind == "equivalence" and claim.subject in ("lift", "training effect") for claim in claims)


def effect_inflation(count: int, confidence: float, correction: Correction, errors: SeedErrors | None = None) -> float:
    """The factor by which the minimum detectable lift grows if a claim is one of `count`: at Holm's first step its test has the level
    (1 - confidence) / count. The ratio of (z_{1-a/2} + z_{0.8}) at both levels; of a mean over seeds that of its own effects.

    Args:
        errors: of the difference that is claimed, where it is a mean over training seeds.
    """
    strict = 1 - (1 - confidence) / count if correction == "holm" else confidence
    if errors and (alone := SeedVariance(**errors).smallest_effect(confidence)):
        return SeedVariance(**errors).smallest_effect(strict) / alone
    return detectable.smallest_effect(1.0, strict) / detectable.smallest_effect(1.0, confidence)


def by_cell(comparison_keys: Mapping[str, str], claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """The claims of each cell: its own, or copies of those of the cell that it shares a comparison with.

    Args:
        comparison_keys: by cell.
    """
    first = first_cells(comparison_keys)
    return {cell: [replace(claim, cell=cell) for claim in claims if claim.cell == first[key]] for cell, key in comparison_keys.items()}


def first_cells(comparison_keys: Mapping[str, str]) -> dict[str, str]:
    """The first cell of each comparison, by its `comparison_key`."""
    first: dict[str, str] = {}
    for cell, key in comparison_keys.items():
        first.setdefault(key, cell)
    return first


def of_cell(cell: ClaimCell) -> list[Claim]:
    effects = [lift(cell), *training_effect(cell)]
    return [
        *effects,
        *(non_inferiority(cell, suite) for suite in cell["forgetting"] if suite["measurable"]),
        *equivalence_claims(cell, effects),
    ]


def equivalence_claims(cell: ClaimCell, effects: Sequence[Claim]) -> list[Claim]:
    """That effects lie within the recipe's margin either way, and that merged arms score as the fine-tuned model does; none without one."""
    tests = cell["equivalence"]
    if tests is None:
        return []
    figures = {"lift": tests["lift"], "training effect": tests["training"]}
    claims = [equivalence_claim(effect, effect.kind, figures[effect.kind], tests["margin"]) for effect in effects]
    merged = [equivalence_claim(replace(effects[0], against="tuned"), arm, row, tests["margin"]) for arm, row in tests["merged"].items()]
    return [*claims, *merged]


def equivalence_claim(effect: Claim, subject: str, figures: Equivalence, margin: float) -> Claim:
    """A claim of equivalence; effect: the claim of a difference beside it."""
    return replace(
        effect,
        id=f"{effect.cell}.equivalence.{subject.replace(' ', '-')}",
        kind="equivalence",
        subject=subject,
        margin=margin,
        value=figures["value"],
        low=figures["low"],
        high=figures["high"],
        p=figures["p"],
    )


def lift(cell: ClaimCell) -> Claim:
    row = cell["primary"]
    return superiority_claim(cell, "lift", "base", {"value": row["lift"], "low": row["low"], "high": row["high"], "p": row["p"]})


def training_effect(cell: ClaimCell) -> list[Claim]:
    """The claim of a cell that has an arm without training, whether that beats the base or not: the family must not depend on scores.

    Which of several arms is the best is not known for sure; p and the interval allow for that (decompose.tuned_against_best).
    """
    decomposition = cell["decomposition"]
    if not decomposition or all(part["arm"] is None for part in decomposition["parts"] if part["name"] != "training"):
        return []
    (part,) = (part for part in decomposition["parts"] if part["name"] == "training")
    low, high, p = part["low"], part["high"], part["p"]
    assert low is not None
    assert high is not None
    assert p is not None  # this part is always tested
    figure: Figure = {"value": part["value"], "low": low, "high": high, "p": p}
    return [superiority_claim(cell, "training effect", decomposition["best_cheap"], figure)]


def superiority_claim(cell: ClaimCell, kind: Literal["lift", "training effect"], against: str, figure: Figure) -> Claim:
    """Tuned over another arm on the primary metric."""
    metric = cell["primary"]["metric"]
    return Claim(
        id=f"{cell['cell']}.{kind.replace(' ', '-')}",
        kind=kind,
        subject=metric,
        against=against,
        metric=metric,
        unit="score",
        margin=None,
        evidence=Evidence("lifts" if kind == "lift" else "parts", cell["cell"]),
        cell=cell["cell"],
        task=cell["task"],
        label=cell["label"],
        **figure,
    )


def non_inferiority(cell: ClaimCell, suite: Suite) -> Claim:
    """That tuned stays within the margin on an other-task suite.

    The two-sided p that enters Holm is twice the smaller of the one-sided ones, at most 1: `p` against being worse by the margin or
    more (it carries `no regression`) and `p_worse` against being worse by the margin or less (it carries `regressed`).
    """
    name = suite["suite"]
    return Claim(
        id=f"{cell['cell']}.non-inferiority.{name}",
        kind="non-inferiority",
        subject=name,
        against="base",
        metric=suite["task_metric"],
        unit="nats/token" if suite["kind"] == "loss" else "score",
        value=suite["difference"],
        p=min(1.0, 2 * min(suite["p"], suite["p_worse"])),
        evidence=Evidence("suites", cell["cell"], name),
        cell=cell["cell"],
        task=cell["task"],
        label=cell["label"],
        low=suite["low"],
        high=suite["high"],
        margin=suite["margin"],
    )


def verdict_of(claim: Claim, p_adjusted: float, confidence: float, words: verdict.Words) -> Verdict:
    """The verdict of a claim; for non-inferiority the change is compared with the margin, and of a loss less is better.

    Args:
        words: of a claim without a margin.
    """
    if claim.margin is None:
        return verdict.decide(p_adjusted, claim.low, claim.high, confidence, words)
    if claim.kind == "equivalence":
        is_within = -claim.margin < claim.low and claim.high < claim.margin
        return verdict.SAME if is_within and p_adjusted <= 1 - confidence else verdict.INCONCLUSIVE
    low, high = claim.low - claim.margin, claim.high - claim.margin
    if claim.unit == "nats/token":
        low, high = -high, -low
    return verdict.decide(p_adjusted, low, high, confidence, verdict.OTHER_TASK)
