"""Lists the rules behind the advice: each a figure with its threshold and verdict. The claims come first; all else is exploratory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.arms import find
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.claims import Claim
from pipeline.measures.evidence import Evidence
from pipeline.measures.report_types import RuleKind, Side, Unit
from pipeline.scoring import verdict
from pipeline.scoring.verdict import INCONCLUSIVE, Verdict
from pipeline.store.cost_types import Reason

RuleName = tuple[RuleKind, str]
"""Names a rule within its cell: its kind, and the arm, effect or other-task suite that it is about."""


@dataclass(frozen=True)
class Rule:
    """One figure, and the threshold that it is compared with."""

    cell: str
    label: str
    kind: RuleKind
    against: str
    """The arm or other-task suite that it compares with."""
    unit: Unit
    side: Side
    """On which side of the threshold the figure speaks for the fine-tune."""
    value: float | None
    threshold: float | None
    verdict: Verdict
    evidence: Evidence
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    """Null unless the rule is a claim."""
    reason: Reason | None = None
    """Why a break-even has no value."""
    confirmatory: bool = False

    @property
    def name(self) -> RuleName:
        return self.kind, self.against


def rules(cell: CellRow, claims: Sequence[Claim]) -> list[Rule]:
    """The table behind the statements: the claims first, then what is exploratory."""
    hallucination_rule = hallucination(cell)
    return [
        *(rule_from_claim(claim, cell) for claim in claims),
        *([hallucination_rule] if hallucination_rule else []),
        *request_prices(cell),
        *break_evens(cell),
    ]


def rule_from_claim(claim: Claim, cell: CellRow) -> Rule:
    kind, against = rule_of(claim)
    return Rule(
        cell["cell"],
        cell["label"],
        kind,
        against,
        unit=claim.unit,
        side="below" if claim.unit == "nats/token" else "above",
        threshold=0.0 if claim.margin is None else claim.margin,
        verdict=claim.verdict or INCONCLUSIVE,
        confirmatory=True,
        value=claim.value,
        low=claim.low,
        high=claim.high,
        p=claim.p,
        p_adjusted=claim.p_adjusted,
        evidence=claim.evidence,
    )


def rule_of(claim: Claim) -> RuleName:
    """The name of the rule that a claim becomes."""
    return claim.kind, claim.subject if claim.kind in ("non-inferiority", "equivalence") else claim.against


def hallucination(cell: CellRow) -> Rule | None:
    """The rule on the share of answers that hallucinate, tuned minus base; exploratory.

    The interval joins those of the two shares as if the arms were independent (Newcombe 1998, method 10,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I), which is wider than a paired one.
    """
    rates = {arm["name"]: rate_of(arm) for arm in cell["arms"]}
    tuned, base = rates.get("tuned"), rates.get("base")
    if tuned is None or base is None:
        return None
    value = tuned[0] - base[0]
    low = value - math.hypot(tuned[0] - tuned[1], base[2] - base[0])
    high = value + math.hypot(tuned[2] - tuned[0], base[0] - base[1])
    return Rule(
        cell["cell"],
        cell["label"],
        "hallucination",
        "base",
        unit="share",
        side="below",
        value=value,
        threshold=0.0,
        verdict=verdict.by_interval(-high, -low, verdict.HALLUCINATION_RATE),
        evidence=Evidence("hallucination", cell["cell"]),
        low=low,
        high=high,
    )


def rate_of(arm: ArmRow) -> tuple[float, float, float] | None:
    """Rate, low and high of an arm's hallucination; None if it was not measured or there was no answer."""
    hallucination = arm["hallucination"]
    if not hallucination or hallucination["rate"] is None or hallucination["low"] is None or hallucination["high"] is None:
        return None
    return hallucination["rate"], hallucination["low"], hallucination["high"]


def request_prices(cell: CellRow) -> list[Rule]:
    """Rules on the price of a request against other arms; exploratory, without intervals."""
    account = cell["cost"]
    if not account:
        return []
    rows = []
    arms = account["arms"]
    for other in [name for name in arms if name == "base_fewshot" or find(name).reference]:
        own, theirs = (arms[name]["request"] if name in arms else None for name in ("tuned", other))
        if own is None and theirs is None:
            continue
        word: Verdict = INCONCLUSIVE
        if own is not None and theirs is not None and own != theirs:
            word = verdict.PRICE.good if own < theirs else verdict.PRICE.bad
        rows.append(
            Rule(
                cell["cell"],
                cell["label"],
                "request price",
                other,
                unit="dollars",
                side="below",
                value=own,
                threshold=theirs,
                verdict=word,
                evidence=Evidence("cost", cell["cell"]),
            )
        )
    return rows


def break_evens(cell: CellRow) -> list[Rule]:
    """From how many requests tuned is cheaper than another arm; exploratory, without intervals."""
    rows = []
    for row in cell["cost"]["break_even"] if cell["cost"] else []:
        if row["one"] == "tuned":
            never: Verdict = verdict.PRICE.bad if row["reason"] == "never" else INCONCLUSIVE
            rows.append(
                Rule(
                    cell["cell"],
                    cell["label"],
                    "break-even",
                    row["other"],
                    unit="requests",
                    side="below",
                    value=row["requests"],
                    threshold=None,
                    verdict=never if row["requests"] is None else verdict.PRICE.good,
                    evidence=Evidence("cost", cell["cell"]),
                    reason=row["reason"],
                )
            )
    return rows
