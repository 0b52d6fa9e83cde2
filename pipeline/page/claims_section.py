"""Builds the tables of claims and rules: hands the cells to measures.claims and the claims to measures.advice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.arms import Constraint
from pipeline.measures import advice, claims, failure_causes, names
from pipeline.measures.cell_types import CellRow, ComparisonRow, Headline
from pipeline.measures.claims import Claim, ClaimCell
from pipeline.measures.preliminary_types import Preliminary
from pipeline.measures.provenance_types import AdapterRow
from pipeline.measures.report_types import ClaimRow, Conclusions
from pipeline.page import fmt, other_tasks_section, verdict_section
from pipeline.page.anchors import link
from pipeline.page.cells import Cell, json_safe
from pipeline.scoring.verdict import IMPROVED, INCONCLUSIVE, Correction, Verdict
from pipeline.store.figure_types import DecompositionRow
from pipeline.store.records import JsonObject


def correction_of(recipe: JsonObject, preliminary: Preliminary | None) -> Correction:
    """How p-values are corrected: in a report that is not final not at all, since the family is not complete."""
    correction: Correction = "none" if preliminary else recipe["compare"]["correction"]
    return correction


@dataclass(frozen=True)
class Judged:
    """The comparisons and claims of a report with the verdicts that hold over all of its cells together."""

    comparisons: dict[str, list[ComparisonRow]]
    """By cell, primary first."""
    claims: list[Claim]
    """The family."""
    by_cell: dict[str, list[Claim]]
    confidence: float
    correction: Correction
    tests: int
    """How many hypotheses of the family can be true at once."""

    def inflated(self, decomposition: DecompositionRow) -> float | None:
        """The minimum detectable training effect."""
        alone = decomposition.get("smallest_effect")
        factor = claims.effect_inflation(self.tests, self.confidence, self.correction, decomposition.get("seed_errors"))
        return None if alone is None else factor * alone


def judge(cells: Sequence[Cell], recipe: JsonObject, preliminary: Preliminary | None = None) -> Judged:
    """The comparisons of every cell and the family of claims, both with their verdicts.

    A comparison that two cells share is one test of the family, not two.
    """
    confidence, correction = recipe["compare"]["confidence"], correction_of(recipe, preliminary)
    comparisons = {cell.name: comparisons_of(cell) for cell in cells}
    claim_cells = [claim_cell(cell, comparisons[cell.name][0]) for cell in cells]
    family = claims.judge(claims.family(claim_cells), confidence, correction, is_final=preliminary is None)
    tests = claims.most_true(family)
    by_cell = claims.by_cell(comparison_keys(cells), family)
    judged = {
        name: [
            with_verdict(row, by_cell[name][0], claims.effect_inflation(tests, confidence, correction, row["seed_errors"])),
            *rows,
        ]
        for name, (row, *rows) in comparisons.items()
    }
    return Judged(json_safe(judged), family, by_cell, confidence, correction, tests)


def comparison_keys(cells: Sequence[Cell]) -> dict[str, str]:
    """By cell, the key of its comparison, which other cells may share."""
    return {cell.name: cell.inputs["comparison"].key for cell in cells}


def comparisons_of(cell: Cell) -> list[ComparisonRow]:
    """The comparisons of a cell without verdicts, primary first."""
    rows: list[ComparisonRow] = [{**row, "p_adjusted": None, "verdict": ""} for row in cell.comparison.comparisons()]
    return sorted(rows, key=lambda row: not row["primary"])


def with_verdict(row: ComparisonRow, lift: Claim, inflation: float) -> ComparisonRow:
    """A primary comparison with the verdict of its claim.

    Args:
        lift: the cell's first claim.
        inflation: factor of the minimum detectable effect, since the claim is one of several.
    """
    smallest = None if row["smallest_effect"] is None else inflation * row["smallest_effect"]
    return {**row, "smallest_effect": smallest, "p_adjusted": lift.p_adjusted, "verdict": lift.verdict or ""}


def claim_cell(cell: Cell, primary: ComparisonRow) -> ClaimCell:
    """The parts of a cell that its claims depend on."""
    return {
        "cell": cell.name,
        "comparison_key": cell.inputs["comparison"].key,
        "task": cell.task,
        "label": cell.label,
        "primary": primary,
        "decomposition": other_tasks_section.decomposition(cell, primary["metric"]),
        "forgetting": other_tasks_section.suites(cell),
        "equivalence": cell.comparison.equivalence(),
    }


def headline(cell: Cell, judged: Judged) -> Headline:
    """The figure that decides what to use for a cell."""
    primary = judged.comparisons[cell.name][0]
    decomposition = other_tasks_section.decomposition(cell, primary["metric"])
    decisive = advice.decisive(judged.by_cell[cell.name])
    assert decisive is not None  # every cell has a lift
    kind: Literal["training effect", "lift"] = "lift" if decisive.kind == "lift" else "training effect"
    baseline = primary["base"] if decomposition is None or kind == "lift" else decomposition["chain"][-2][1]
    row: Headline = {
        "kind": kind,
        "verdict": decisive.verdict or INCONCLUSIVE,
        "metric": primary["metric"],
        "n": primary["n"],
        "base": primary["base"],
        "baseline": decisive.against,
        "baseline_score": baseline,
        "tuned": primary["tuned"],
        "effect": decisive.value,
        "low": decisive.low,
        "high": decisive.high,
        "p_adjusted": decisive.p_adjusted,
        "confidence": judged.confidence,
        "smallest_effect": primary["smallest_effect"] if decomposition is None or kind == "lift" else judged.inflated(decomposition),
        "seed_errors": primary["seed_errors"] if decomposition is None or kind == "lift" else decomposition.get("seed_errors"),
        "same_within": tests["margin"] if (tests := cell.comparison.equivalence()) else None,
        "this_task_only": decisive.verdict == IMPROVED and failure_causes.destroys_text(other_tasks_section.suites(cell)) is not None,
    }
    return json_safe(row)


def section(
    cells: list[Cell],
    rows: list[CellRow],
    family: list[Claim],
    adapters: Mapping[str, AdapterRow],
    correction: Correction,
    preliminary: Preliminary | None = None,
) -> Conclusions:
    """What report.json concludes from its cells.

    Args:
        rows: the cells as report.json has them.
        family: the claims, as `judge` gives them.
        adapters: by short key, the trainings behind them.
        preliminary: why there is no verdict.
    """
    no_verdict = preliminary["kind"] if preliminary else None
    recommendations, rules = advice.advise(rows, claims.by_cell(comparison_keys(cells), family), adapters, no_verdict)
    by_name = {row["cell"]: row for row in rows}
    return {
        "claims": [claim_row(claim, by_name[claim.cell]) for claim in family],
        "advice": [verdict_section.advice_row(one, row) for one, row in zip(recommendations, rows, strict=True)],
        "rules": [verdict_section.rule_row(rule, by_name[rule.cell]) for rule in rules],
        "summary": verdict_section.summary(recommendations, family, rows, correction)
        if preliminary is None
        else [verdict_section.sentence(preliminary["sentence"], kind="answer")],
    }


def claim_row(claim: Claim, cell: CellRow) -> ClaimRow:
    """A claim as report.json has it."""
    row: Any = vars(claim) | {"evidence": link(claim.evidence), "sentence": sentence(claim, cell["constraint"])}
    in_report: ClaimRow = json_safe(row)
    return in_report


def sentence(claim: Claim, constraint: Constraint) -> str:
    """What is claimed, with its figures."""
    if claim.kind == "non-inferiority":
        change = fmt.change(claim.value, claim.low, claim.high, 3)
        figure = f"loss {change} nats/token" if claim.metric is None else f"{fmt.metric(claim.metric)} {change}"
        return f"fine-tuned on {claim.label} minus base, on {names.suite(claim.subject)}: {figure}, margin {claim.margin:+g}"
    other = names.arm(claim.against, constraint)
    if claim.kind == "equivalence":
        one = "fine-tuned" if claim.against != "tuned" else names.arm(claim.subject, constraint)
        change = fmt.change(claim.value, claim.low, claim.high, 3)
        return f"{one} minus {other} on {claim.label}: {fmt.metric(str(claim.metric))} {change}, the same within {claim.margin:g}"
    if claim.kind == "training effect":
        other = f"the best baseline without training ({other})"
    return f"fine-tuned over {other} on {claim.label}: {fmt.metric(claim.subject)} {fmt.change(claim.value, claim.low, claim.high, 2)}"


def suite_verdicts(report: Conclusions) -> dict[tuple[str, str], Verdict]:
    """The verdicts that were claimed on other-task suites, by cell and suite."""
    claims_on_suites = [claim for claim in report["claims"] if claim["kind"] == "non-inferiority"]
    return {(claim["cell"], claim["subject"]): claim["verdict"] for claim in claims_on_suites if claim["verdict"]}
