"""Decides whether to use the fine-tuned model, and on what evidence. The page puts it into words.

The headline of a task is the training effect: fine-tuned minus the best baseline that needs no training. The confirmatory claims decide;
everything else is marked exploratory.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline import arms
from pipeline.measures import constant_baseline, failure_causes
from pipeline.measures.cell_types import CellRow
from pipeline.measures.claims import Claim
from pipeline.measures.evidence import Evidence
from pipeline.measures.failure_causes import Cause
from pipeline.measures.preliminary_types import NoVerdictKind
from pipeline.measures.provenance_types import AdapterRow
from pipeline.measures.report_types import ClaimKind, StatementKind
from pipeline.measures.rules import Rule, RuleName, hallucination, rule_of, rules
from pipeline.scoring.verdict import (
    ABOVE_BASE,
    HALLUCINATION_RATE,
    IMPROVED,
    INCONCLUSIVE,
    NO_REGRESSION,
    NO_VERDICT,
    REGRESSED,
    SAME,
    WORSE,
    Verdict,
)

LARGE_SHARE = 0.25
"""If the best baseline reaches at least this share of the lift over the base, the advice says so."""


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
    """The best baseline, the arm with the highest score that needs no training; or the constant answer that tuned is not shown to beat."""
    claim: Claim | None = None
    figures: tuple[float, float | None, float | None] | None = None
    """Value, low and high."""
    share: float | None = None
    requests: int | None = None
    is_priced: bool = False
    """Whether requests are compared by dollars, not by time."""
    beats_base: bool = False
    """Whether the fine-tuned model is shown to improve on the base, though not on the best baseline."""
    causes: tuple[Cause, ...] = ()
    """Likely causes of a failure."""
    against_constant: Verdict = IMPROVED
    """The verdict on the fine-tuned model against a constant answer; `improved` if there is none."""
    untested: tuple[str, ...] = ()
    """Baselines that the task could have had and that were not tested."""
    is_limited: bool = False
    """Whether the fine-tuned model is shown to be worse elsewhere, so that it is for this task only."""


@dataclass(frozen=True)
class Advice:
    """What to use for one cell."""

    cell: str
    task: str
    label: str
    use: str
    """`tuned`, the name of the best baseline, `same`, `inconclusive`, or `no verdict`."""
    verdict: Verdict
    """Of the training effect, or of the lift where no other baseline was tested."""
    statements: tuple[Statement, ...]


def advise(
    cells: Sequence[CellRow],
    claims: Mapping[str, Sequence[Claim]],
    adapters: Mapping[str, AdapterRow],
    no_verdict: NoVerdictKind | None = None,
) -> tuple[list[Advice], list[Rule]]:
    """The recommendation for every cell, and the rules that it follows from.

    Args:
        claims: by cell, with verdicts; see claims.by_cell.
        adapters: the trainings of the report, by short key.
        no_verdict: why the report is not final; then nothing is recommended and every rule is exploratory.
    """
    rows = [rule for cell in cells for rule in rules(cell, claims[cell["cell"]])]
    if no_verdict:
        undecided = [replace(rule, verdict=NO_VERDICT, confirmatory=False) for rule in rows]
        return [withheld(cell, no_verdict) for cell in cells], undecided
    return [recommend(cell, claims[cell["cell"]], adapters) for cell in cells], rows


def withheld(cell: CellRow, why: NoVerdictKind) -> Advice:
    """No recommendation for a cell of a report that is not final."""
    statement = Statement(why, Evidence("lifts", cell["cell"]))
    return Advice(cell["cell"], cell["task"], cell["label"], NO_VERDICT, NO_VERDICT, (statement,))


def recommend(cell: CellRow, claims: Sequence[Claim], adapters: Mapping[str, AdapterRow]) -> Advice:
    """What to use for one task, and why."""
    claim = decisive(claims)
    effect = claim.verdict or INCONCLUSIVE if claim else INCONCLUSIVE
    headline = headline_statement(cell, claims, adapters)
    use = {"use tuned": "tuned", "do not use": headline.rival, "same": SAME}.get(headline.kind, INCONCLUSIVE)
    destroyed = destroyed_text(cell)
    of_destroyed = {statement.evidence for statement in destroyed}  # that the loss on plain English regressed is the same fact
    caveats = [caveat for caveat in caveat_statements(cell, claims, use) if caveat.evidence not in of_destroyed]
    is_worse_elsewhere = bool(destroyed) or any(caveat.kind == REGRESSED for caveat in caveats)
    headline = replace(headline, is_limited=is_worse_elsewhere)
    statements = [headline, *destroyed, *share_of_baseline(cell), *unparsable_base(cell), *seed_statement(cell)]
    statements += [*caveats, *break_even_statements(cell, use)]
    return Advice(cell["cell"], cell["task"], cell["label"], use, effect, tuple(statements))


def decisive(claims: Sequence[Claim]) -> Claim | None:
    """The claim that decides what to use: the training effect, or the lift where no other baseline was tested."""
    return of_kind(claims, "training effect") or of_kind(claims, "lift")


def of_kind(claims: Sequence[Claim], kind: ClaimKind) -> Claim | None:
    return next((claim for claim in claims if claim.kind == kind), None)


def best_baseline(cell: CellRow) -> str:
    """The arm with the highest score that needs no training, as the decomposition chose it."""
    return str(cell["decomposition"]["best_cheap"]) if cell["decomposition"] else "base"


def headline_statement(cell: CellRow, claims: Sequence[Claim], adapters: Mapping[str, AdapterRow]) -> Statement:
    """The recommendation: use the fine-tuned model where it is shown to improve on every baseline, and not where it is shown to be worse
    than the best one or is not shown to beat a constant answer."""
    claim, lift = decisive(claims), of_kind(claims, "lift")
    if claim is None:
        return Statement("nothing claimed", Evidence("lifts", cell["cell"]))
    against_constant = constant_baseline.verdict_of_tuned(cell)
    kinds: dict[Verdict, StatementKind] = {IMPROVED: "use tuned", SAME: "same"}
    headline = Statement(
        kind=kinds.get(claim.verdict or INCONCLUSIVE, "inconclusive"),
        evidence=claim.evidence,
        rule=rule_of(claim),
        arm="tuned",
        rival=claim.against,
        claim=claim,
        beats_base=bool(claim.kind != "lift" and lift and lift.verdict == ABOVE_BASE),
        against_constant=against_constant,
        untested=untested_baselines(cell),
    )
    if claim.verdict == WORSE:
        return replace(headline, kind="do not use", causes=failure_causes.causes(cell, adapters))
    if against_constant != IMPROVED:
        return replace(headline, kind="do not use", rival="constant", causes=failure_causes.causes(cell, adapters))
    return headline


def untested_baselines(cell: CellRow) -> tuple[str, ...]:
    """The baselines that the task could have and that were not tested, one for every step of the decomposition."""
    decomposition = cell["decomposition"]
    tested = set(decomposition["candidates"]) if decomposition else {"base"}
    impossible = {"constant"} & {row["arm"] for row in cell["absent"]} | (set() if cell["constraint"] else {"base_constrained"})
    steps = {arm: arms.find(arm).step for arm in arms.DEFAULT}
    untested = [arm for arm, step in steps.items() if step and not tested & {*arms.untrained(step)}]
    return tuple(arm for arm in untested if arm not in impossible)


def share_of_baseline(cell: CellRow) -> list[Statement]:
    """The share of the lift over the base that the best baseline reaches without training, if that is large."""
    rival = best_baseline(cell)
    base, best, tuned = (constant_baseline.score(cell, arm) for arm in ("base", rival, "tuned"))
    share = (best - base) / (tuned - base) if tuned > best else 0.0  # a fine-tune that gains nothing over it has no lift to explain
    return [Statement("share of baseline", Evidence("parts", cell["cell"]), rival=rival, share=share)] if share >= LARGE_SHARE else []


def unparsable_base(cell: CellRow) -> list[Statement]:
    """That most answers of the base could not be parsed, so that a lift over it is partly one of format."""
    counts = next((arm["counts"] for arm in cell["arms"] if arm["name"] == "base"), None)
    if not counts or counts["unparsed"] <= failure_causes.LARGE_SHARE * counts["n"]:
        return []
    return [Statement("base unparsable", Evidence("arms", cell["cell"]), figures=(counts["unparsed"], None, counts["n"]))]


def destroyed_text(cell: CellRow) -> list[Statement]:
    """That the adapter destroys general text, if its loss on plain English says so."""
    rise = failure_causes.destroys_text(cell["forgetting"])
    suite = next((suite["suite"] for suite in cell["forgetting"] if suite["kind"] == "loss"), "")
    return [] if rise is None else [Statement("text destroyed", Evidence("suites", cell["cell"], suite), figures=(rise, None, None))]


def seed_statement(cell: CellRow) -> list[Statement]:
    """How far another training seed may move the score: the standard deviation over seeds, unknown with one."""
    runs = cell["examples"]["runs"]
    spread = statistics.stdev(run["tuned"] for run in runs) if runs and len(runs) > 1 else None
    if spread is None and len(cell["seeds"]) > 1:
        return []  # the metric is no mean over examples, so no run has a score of its own
    return [Statement("seeds", Evidence("lifts", cell["cell"]), share=spread)]


def caveat_statements(cell: CellRow, claims: Sequence[Claim], use: str) -> list[Statement]:
    """Other tasks on which the adapter is worse or may be, and hallucination: reasons not to leave it on for everything."""
    statements = []
    for claim in claims:
        if claim.kind == "non-inferiority" and claim.verdict != NO_REGRESSION:
            kind: StatementKind = "regressed" if claim.verdict == REGRESSED else "inconclusive on suite"
            statements.append(Statement(kind, claim.evidence, rule_of(claim), claim.subject, claim=claim))
    rule = hallucination(cell)
    if rule and rule.verdict == HALLUCINATION_RATE.bad and use == "tuned" and rule.value is not None:
        statements.append(Statement("hallucinates more", rule.evidence, rule.name, figures=(rule.value, rule.low, rule.high)))
    return statements


def break_even_statements(cell: CellRow, use: str) -> list[Statement]:
    """From how many requests on the adapter is cheaper, for arms that it does not outperform: there the price decides.

    Against an arm with worse answers the price does not matter. If tuned is not better than the base, the base is the cheapest, so
    nothing is stated. If the machine's hour has no price, time is compared.
    """
    equals = {row["name"] for row in cell["arms"] if (over := row["tuned_over"]) and not over["low"] > 0}
    account = cell["cost"]
    if account is None or "base" in equals or use not in ("tuned", INCONCLUSIVE):
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
