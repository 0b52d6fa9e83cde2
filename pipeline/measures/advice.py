"""Decides when to use the adapter and when the base is enough, and lists the rules behind that. The page puts it into words.

The confirmatory claims decide; everything else is marked exploratory.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.arms import find
from pipeline.measures import constant_baseline
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.claims import Claim
from pipeline.measures.evidence import Evidence
from pipeline.measures.report_types import ClaimKind, RuleKind, Side, StatementKind, Unit
from pipeline.scoring.verdict import BETTER, CANNOT_TELL, WORSE, Verdict
from pipeline.store.cost_types import Reason

RuleName = tuple[RuleKind, str]
"""Names a rule within its cell: its kind, and the arm or other-task suite that it compares with."""


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


@dataclass(frozen=True)
class Statement:
    """A statement about a cell; its kind decides which fields are set."""

    kind: StatementKind
    evidence: Evidence
    rule: RuleName | None = None
    """The rule that it rests on; None where it rests on a table of the page alone."""
    arm: str = ""
    """The arm or other-task suite that it is about."""
    rival: str = ""
    """The best arm that needs no training."""
    claim: Claim | None = None
    figures: tuple[float, float | None, float | None] | None = None
    """Value, low and high."""
    share: float | None = None
    requests: int | None = None
    is_priced: bool = False
    """Whether requests are compared by dollars, not by time."""
    beats_base: bool = False
    """Whether tuned is better than the bare base, though not than its rival."""


@dataclass(frozen=True)
class Advice:
    """What to use for one cell."""

    cell: str
    task: str
    label: str
    use: str
    """`tuned`, the name of an arm that needs no training, `neither` (the constant answer scores more) or `cannot tell`."""
    statements: tuple[Statement, ...]


def advise(cells: Sequence[CellRow], claims: Mapping[str, Sequence[Claim]]) -> tuple[list[Advice], list[Rule]]:
    """The recommendation for every cell, and the rules that it follows from.

    Args:
        claims: by cell, with verdicts; see claims.by_cell.
    """
    rows = [rule for cell in cells for rule in rules(cell, claims[cell["cell"]])]
    return [recommend(cell, claims[cell["cell"]]) for cell in cells], rows


def recommend(cell: CellRow, claims: Sequence[Claim]) -> Advice:
    """What to use for one task, and why."""
    lift, learned = of_kind(claims, "lift"), of_kind(claims, "learned")
    rival = best_cheap(cell)
    use = arm_to_use(lift, learned, rival)
    overruled = constant_baseline.overruling_use(cell, use, rival)
    if overruled:
        statements = [constant_statement(cell, overruled, use, rival)]
    else:
        statements = [claims_statement(cell, use, lift, learned), *share_of_constant(cell, rival)]
    use = overruled or use
    statements += [*caveat_statements(cell, claims, use), *break_even_statements(cell, use)]
    return Advice(cell["cell"], cell["task"], cell["label"], use, tuple(statements))


def of_kind(claims: Sequence[Claim], kind: ClaimKind) -> Claim | None:
    return next((claim for claim in claims if claim.kind == kind), None)


def best_cheap(cell: CellRow) -> str:
    """The best arm that needs no training, as the decomposition chose it."""
    return str(cell["decomposition"]["best_cheap"]) if cell["decomposition"] else "base"


def arm_to_use(lift: Claim | None, learned: Claim | None, rival: str) -> str:
    """The arm to use: tuned must be shown to be better than the best that needs no training, not only than the base."""
    decisive = learned or lift
    if decisive is None or decisive.verdict == CANNOT_TELL:
        return CANNOT_TELL
    return "tuned" if decisive.verdict == BETTER else rival


def claims_statement(cell: CellRow, use: str, lift: Claim | None, learned: Claim | None) -> Statement:
    """The recommendation that the claims decide."""
    decisive = learned or lift
    if decisive is None:
        return Statement("nothing claimed", Evidence("lifts", cell["cell"]))
    kind: StatementKind = "use tuned" if use == "tuned" else "undecided" if use == CANNOT_TELL else "use another arm"
    beats_base = bool(learned and lift and lift.verdict == BETTER)
    rival = best_cheap(cell) if learned else "base"
    return Statement(kind, decisive.evidence, rule_of(decisive), use, rival, decisive, beats_base=beats_base)


def constant_statement(cell: CellRow, overruled: str, use: str, rival: str) -> Statement:
    """The recommendation where the constant answer overrules the claims; use: what the claims alone would recommend."""
    evidence = Evidence("arms", cell["cell"])
    if overruled == constant_baseline.NEITHER:
        return Statement("use neither", evidence, rival=rival)
    arm = next(arm for arm in constant_baseline.contenders(use, rival) if constant_baseline.verdict_on(cell, arm) == CANNOT_TELL)
    return Statement("undecided against constant", evidence, arm=arm, rival=rival)


def share_of_constant(cell: CellRow, rival: str) -> list[Statement]:
    """The share of the lift that the constant answer reaches, if that is large."""
    share = constant_baseline.share_of_lift(cell, rival)
    return [] if share is None else [Statement("share of constant", Evidence("arms", cell["cell"]), rival=rival, share=share)]


def caveat_statements(cell: CellRow, claims: Sequence[Claim], use: str) -> list[Statement]:
    """Other tasks on which the adapter is worse or may be, and hallucination: reasons not to leave it on for everything."""
    statements = []
    for claim in claims:
        if claim.kind == "non-inferiority" and claim.verdict != BETTER:
            kind: StatementKind = "regressed" if claim.verdict == WORSE else "undecided on suite"
            statements.append(Statement(kind, claim.evidence, rule_of(claim), claim.subject, claim=claim))
    rule = hallucination(cell)
    if rule and rule.verdict == WORSE and use == "tuned" and rule.value is not None:
        statements.append(Statement("invents", rule.evidence, rule.name, figures=(rule.value, rule.low, rule.high)))
    return statements


def break_even_statements(cell: CellRow, use: str) -> list[Statement]:
    """From how many requests on the adapter is cheaper, for arms that it does not outperform: there the price decides.

    Against an arm with worse answers the price does not matter. If tuned is not better than the base, the base is the cheapest, so
    nothing is stated. If the machine's hour has no price, time is compared.
    """
    equals = {row["name"] for row in cell["arms"] if (over := row["tuned_over"]) and not over["low"] > 0}
    account = cell["cost"]
    if account is None or "base" in equals or use not in ("tuned", CANNOT_TELL):
        return []
    statements = []
    for row in account["break_even"]:
        if row["one"] != "tuned" or row["other"] not in equals or (row["requests"] is None and row["reason"] != "never"):
            continue
        kind: StatementKind = "never pays off" if row["requests"] is None else "pays off"
        is_priced = account["arms"]["tuned"]["request"] is not None
        rule: RuleName = ("break-even", row["other"])
        statements.append(
            Statement(kind, Evidence("cost", cell["cell"]), rule, row["other"], requests=row["requests"], is_priced=is_priced)
        )
    return statements


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
        side="below" if kind == "non-inferiority" else "above",
        threshold=0.0 if claim.margin is None else claim.margin,
        verdict=claim.verdict or CANNOT_TELL,
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
    return claim.kind, claim.subject if claim.kind == "non-inferiority" else claim.against


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
    verdict: Verdict = BETTER if high < 0 else WORSE if low > 0 else CANNOT_TELL
    return Rule(
        cell["cell"],
        cell["label"],
        "hallucination",
        "base",
        unit="share",
        side="below",
        value=value,
        threshold=0.0,
        verdict=verdict,
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
        verdict: Verdict = CANNOT_TELL
        if own is not None and theirs is not None and own != theirs:
            verdict = BETTER if own < theirs else WORSE
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
                verdict=verdict,
                evidence=Evidence("cost", cell["cell"]),
            )
        )
    return rows


def break_evens(cell: CellRow) -> list[Rule]:
    """From how many requests tuned is cheaper than another arm; exploratory, without intervals."""
    rows = []
    for row in cell["cost"]["break_even"] if cell["cost"] else []:
        if row["one"] == "tuned":
            verdict: Verdict = BETTER if row["requests"] is not None else WORSE if row["reason"] == "never" else CANNOT_TELL
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
                    verdict=verdict,
                    evidence=Evidence("cost", cell["cell"]),
                    reason=row["reason"],
                )
            )
    return rows
