"""Judges the rules of a gate file on report.json, prints the evidence and gives an exit code for CI."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pipeline.commands import gate_figures
from pipeline.commands.gate_figures import COUNTED_FIGURES, FIGURES, FORGETTING, RESAMPLED_FIGURES, Figure
from pipeline.commands.gate_rules import CRITICAL, SUPPORTING, Gate, Rule, Tier, scope_text
from pipeline.errors import RecipeError, suggest
from pipeline.measures.cell_types import CellRow
from pipeline.measures.report_types import AdviceRow, Report
from pipeline.scoring.verdict import INCONCLUSIVE, NOT_TESTABLE
from pipeline.store.artifact import Artifact, Store
from pipeline.store.figure_types import SuiteRow

PASS, FAIL, MISSING = "pass", "fail", "missing"
STATUS = {PASS: 0, FAIL: 3, INCONCLUSIVE: 4, MISSING: 5}
WIDTH = 80
MIN_DIGITS = 3
"""Significant digits of a figure on the terminal; a limit is shown in full."""
MAX_DIGITS = 17
"""Significant digits that distinguish any two doubles."""


class Reading(TypedDict):
    """A figure of a report, with the limits that a rule holds it to."""

    cell: str
    label: str
    threshold: dict[str, float]
    """By `at_least`, `at_most` and `max_relative_drop`, as far as the rule has them."""
    base: float | None
    """Of a relative drop what it is a share of; else null."""
    suite: str | None
    """The other-task suite, for forgetting."""
    value: float | None
    low: float | None
    high: float | None
    measurable: bool
    """Whether the base scores enough to lose anything, or to lose a share of it."""


class Outcome(Reading):
    """A rule applied to a reading."""

    rule: int
    """Its index in the gate file."""
    figure: str
    tier: Tier
    result: str
    """PASS, FAIL or INCONCLUSIVE."""


def judge(gate: Gate, report: Report) -> list[Outcome]:
    """One row for every rule and cell (and suite) that it is about.

    A figure with an interval passes if the whole interval is on the right side of the limit, fails if all of it is on the wrong
    side, and is inconclusive otherwise; one without passes or fails. A suite that is not testable is inconclusive, too, as the base
    scores too little there to lose anything.

    Raises:
        RecipeError: no cell that a rule is about has its figure, or the report is not final.
    """
    if preliminary := report.get("preliminary"):
        raise RecipeError(f"a gate judges final reports only. {preliminary['sentence']}", "Finish the comparison, without --limit.")
    rows: list[Outcome] = []
    for number, rule in enumerate(gate.rules):
        cells = [cell for cell in report["cells"] if rule.task in (None, cell["task"])]
        readings = [reading for cell in cells for reading in readings_of(rule, cell, report["confidence"])]
        if not readings and rule.task in missing(gate, report):
            continue
        if not readings:
            suites = sorted({suite["suite"] for cell in report["cells"] for suite in cell["forgetting"]})
            remedy = (
                suggest(rule.suite, suites) if rule.suite and suites else "Take the rule out, or look at docs/report.md for what it needs."
            )
            raise RecipeError(f"rules[{number}]: {rule.figure} was not measured{scope_text(rule)}.", remedy)
        rows += [
            {**reading, "rule": number, "figure": rule.figure, "tier": rule.tier, "result": result(rule, reading)} for reading in readings
        ]
    return rows


def missing(gate: Gate, report: Report) -> list[str]:
    """The required tasks that the report does not have."""
    tasks = {cell["task"] for cell in report["cells"]}
    return [task for task in gate.required if task not in tasks]


def readings_of(rule: Rule, cell: CellRow, confidence: float) -> list[Reading]:
    """The figure in a cell with the limits that it is held to; nothing where it was not measured there."""
    if rule.figure == FORGETTING:
        suites = [suite for suite in cell["forgetting"] if rule.suite in (None, suite["suite"])]
        return [of_suite(rule, cell, suite) for suite in suites]
    if rule.figure in COUNTED_FIGURES:
        figure = gate_figures.counted(COUNTED_FIGURES[rule.figure], cell, confidence)
    else:
        figure = FIGURES[rule.figure](cell)
    if rule.figure in RESAMPLED_FIGURES:
        figure = gate_figures.widened_if_constant(cell["comparisons"][0]["n"], figure, confidence)
    has_no_answers = rule.figure == "hallucination" and cell["hallucination"]  # measured, but there was no answer to look at
    if figure[0] is None and not has_no_answers:
        return []
    if rule.max_relative_drop is None:
        return [reading(rule, cell, figure)]
    return [relative(rule, reading(rule, cell, figure), gate_figures.before(rule.figure, cell))]


def of_suite(rule: Rule, cell: CellRow, suite: SuiteRow) -> Reading:
    lost = gate_figures.drop(suite)
    row = reading(rule, cell, lost, suite["suite"], suite["measurable"])
    if rule.max_relative_drop is None:
        return row
    value, low, high = (None if end is None else 0.0 - end for end in lost)
    return relative(rule, {**row, "value": value, "low": high, "high": low}, suite["base"])


def relative(rule: Rule, change: Reading, base: float) -> Reading:
    """The reading of a change as that of a relative drop from `base`."""
    value, low, high = gate_figures.relative_drop((change["value"], change["low"], change["high"]), base)
    is_measurable = change["measurable"] and base >= rule.relative_from
    return {**change, "value": value, "low": low, "high": high, "base": base, "measurable": is_measurable}


def reading(rule: Rule, cell: CellRow, figure: Figure, suite: str | None = None, measurable: bool = True) -> Reading:
    limits = {name: limit for name in ("at_least", "at_most", "max_relative_drop") if (limit := getattr(rule, name)) is not None}
    value, low, high = figure
    return {
        "base": None,
        "cell": cell["cell"],
        "label": cell["label"],
        "threshold": limits,
        "suite": suite,
        "value": value,
        "low": low,
        "high": high,
        "measurable": measurable,
    }


def result(rule: Rule, row: Reading) -> str:
    value = row["value"]
    if value is None or not row["measurable"]:
        return INCONCLUSIVE
    low, high = (value if end is None else end for end in (row["low"], row["high"]))
    least = rule.at_least
    most = rule.at_most if rule.max_relative_drop is None else rule.max_relative_drop
    if (least is not None and high < least) or (most is not None and low > most):
        return FAIL
    inside = (least is None or low >= least) and (most is None or high <= most)
    return PASS if inside else INCONCLUSIVE


def conclude(gate: Gate, report: Report, rows: Sequence[Outcome]) -> str:
    """The word of the whole gate.

    It fails where a critical result fails, or more supporting ones than may. Otherwise it is `missing` where a required task was not run,
    and inconclusive where a critical result is, or where the undecided supporting ones may be too many. STATUS has the exit codes.
    """
    critical = {row["result"] for row in rows if row["tier"] == CRITICAL}
    supporting = [row["result"] for row in rows if row["tier"] == SUPPORTING]
    failed = supporting.count(FAIL)
    if FAIL in critical or failed > gate.supporting_may_fail:
        return FAIL
    if missing(gate, report):
        return MISSING
    undecided = failed + supporting.count(INCONCLUSIVE)
    return INCONCLUSIVE if INCONCLUSIVE in critical or undecided > gate.supporting_may_fail else PASS


def headlines_of(report: Report) -> list[dict[str, str]]:
    """By cell, what the report recommends, and whether the adapter destroys general text."""
    return [{"cell": row["cell"], "verdict": row["verdict"], "use": row["use"], "text": headline_text(row)} for row in report["advice"]]


def headline_text(row: AdviceRow) -> str:
    first, *others = row["sentences"]
    return " ".join([first["text"], *(sentence["text"] for sentence in others if sentence["kind"] == "text destroyed")])


def line(row: Outcome) -> str:
    """A rule for the terminal in 80 columns; its figure goes on a line of its own where both do not fit."""
    limits = " and ".join(f"{name.replace('_', ' ')} {limit!r}".removesuffix(".0") for name, limit in row["threshold"].items())
    name = f"{row['figure']} on {row['suite']}, {row['label']}" if row["suite"] else f"{row['figure']} {row['label']}"
    limits += "" if row["tier"] == CRITICAL else f"; {row['tier']}"
    text = figures(row, digits(row)) + ("" if row["base"] is None else f" of {row['base']:.3g}")
    indent = " " * (len(INCONCLUSIVE) + 2)
    head = textwrap.fill(f"{row['result']:{len(INCONCLUSIVE)}}  {name}", WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    gap = "  " if len(head) + len(text) + len(limits) + 5 <= WIDTH else f"\n{indent}"
    return f"{head}{gap}{text} ({limits})"


def digits(row: Reading) -> int:
    """Significant digits with which every figure lies on the same side of each limit as it does unrounded."""
    values = [value for value in (row["value"], row["low"], row["high"]) if value is not None]
    pairs = [(value, limit) for value in values for limit in row["threshold"].values()]

    def is_faithful(value: float, limit: float, places: int) -> bool:
        rounded = float(f"{value:.{places}g}")
        return (rounded > limit, rounded < limit) == (value > limit, value < limit)

    return next(places for places in range(MIN_DIGITS, MAX_DIGITS + 1) if all(is_faithful(*pair, places) for pair in pairs))


def figures(row: Reading, places: int) -> str:
    if row["value"] is None:
        return "no answers"
    if not row["measurable"]:
        return NOT_TESTABLE
    return f"{row['value']:.{places}g}" + (f" [{row['low']:.{places}g}, {row['high']:.{places}g}]" if row["low"] is not None else "")


def missing_line(task: str) -> str:
    return f"{MISSING:{len(INCONCLUSIVE)}}  {task} (required, and was not run)"


def supporting_line(gate: Gate, rows: Sequence[Outcome]) -> str | None:
    """How many supporting results failed of those that may; None where there is no supporting rule."""
    results = [row["result"] for row in rows if row["tier"] == SUPPORTING]
    return f"supporting: {results.count(FAIL)} of {len(results)} failed, {gate.supporting_may_fail} may" if results else None


def evidence(gate: Gate, report: Report, rows: Sequence[Outcome]) -> dict[str, Any]:
    """What was judged and how: the gate's word and exit code, the required tasks that are missing, every rule with its figures, and by
    cell what the report recommends."""
    word = conclude(gate, report, rows)
    whole = {"schema": 1, "result": word, "status": STATUS[word], "missing": missing(gate, report)}
    return whole | {"supporting_may_fail": gate.supporting_may_fail, "headlines": headlines_of(report), "rules": list(rows)}


def write(store: Store, gate: Path, report: Artifact, judged: Mapping[str, Any]) -> Path:
    """The evidence as data/gate/<recipe>.json, with the report that was judged, by key and digest."""
    name = report.params["recipe"]["name"]
    path = store.data / "gate" / f"{name}.json"
    evidence = {"recipe": name, "gate": gate.name, "report": report.path.name, "key": report.key, "digest": report.digest, **judged}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(evidence, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return path
