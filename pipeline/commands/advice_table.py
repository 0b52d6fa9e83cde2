"""Prints a forecast in 80 columns: the recommendation, the expected lift, the scores without training, and what all of it rests on"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import arms
from pipeline.arms import Constraint
from pipeline.commands import advice_words, plan_summary
from pipeline.commands.estimate import GPUS
from pipeline.commands.job_estimates import estimate_of
from pipeline.commands.job_status import duration_text
from pipeline.data import inline
from pipeline.page import fmt
from pipeline.planning.advice_jobs import Advised
from pipeline.planning.job import Job
from pipeline.store.artifact import Artifact
from pipeline.store.forecast import ArmForecast, Forecast, ForecastFolder

WIDTH = 80
INDENT = "  "


def show(out: Console, row: Advised, artifacts: Mapping[Job, Artifact], gpu_hour: float | None) -> None:
    """The forecast of a task.

    Args:
        artifacts: of the forecast and its inputs.
        gpu_hour: US dollars for an hour of the machine.
    """
    folder = ForecastFolder(artifacts[row.forecast].path)
    forecast = folder.forecast()
    constraint = inline.from_spec(row.forecast.params["task"]).constraint
    out.print(Text.assemble((row.task, "bold"), f" on {row.base}: ", advice_words.headline(forecast, constraint)), soft_wrap=True)
    out.print(expectations(forecast, constraint))
    out.print(scores(forecast, constraint))
    for name, lines in (
        ("Why", advice_words.reasons(forecast, constraint)),
        ("Caution", advice_words.cautions(forecast)),
        ("Data", advice_words.data_lines(forecast, constraint)),
        ("Rests on", advice_words.grounds(forecast)),
        ("Cost", cost_lines(row, artifacts, gpu_hour)),
    ):
        for text in paragraphs(name, lines):
            out.print(text, soft_wrap=True)
    out.print(f"{INDENT}forecast: {folder.path}", soft_wrap=True)


def paragraphs(name: str, lines: Iterator[str]) -> Iterator[Text]:
    """The lines below a name, wrapped; nothing where there are none."""
    for number, line in enumerate(lines):
        head = f"{INDENT}{'' if number else name:{len(INDENT) + 7}}"
        yield Text(textwrap.fill(line, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False))


def table(*columns: str) -> Table:
    """A table below a headline; the first column is text."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, show_header=any(columns))
    for number, name in enumerate(columns):
        grid.add_column(name, justify="right" if number else "left", no_wrap=number > 0, overflow="fold")
    return grid


def expectations(forecast: Forecast, constraint: Constraint) -> Table:
    """What to expect: the lift, the score, and the effect over the best arm without training."""
    grid = table("expected", f"{fmt.metric(forecast['metric'])} [{100 * forecast['evidence']['level']:.0f} % interval]")
    grid.add_row("lift over the base", advice_words.signed_range(forecast["lift"]))
    grid.add_row("fine-tuned score", advice_words.range_text(forecast["tuned"]))
    if forecast["best"] != "base":
        grid.add_row(f"over {arms.find(forecast['best'], constraint).sentence}", advice_words.signed_range(forecast["effect"]))
    return grid


def scores(forecast: Forecast, constraint: Constraint) -> Table:
    """The arms without training."""
    data, confidence = forecast["data"], 100 * forecast["confidence"]
    grid = table(f"without training, {fmt.plural(data['sample'], 'example')}", f"score [{confidence:g} % interval]", "unparsable")
    for row in distinct(forecast["arms"]):
        grid.add_row(
            arms.find(row["name"], constraint).label,
            f"{fmt.number(row['score'])} [{fmt.number(row['low'])}, {fmt.number(row['high'])}]",
            "" if row["name"] == "constant" else f"{row['unparsed']}",
        )
    return grid


def distinct(rows: Sequence[ArmForecast]) -> Iterator[ArmForecast]:
    """The arms without those that rank choices by total log-likelihood where that scores the same."""
    by_name = {row["name"]: row["score"] for row in rows}
    return (row for row in rows if row["score"] != by_name.get(arms.find(row["name"]).ranks_choices_of))


def cost_lines(row: Advised, artifacts: Mapping[Job, Artifact], gpu_hour: float | None) -> Iterator[str]:
    """The device of this machine; memory, time and price of the trainings on every card that they fit on, by estimate."""
    here = plan_summary.card_of_machine()
    yield f"This machine has {f'a CUDA device, {here}' if here else 'no CUDA device'}."
    estimates = [estimate_of(job, dict(artifacts)) for job in row.trainings]
    costs = [one for one in estimates if one]
    count = fmt.plural(len(estimates), "adapter")
    if len(costs) < len(estimates):
        yield f"Training {count}: there is no estimate for this base with these settings."
        return
    cards: dict[str, list[str]] = {}
    for card in GPUS:
        if all(one.costs[card.name].fits for one in costs):
            hours = sum(one.costs[card.name].seconds for one in costs) / 3600
            price = f", {fmt.dollars(hours * gpu_hour)}" if gpu_hour is not None else ""
            cards.setdefault(f"{duration_text(hours)}{price}", []).append(card.name)
    times = "; ".join(f"{time} on {fmt.enumerated(names)}" for time, names in cards.items()) or "too large for the cards of loralift plan"
    yield f"Training {count} takes {max(one.min_bytes for one in costs) / 1e9:.1f} GB, by estimate: {times}."
