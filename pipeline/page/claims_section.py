"""Builds the tables of claims and rules: hands the cells to measures.claims and the claims to measures.advice."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from pipeline.measures import advice, claims, names
from pipeline.measures.claims import Claim
from pipeline.page import advice_section, fmt, other_tasks_section
from pipeline.page.anchors import link
from pipeline.page.cells import Cell, finite
from pipeline.store.records import JsonObject


def judge(cells: Sequence[Cell], recipe: JsonObject) -> tuple[dict[str, list[JsonObject]], list[Claim]]:
    """The comparisons of every cell, primary first, and the family of claims, both with the verdicts that hold over all cells together.

    A comparison that two cells share is one test of the family, not two.
    """
    compared = {cell.name: compared_in(cell) for cell in cells}
    told = [claimed(cell, compared[cell.name][0]) for cell in cells]
    family = claims.judged(claims.family(told), recipe["compare"]["confidence"], recipe["compare"]["correction"])
    stricter = claims.stricter(len(family), recipe["compare"]["confidence"], recipe["compare"]["correction"])
    for name, found in claims.by_cell(told, family).items():
        lift = {key: getattr(found[0], key) for key in ("p_adjusted", "verdict")}  # a cell's first claim
        compared[name][0] |= lift | {"smallest_effect": stricter * compared[name][0]["smallest_effect"]}
    return {name: finite(rows) for name, rows in compared.items()}, family


def compared_in(cell: Cell) -> list[JsonObject]:
    """The comparisons of a cell as `compare` left them, primary first."""
    rows = [asdict(row) for row in cell.comparison.comparisons()]
    return sorted(rows, key=lambda row: not row["primary"])


def claimed(cell: Cell, primary: JsonObject) -> JsonObject:
    """What the family of claims must know of a cell."""
    return {
        "cell": cell.name,
        "verdict_key": cell.inputs["verdict"].key,
        "task": cell.task,
        "label": cell.label,
        "primary": primary,
        "decomposition": other_tasks_section.decomposition(cell, primary["metric"]),
        "forgetting": other_tasks_section.suites(cell),
    }


def section(cells: list[Cell], rows: list[JsonObject], family: list[Claim]) -> JsonObject:
    """{claims, advice, rules, summary} of report.json.

    Args:
        rows: the cells as they stand in the report.
        family: the claims, as `judge` gives them.
    """
    first: dict[str, str] = {}
    for cell in cells:
        first.setdefault(cell.inputs["verdict"].key, cell.name)
    owner = {cell.name: first[cell.inputs["verdict"].key] for cell in cells}
    # cells that share a comparison share its claims
    shared = [replace(claim, cell=name) for name, own in owner.items() for claim in family if claim.cell == own]
    recommendations, rules = advice.advise(rows, shared)
    return {
        "claims": [claim_row(claim) for claim in family],
        "advice": [advice_section.advice_row(one, row) for one, row in zip(recommendations, rows, strict=True)],
        "rules": [advice_section.rule_row(rule) for rule in rules],
        "summary": advice_section.summary(recommendations, family, rows),
    }


def claim_row(claim: Claim) -> JsonObject:
    """A claim as report.json has it."""
    row: JsonObject = finite(asdict(claim))
    return row | {"said": sentence(claim), "evidence": link(claim.evidence)}


def sentence(claim: Claim) -> str:
    """What is claimed, with its figures."""
    if claim.kind == "kept":
        lost = fmt.change(claim.value, claim.low, claim.high, 3)
        worse = f"loss {lost} nats a token" if claim.metric is None else f"{fmt.metric(claim.metric)} lost {lost}"
        return f"tuned on {claim.label} against the base on {names.suite(claim.subject)}: {worse}, margin {claim.margin:g}"
    other = names.arm(claim.against)
    if claim.kind == "learned":
        other = f"every arm without training (best: {other})"
    return f"tuned over {other} on {claim.label}: {fmt.metric(claim.subject)} {fmt.change(claim.value, claim.low, claim.high, 2)}"


def suite_verdicts(report: JsonObject) -> dict[tuple[str, str], str]:
    """The verdicts that were claimed on general suites, by cell and suite."""
    return {(claim["cell"], claim["subject"]): claim["verdict"] for claim in report["claims"] if claim["kind"] == "kept"}
