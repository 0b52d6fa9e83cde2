"""Judges the rules of a YAML file on report.json, prints the evidence and gives an exit code for CI."""

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from pipeline.commands.power import has_baseline
from pipeline.config import recipe
from pipeline.config.schema import Section
from pipeline.config.spellings import understood
from pipeline.config.validation_errors import describe_errors
from pipeline.data import inline
from pipeline.errors import RecipeError, suggest
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.report_types import Report
from pipeline.measures.speed_summary import MIN_REQUESTS_OF_P95
from pipeline.planning.job import Job
from pipeline.scoring import stats
from pipeline.scoring.verdict import INCONCLUSIVE, NOT_TESTABLE
from pipeline.store import input_names
from pipeline.store.artifact import Artifact, Store
from pipeline.store.figure_types import SuiteRow
from pipeline.store.input_names import InputName

Figure = tuple[float | None, float | None, float | None]
"""Value, and the ends of its interval where it has one."""
PASS, FAIL = "pass", "fail"
STATUS = {FAIL: 3, INCONCLUSIVE: 4}
TIMED_FIGURES = ("request_cost", "latency_p50", "latency_p95", "overhead")
PRICED_FIGURES = ("request_cost", "training_cost")
COUNTED_FIGURES: Mapping[str, Literal["unparsed", "truncated"]] = {"unparsed": "unparsed", "truncated": "truncated"}
RESAMPLED_FIGURES = ("lift", "training_effect", "score")
WIDTH = 80
MIN_DIGITS = 3
"""Significant digits of a figure on the terminal; a limit is shown in full."""
MAX_DIGITS = 17
"""Significant digits that distinguish any two doubles."""


class Rule(Section):
    """One figure with its limits, for one task or for every one."""

    figure: str
    """What is looked at: a name of `loralift compare --help`, or docs/report.md."""
    task: str | None = None
    """The task that it is asked of; unset: every one that has the figure."""
    suite: str | None = None
    """The other-task suite, for forgetting; unset: every one."""
    at_least: float | None = None
    at_most: float | None = None


class Gate(Section):
    """What a gate file holds."""

    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1)]
    """The rules, all of which must pass."""


def tuned(cell: CellRow) -> ArmRow:
    return next(arm for arm in cell["arms"] if arm["name"] == "tuned")


def lift(cell: CellRow) -> Figure:
    row = cell["comparisons"][0]
    return row["lift"], row["low"], row["high"]


def training_effect(cell: CellRow) -> Figure:
    """What training gave beyond the best baseline, which needs none."""
    parts = cell["decomposition"]["parts"] if cell["decomposition"] else []
    part = next((part for part in parts if part["name"] == "training"), None)
    return (part["value"], part["low"], part["high"]) if part else (None, None, None)


def widened_if_constant(n: int, figure: Figure, confidence: float) -> Figure:
    """The figure, with a wider interval if all resamples agree: though n examples show one thing, up to 1 - (1 - confidence)^(1/n) of all
    may show another (at 95 % the rule of three: Hanley & Lippman-Hand 1983, doi:10.1001/jama.1983.03330370053031)."""
    value, low, high = figure
    if value is None or low is None or high is None or low < high:
        return figure
    bound = 1 - (1 - confidence) ** (1 / n)
    return value, value - bound, value + bound


def score(cell: CellRow) -> Figure:
    arm = tuned(cell)
    return arm["score"], arm["low"], arm["high"]


def hallucination(cell: CellRow) -> Figure:
    hallucination = tuned(cell)["hallucination"]
    return (hallucination["rate"], hallucination["low"], hallucination["high"]) if hallucination else (None, None, None)


def relevance(cell: CellRow) -> Figure:
    figures = tuned(cell)["relevance"]
    return (figures["auc"], figures["auc_low"], figures["auc_high"]) if figures else (None, None, None)


def counted(name: Literal["unparsed", "truncated"], cell: CellRow, confidence: float) -> Figure:
    """A share of the answers of all seeds, with Wilson's interval over examples, as the seeds' answers to one are not independent."""
    counts = tuned(cell)["counts"]
    assert counts is not None  # base and tuned always have answers
    share = counts[name] / counts["n"]
    return share, *stats.wilson(share, counts["n"] // len(cell["seeds"]), confidence)


def timed(name: Literal["p50", "p95", "overhead"]) -> Callable[[CellRow], Figure]:
    def time(cell: CellRow) -> Figure:
        speed = tuned(cell)["speed"]
        return (speed[name] if speed else None), None, None

    return time


def request_cost(cell: CellRow) -> Figure:
    cost = tuned(cell)["cost"]
    return (cost["request"] if cost else None), None, None


def training_cost(cell: CellRow) -> Figure:
    return (cell["cost"]["training"]["dollars"] if cell["cost"] else None), None, None


FIGURES: Mapping[str, Callable[[CellRow], Figure]] = {
    "lift": lift,
    "training_effect": training_effect,
    "score": score,
    "hallucination": hallucination,
    "relevance": relevance,
    "request_cost": request_cost,
    "training_cost": training_cost,
    "latency_p50": timed("p50"),
    "latency_p95": timed("p95"),
    "overhead": timed("overhead"),
}
"""Every figure but those that are counted, and forgetting, which has one value per suite. All are of the tuned arm; docs/report.md says
what each is."""
FORGETTING = "forgetting"
NAMES = (*FIGURES, *COUNTED_FIGURES, FORGETTING)


def load(path: Path, asked_recipe: recipe.Recipe, report: Job) -> Gate:
    """The rules of a file, checked against what a recipe will measure, before anything is run.

    Args:
        report: the last job of the recipe's plan, whose inputs say what will be measured.

    Raises:
        RecipeError: the file cannot be read, or a rule asks for what does not exist or will not be measured.
    """
    raw = understood(recipe.read(path, "gate file", "docs/report.md"), [Gate])
    try:
        gate = Gate.model_validate(raw)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{path}: {line}" for line in describe_errors(error.errors(), raw, keys_at))) from None
    for number, rule in enumerate(gate.rules):
        location = f"{path}: rules[{number}]"
        check(rule, asked_recipe, location)
        if why := not_measured_reason(rule, asked_recipe, report):
            raise RecipeError(f"{location}: {rule.figure} will not be measured{scope_text(rule)}: {why[0]}.", why[1])
    return gate


def keys_at(location: tuple[Any, ...]) -> Mapping[str, FieldInfo]:
    return Rule.model_fields if len(location) > 1 else Gate.model_fields


def check(rule: Rule, asked_recipe: recipe.Recipe, location: str) -> None:
    """Raises RecipeError if a rule is invalid, or names a task that the recipe does not have."""
    if rule.figure not in NAMES:
        more = " There are two: request_cost and training_cost." if rule.figure == "cost" else ""
        raise RecipeError(f"{location}: there is no figure '{rule.figure}'.{more}", suggest(rule.figure, NAMES))
    if rule.at_least is None and rule.at_most is None:
        raise RecipeError(f"{location}: {rule.figure} has no limit.", "Add at_least or at_most.")
    if rule.at_least is not None and rule.at_most is not None and rule.at_least > rule.at_most:
        raise RecipeError(f"{location}: at_least {rule.at_least:g} is more than at_most {rule.at_most:g}.", "Take one of them out.")
    tasks = [task if isinstance(task, str) else task.name for task in asked_recipe.tasks]
    if rule.task is not None and rule.task not in tasks:
        raise RecipeError(f"{location}: the recipe has no task '{rule.task}'.", suggest(rule.task, tasks))
    if rule.suite is not None and rule.figure != FORGETTING:
        raise RecipeError(f"{location}: {rule.figure} has no suites.", "Take suite out, or use the figure `forgetting`.")


def not_measured_reason(rule: Rule, asked_recipe: recipe.Recipe, report: Job) -> tuple[str, str] | None:
    """Why a recipe does not measure a figure for any task that the rule is about, and the remedy; None where it may."""
    if rule.figure in PRICED_FIGURES and asked_recipe.cost.gpu_hour is None:
        return "the price of an hour is not set", "Set cost.gpu_hour to the machine's price per hour in US dollars."
    cells = [cell["cell"] for cell in report.params["cells"] if rule.task in (None, cell["task"])]
    inputs = {name.of_cell("") for name in map(input_names.parse, dict(report.inputs)) if name.cell in cells}
    if rule.figure in TIMED_FIGURES and InputName("speed") not in inputs:
        return "compare.speed_prompts is 0", "Set it to 16, or take the rule out."
    if rule.figure == "latency_p95" and asked_recipe.compare.speed_prompts < MIN_REQUESTS_OF_P95:
        return (
            f"compare.speed_prompts is {asked_recipe.compare.speed_prompts}, and a 95th percentile needs {MIN_REQUESTS_OF_P95}",
            f"Set it to {MIN_REQUESTS_OF_P95}, or look at latency_p50.",
        )
    if rule.figure == "relevance" and InputName("relevance", "tuned") not in inputs:
        return "compare.relevance_examples is 0", "Set it to 200, or take the rule out."
    if rule.figure == "training_effect" and not any(has_baseline(comparison_of(report, cell)) for cell in cells):
        return "no baseline besides the base is compared", "Add constant to compare.arms."
    if rule.figure == "hallucination" and not any(is_grounded(report, cell) for cell in cells):
        return (
            "its answers may say what the prompt does not",
            "Take the rule out, or name a task whose answers are grounded in its prompts.",
        )
    suites = {name.suite for name in inputs if name.suite}
    if rule.figure == FORGETTING and not suites:
        return "general.suites is empty", "Add paragraphs to it."
    if rule.suite is not None and rule.suite not in suites:
        return f"the general suites are {', '.join(sorted(suites))}", suggest(rule.suite, suites)
    return None


def is_grounded(report: Job, cell: str) -> bool:
    return bool(inline.from_spec(comparison_of(report, cell).params["task"]).grounded)


def comparison_of(report: Job, cell: str) -> Job:
    return dict(report.inputs)[str(InputName("comparison", cell=cell))]


class Reading(TypedDict):
    """A figure of a report, with the limits that a rule holds it to."""

    cell: str
    label: str
    threshold: dict[str, float]
    """By `at_least` and `at_most`, as far as the rule has them."""
    suite: str | None
    """The other-task suite, for forgetting."""
    value: float | None
    low: float | None
    high: float | None
    measurable: bool
    """Whether the base scores enough to lose anything."""


class Outcome(Reading):
    """A rule applied to a reading."""

    rule: int
    """Its index in the gate file."""
    figure: str
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
        if not readings:
            suites = sorted({suite["suite"] for cell in report["cells"] for suite in cell["forgetting"]})
            remedy = (
                suggest(rule.suite, suites) if rule.suite and suites else "Take the rule out, or look at docs/report.md for what it needs."
            )
            raise RecipeError(f"rules[{number}]: {rule.figure} was not measured{scope_text(rule)}.", remedy)
        rows += [{**reading, "rule": number, "figure": rule.figure, "result": result(rule, reading)} for reading in readings]
    return rows


def scope_text(rule: Rule) -> str:
    return "".join(f" for the {kind} {name}" for kind, name in (("task", rule.task), ("suite", rule.suite)) if name)


def readings_of(rule: Rule, cell: CellRow, confidence: float) -> list[Reading]:
    """The figure in a cell with the limits that it is held to; nothing where it was not measured there."""
    if rule.figure == FORGETTING:
        suites = [suite for suite in cell["forgetting"] if rule.suite in (None, suite["suite"])]
        return [reading(rule, cell, drop(suite), suite["suite"], suite["measurable"]) for suite in suites]
    figure = counted(COUNTED_FIGURES[rule.figure], cell, confidence) if rule.figure in COUNTED_FIGURES else FIGURES[rule.figure](cell)
    if rule.figure in RESAMPLED_FIGURES:
        figure = widened_if_constant(cell["comparisons"][0]["n"], figure, confidence)
    has_no_answers = rule.figure == "hallucination" and cell["hallucination"]  # measured, but there was no answer to look at
    if figure[0] is None and not has_no_answers:
        return []
    return [reading(rule, cell, figure)]


def drop(suite: SuiteRow) -> Figure:
    """How much worse tuned is than base on another task: the drop of a score, or the rise of a loss."""
    if suite["kind"] == "loss":
        return suite["difference"], suite["low"], suite["high"]
    return 0.0 - suite["difference"], 0.0 - suite["high"], 0.0 - suite["low"]


def reading(rule: Rule, cell: CellRow, figure: Figure, suite: str | None = None, measurable: bool = True) -> Reading:
    limits = {name: limit for name in ("at_least", "at_most") if (limit := getattr(rule, name)) is not None}
    value, low, high = figure
    return {
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
    most = rule.at_most
    if (least is not None and high < least) or (most is not None and low > most):
        return FAIL
    inside = (least is None or low >= least) and (most is None or high <= most)
    return PASS if inside else INCONCLUSIVE


def status(rows: list[Outcome]) -> int:
    """Exit code: 0 where all pass, 3 where one fails, 4 where none fails and one is inconclusive."""
    results = {row["result"] for row in rows}
    return next((STATUS[word] for word in (FAIL, INCONCLUSIVE) if word in results), 0)


def headlines_of(report: Report) -> list[dict[str, str]]:
    """By cell, what the report recommends."""
    return [
        {"cell": row["cell"], "verdict": row["verdict"], "use": row["use"], "text": row["sentences"][0]["text"]} for row in report["advice"]
    ]


def line(row: Outcome) -> str:
    """A rule for the terminal in 80 columns; its figure goes on a line of its own where both do not fit."""
    limits = " and ".join(f"{name.replace('_', ' ')} {limit!r}".removesuffix(".0") for name, limit in row["threshold"].items())
    name = f"{row['figure']} on {row['suite']}, {row['label']}" if row["suite"] else f"{row['figure']} {row['label']}"
    text = figures(row, digits(row))
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


def write(store: Store, gate: Path, report: Artifact, headlines: Sequence[Mapping[str, str]], rows: list[Outcome]) -> Path:
    """The evidence as data/gate/<recipe>.json: the report that was judged, by key and digest, and every rule with its figures.

    Args:
        headlines: by cell, what the report recommends.
    """
    name = report.params["recipe"]["name"]
    path = store.data / "gate" / f"{name}.json"
    evidence = {"schema": 1, "recipe": name, "gate": gate.name, "status": status(rows), "report": report.path.name}
    evidence |= {"key": report.key, "digest": report.digest, "headlines": headlines, "rules": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(evidence, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return path
