"""Prints the verdict on a terminal from report.json: a table of 80 columns, and the same in sentences."""

import textwrap

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.measures.cell_types import CellRow, ConstantAnswer
from pipeline.measures.report_types import PublishedFigure, Report
from pipeline.page import fmt
from pipeline.page.claims_section import suite_verdicts
from pipeline.scoring.verdict import BETTER, CANNOT_TELL, WORSE, Verdict
from pipeline.store.figure_types import DecompositionRow, SuiteRow

STYLES: dict[Verdict, str] = {BETTER: "bold green", WORSE: "bold red", CANNOT_TELL: "bold yellow"}
MAX_CELLS = 6
"""With more comparisons only the table is printed; of a sweep with more points the parts and losses are left out too."""
PAGE_HINT = "What made each lift, and what was lost elsewhere: on the page and in report.md."
PUBLISHED_NOTE = """By the paper's scoring rules. agree: a 95 % interval of the difference covers
zero; *: scores as a constant answer does. Intervals and reasons: on the page."""


def summary(report: Report) -> RenderableType:
    """What report.json says of every comparison: the table, its sentences, the warnings."""
    is_long = len(report["cells"]) > MAX_CELLS
    sentences = [] if is_long else [sentence(cell) for cell in report["cells"]]
    parts: list[RenderableType] = [Text(report["title"], style="bold"), verdict_table(report), *primary_metrics(report), *sentences]
    parts += page_hint(report) if is_long and report["sweep"] else [*lift_parts(report), *other_task_lines(report)]
    parts += [references_table(report), *reference_costs(report)] if report["references"] else []
    parts += [published_table(report), Text(PUBLISHED_NOTE, style="dim")] if report["published"] else []
    parts += [Text(f"Warning: {warning}", style="yellow") for warning in report["warnings"]]
    return Group(*parts)


def verdict_table(report: Report) -> Table:
    """One row per cell: task, point of the sweep, metric, n, scores, lift with interval, adjusted p, verdict."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    swept = report["sweep"]["keys"] if report["sweep"] else []
    table.add_column("task", overflow="fold", min_width=8, ratio=3)
    if swept:
        table.add_column(fmt.key_label(swept[0]) if len(swept) == 1 else "point", overflow="fold", min_width=4, ratio=2)
    else:  # next to a point there is no room for it; primary_metrics() prints it
        table.add_column("metric", overflow="fold", min_width=7, ratio=2)
    for name in ("n", "base", "tuned", "lift", f"p ({fmt.correction(report['correction'])})"):
        table.add_column(name if not name.startswith("p (not") else "p", justify="right", no_wrap=name != "lift")
    table.add_column("verdict")
    for cell in report["cells"]:
        row = cell["comparisons"][0]
        point_cells = [Text(fmt.setting(cell["point"][swept[0]]) if len(swept) == 1 else cell["coordinates"])] if swept else []
        figures = (
            f"{row['n']:,}",
            fmt.score(row, "base"),
            fmt.score(row, "tuned"),
            fmt.lift(row),
            fmt.p_value(row["p_adjusted"]),
        )
        texts = [Text(cell["task"]), *(point_cells or [Text(fmt.metric(row["metric"]))]), *map(Text, figures)]
        table.add_row(*texts, Text(row["verdict"], style=STYLES[row["verdict"] or CANNOT_TELL]))
    return table


def lift_parts(report: Report) -> list[Text]:
    """What made the lift, a line per cell."""
    lines = [
        wrapped_line(cell["label"], parts_text(parts) + constant_text(cell["constant_answer"]))
        for cell in report["cells"]
        if (parts := cell["decomposition"])
    ]
    return [Text("lift by parts", style="bold"), *lines] if lines else []


def page_hint(report: Report) -> list[Text]:
    """Where to find the parts and losses of a sweep of many points."""
    return [Text(PAGE_HINT, style="dim")] if any(cell["decomposition"] or cell["forgetting"] for cell in report["cells"]) else []


def parts_text(decomposition: DecompositionRow) -> str:
    parts = [f"{part['name']} {fmt.signed(part['value'])}" for part in decomposition["parts"] if part["arm"] is not None]
    return f"{fmt.signed(decomposition['lift'])} = {', '.join(parts)}"


def constant_text(constant: ConstantAnswer | None) -> str:
    return f"; always one answer: {fmt.number(constant['score'])}" if constant else ""


def other_task_lines(report: Report) -> list[Text]:
    """What was lost on other tasks, a line per cell, each suite with its verdict."""
    verdicts = suite_verdicts(report)
    lines = []
    for cell in report["cells"]:
        suites = [suite_text(suite, verdicts.get((cell["cell"], suite["suite"]), "(base too low)")) for suite in cell["forgetting"]]
        lines += [wrapped_line(cell["label"], ", ".join(suites))] if suites else []
    return [Text("worse elsewhere by (better: shown to stay within the margin)", style="bold"), *lines] if lines else []


def suite_text(suite: SuiteRow, verdict: str) -> str:
    unit = " nats" if suite["kind"] == "loss" else ""
    return f"{suite['label']} {fmt.signed(suite['difference'])}{unit} {verdict}".rstrip()


def wrapped_line(label: str, text: str) -> Text:
    """A cell's part of a list, in lines of 80 columns."""
    return Text(textwrap.fill(f"{label}: {text}", 80, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))


def published_table(report: Report) -> Table:
    """One row per task of LoRA Land: base, tuned and lift, each ours and the paper's, GPT-4's score, and whether the lifts agree."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False, title="beside LoRA Land", title_justify="left")
    table.add_column("task", overflow="fold", min_width=8)
    for name in ("base", "paper", "tuned", "paper", "lift", "paper", "GPT-4"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("lifts")
    for row in report["published"]:
        pairs = [row["figures"][figure] for figure in ("base", "tuned", "lift")]
        scores = [
            text
            for name, pair in zip(("base", "tuned", "lift"), pairs, strict=True)
            for text in figure_pair(pair, name, name in row["marks"])
        ]
        table.add_row(row["label"], *scores, fmt.three_digits(row["gpt4"]), pairs[2]["word"])
    return table


def figure_pair(pair: PublishedFigure, figure: str, learned_nothing: bool) -> tuple[str, str]:
    return fmt.three_digits(pair["ours"], figure) + ("*" if learned_nothing else ""), fmt.three_digits(pair["paper"], figure)


def references_table(report: Report) -> Table:
    """One row per task, reference model and metric."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False, title="reference models", title_justify="left")
    for name in ("task", "model", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("score", "tuned over it"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report["references"]:
        table.add_row(row["label"], row["name"], fmt.metric(row["metric"]), fmt.number(row["score"], 3), fmt.lift(row))
    return table


def reference_costs(report: Report) -> list[Text]:
    """What each priced reference model has cost."""
    costs: dict[str, float] = {}
    for row in report["references"]:
        if row["cost"] is not None:
            costs[row["name"]] = costs.get(row["name"], 0.0) + row["cost"]
    return [Text(f"{name}: {fmt.dollars(cost)} in all, by the recipe's price") for name, cost in costs.items()]


def primary_metrics(report: Report) -> list[Text]:
    """What the tasks of a sweep are judged by: the table has no room for it."""
    metrics = {cell["task"]: fmt.metric(cell["comparisons"][0]["metric"]) for cell in report["cells"]}
    return [Text("judged by: " + ", ".join(f"{task} {metric}" for task, metric in metrics.items()))] if report["sweep"] else []


def sentence(cell: CellRow) -> Text:
    verdict = cell["comparisons"][0]["verdict"]
    text = Text(cell["sentence"])
    text.stylize(STYLES[verdict or CANNOT_TELL], 0, len(verdict))
    return text
