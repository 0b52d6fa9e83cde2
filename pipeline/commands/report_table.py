"""Prints the verdict on a terminal from report.json: a table of 80 columns, and the recommendations."""

import textwrap

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline import arms
from pipeline.measures.cell_types import Churn
from pipeline.measures.report_types import PublishedFigure, Report
from pipeline.page import fmt, opening_section, preliminary, slices_section, tuning_section
from pipeline.page.claims_section import suite_verdicts
from pipeline.page.opening_section import by_effect
from pipeline.scoring.verdict import IMPROVED, NOT_TESTABLE, WORSE, Tone, Verdict, qualified, tone
from pipeline.store.figure_types import DecompositionRow, SuiteRow

STYLES: dict[Tone, str] = {"good": "bold green", "limited": "bold yellow", "bad": "bold red", "open": "bold yellow"}
MAX_CELLS = 6
"""With more comparisons only the table is printed; of a sweep with more points the parts and other tasks are left out too."""
MAX_HEAD = 12
"""Letters of a head of a column."""
WIDTH = 80
"""Columns of a terminal."""
PAGE_HINT = "See the page or report.md for where each lift comes from and for regressions."
PUBLISHED_NOTE = """By the paper's scoring rules. agree: a 95 % interval of the difference covers
zero; *: scores as a constant answer does. Intervals and reasons: on the page."""


def summary(report: Report) -> RenderableType:
    """What report.json says of every comparison: the table, the recommendations, the warnings."""
    is_long = len(report["cells"]) > MAX_CELLS
    title = Text(f"{preliminary.title_prefix(report)}{report['title']}", style="bold")
    paragraph = Text(textwrap.fill(" ".join(sentence["text"] for sentence in report["summary"]), WIDTH))
    table: list[RenderableType] = [verdict_table(report), *primary_metrics(report)]
    parts: list[RenderableType] = [title, paragraph, *table] if is_long or report["sweep"] else [title, *table, paragraph]
    parts += [] if is_long else recommendations(report)
    parts += page_hint(report) if is_long and report["sweep"] else [*lift_parts(report), *other_task_lines(report)]
    parts += [*variant_lines(report, is_long), *tuning_lines(report, is_long)]
    parts += [*pooled(report), *churn_line(report), *worse_slices(report)]
    parts += [references_table(report), *reference_costs(report)] if report["references"] else []
    parts += [published_table(report), Text(PUBLISHED_NOTE, style="dim")] if report["published"] else []
    parts += [Text(f"Warning: {warning}", style="yellow") for warning in report["warnings"]]
    return Group(*parts)


def verdict_table(report: Report) -> Table:
    """One row per cell: task, point of the sweep, base, best baseline, fine-tuned, training effect with interval, verdict."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    swept = report["sweep"]["keys"] if report["sweep"] else []
    table.add_column("task", overflow="fold", min_width=8, ratio=3)
    if swept:
        table.add_column(fmt.key_label(swept[0]) if len(swept) == 1 else "point", overflow="fold", min_width=4, ratio=2)
    for name in ("base", "best baseline", tuned_head(report), "training effect"):
        table.add_column(name, justify="right", no_wrap=name != "training effect")
    table.add_column("verdict", no_wrap=True)
    for cell in by_effect(report):
        row = cell["headline"]
        point_cells = [Text(fmt.setting(cell["point"][swept[0]]) if len(swept) == 1 else cell["coordinates"])] if swept else []
        figures = (
            fmt.number(row["base"]),
            f"{fmt.number(row['baseline_score'])} {arms.find(row['baseline'], cell['constraint']).short}",
            fmt.number(row["tuned"]),
            fmt.change(row["effect"], row["low"], row["high"]),
        )
        word = qualified(row["verdict"], row["this_task_only"]).replace(", ", ",\n")
        style = STYLES[tone(row["verdict"], row["this_task_only"])]
        table.add_row(Text(cell["task"]), *point_cells, *map(Text, figures), Text(word, style=style))
    return table


def tuning_lines(report: Report, is_long: bool) -> list[Text]:
    """What was chosen by the validation loss, a line per cell unless these are many, and at which budget."""
    rows = report["tuning"]
    if not rows:
        return []
    lines = [] if is_long else [wrapped_line(row["label"], tuning_section.short_sentence(row)) for row in rows]
    return [*lines, Text(textwrap.fill(tuning_section.budget_sentence(rows), WIDTH))]


def tuned_head(report: Report) -> str:
    """The head of the column of fine-tuned scores: one set of predictions from a file has its own name there."""
    names = {cell["variant"] or "" for cell in report["cells"] if cell["predictions"]}
    if not names:
        return "fine-tuned"
    return name if len(names) == 1 and len(name := min(names)) <= MAX_HEAD else "score"


def recommendations(report: Report) -> list[Text]:
    """What to use for every cell and why, the first sentence of each advice and what warns of it."""
    if len(report["advice"]) == 1 or report["preliminary"]:
        return []  # the paragraph has it
    return [wrapped_line(advised["label"], advised["sentences"][0]["text"]) for advised in report["advice"]]


def lift_parts(report: Report) -> list[Text]:
    """Where each lift comes from, a line per cell."""
    lines = [wrapped_line(cell["label"], parts_text(parts)) for cell in report["cells"] if (parts := cell["decomposition"])]
    return [Text("where the lift comes from", style="bold"), *lines] if lines else []


def pooled(report: Report) -> list[Text]:
    """The claim on the mean effect over all tasks; of many tasks the paragraph has the mean."""
    together = report["overview"]
    has_line = together is not None and together["tasks"] <= opening_section.MANY
    return [Text(textwrap.fill(together["sentence"], WIDTH))] if together and has_line else []


def churn_line(report: Report) -> list[Text]:
    """How many wrong answers became other wrong ones, a line per cell; of graded scores nothing is simply wrong."""
    churned = [(cell, churn) for cell in report["cells"] if (churn := cell["examples"]["churn"]) and churn["wrong"]]
    lines = [wrapped_line(cell["label"], churn_text(churn, len(cell["seeds"]))) for cell, churn in churned]
    return [Text("from wrong to another wrong", style="bold"), *lines] if lines and len(report["cells"]) <= MAX_CELLS else []


def churn_text(churn: Churn, seeds: int) -> str:
    """`12 of 40 answers that are wrong in both`, over all training seeds together."""
    over = f", over {seeds} seeds" if seeds > 1 else ""
    return f"{churn['changed']:,} of {fmt.plural(churn['wrong'], 'answer')} wrong in both{over}"


def worse_slices(report: Report) -> list[Text]:
    """The slices that are shown to be below the base, in one line; nothing where there are none."""
    worse = slices_section.worse(report["cells"])
    return [wrapped_line("below base in a slice (exploratory)", "; ".join(worse))] if worse else []


def page_hint(report: Report) -> list[Text]:
    """Where to find the parts and regressions of a sweep of many points."""
    return [Text(PAGE_HINT, style="dim")] if any(cell["decomposition"] or cell["forgetting"] for cell in report["cells"]) else []


def parts_text(decomposition: DecompositionRow) -> str:
    parts = [f"{part['name']} {fmt.signed(part['value'])}" for part in decomposition["parts"] if part["arm"] is not None]
    return f"{fmt.signed(decomposition['lift'])} over the base = {', '.join(parts)}"


def other_task_lines(report: Report) -> list[Text]:
    """Changes on other tasks, a line per cell, each suite with its verdict."""
    verdicts = suite_verdicts(report)
    lines = []
    for cell in report["cells"]:
        suites = [suite_text(suite, verdicts.get((cell["cell"], suite["suite"]), NOT_TESTABLE)) for suite in cell["forgetting"]]
        lines += [wrapped_line(cell["label"], ", ".join(suites))] if suites else []
    return [Text("change on other tasks (fine-tuned minus base)", style="bold"), *lines] if lines else []


def suite_text(suite: SuiteRow, verdict: Verdict) -> str:
    if verdict == NOT_TESTABLE:
        return f"{suite['label']} {verdict}"
    unit = " nats/token" if suite["kind"] == "loss" else ""
    return f"{suite['label']} {fmt.signed(suite['difference'])}{unit} {verdict}"


def wrapped_line(label: str, text: str) -> Text:
    """A cell's part of a list, in lines of 80 columns; without a label the text says itself what it is about."""
    return Text(
        textwrap.fill(f"{label}: {text}" if label else text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    )


def variant_lines(report: Report, is_long: bool) -> list[Text]:
    """How far the variants of one model differ, a line per task; of many comparisons the pairs alone are counted."""
    if not report["variants"]:
        return []
    title = Text("variants of one model (exploratory)", style="bold")
    if not is_long:
        return [title, *(wrapped_line("", table["sentence"]) for table in report["variants"])]
    verdicts = [pair["verdict"] for table in report["variants"] for pair in table["pairs"]]
    differing = sum(word in (IMPROVED, WORSE) for word in verdicts)
    text = (
        f"{differing} of {len(verdicts)} pairs shown to differ on {fmt.plural(len(report['variants']), 'task')}; see the page or report.md."
    )
    return [title, wrapped_line("", text)]


def published_table(report: Report) -> Table:
    """One row per task of LoRA Land: base, tuned and lift, each ours and the paper's, GPT-4's score, and whether the lifts agree."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False, title="compared with LoRA Land", title_justify="left")
    table.add_column("task", overflow="fold", min_width=8)
    for name in ("base", "paper", "fine-tuned", "paper", "lift", "paper", "GPT-4"):
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
    for name in ("score", "fine-tuned vs. this"):
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
