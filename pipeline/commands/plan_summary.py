"""Prints what `loralift plan` begins with: the total for this machine, then one line a task with its rows, memory, time and MDE."""

import os
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.commands import job_estimates, power
from pipeline.commands.estimate import UTILIZATION, Gpu
from pipeline.commands.job_estimates import lengths_of
from pipeline.commands.job_status import JobStatus, bound_mark, duration_text, remaining
from pipeline.config import sweeps
from pipeline.config.recipe import Recipe
from pipeline.page import fmt
from pipeline.planning import search_jobs
from pipeline.planning.job import Job
from pipeline.scoring import detectable
from pipeline.store import input_names
from pipeline.store.artifact import Artifact

COLUMNS = 80


@dataclass(frozen=True)
class TaskWork:
    """One task of a plan, over all points of a sweep."""

    name: str
    rows: tuple[JobStatus, ...]
    """The jobs that it needs and no task before it does."""
    train: tuple[Job, ...]
    """Its training splits, one for each number of rows."""
    heldout: tuple[Job, ...]


REQUESTS_OF_ROUND = 2
"""Requests for each program that fails in a round of debugging: verdicts and repair."""


def tasks_of(report: Job, rows: Sequence[JobStatus]) -> list[TaskWork]:
    """The tasks of a report in their order; a job that several need belongs to the first."""
    by_job = {row.job: row for row in rows}
    tasks = {spec["cell"]: spec["task"] for spec in report.params["cells"]}
    jobs: dict[str, dict[Job, None]] = {task: {} for task in tasks.values()}
    splits: dict[str, dict[str, dict[Job, None]]] = {role: {task: {} for task in jobs} for role in ("train", "heldout")}
    taken: set[Job] = set()
    for text, job in report.inputs:
        name = input_names.parse(text)
        task = tasks[name.cell]
        needed = [one for one in with_inputs(job) if one not in taken]
        jobs[task] |= dict.fromkeys(needed)
        taken.update(needed)
        if name.role in splits and not name.suite:
            splits[name.role][task][job] = None
    return [
        TaskWork(task, tuple(by_job[job] for job in jobs[task]), tuple(splits["train"][task]), tuple(splits["heldout"][task]))
        for task in jobs
    ]


def with_inputs(job: Job) -> Iterator[Job]:
    """The job and all that it needs; a job may come more than once."""
    yield job
    for _, source in job.inputs:
        yield from with_inputs(source)


def show_sweep(out: Console, recipe: Recipe) -> None:
    """How many points the sweep of a recipe has, and over which keys."""
    if not recipe.sweep:
        return
    points, swept = len(sweeps.points(recipe.sweep)), recipe.swept
    sizes = [f"{len(values)} of {key}" for key, values in swept.items()]
    factors = " x ".join(sizes) if isinstance(recipe.sweep, dict) else f"over {', '.join(swept)}"
    out.print(textwrap.fill(f"Sweep of {fmt.plural(points, 'point')}: {factors}.", COLUMNS, break_on_hyphens=False), soft_wrap=True)


def show_tuning(out: Console, recipe: Recipe, searches: int) -> None:
    """How many trainings the searches of a recipe begin, and what these take together.

    Args:
        searches: one for each task and point.
    """
    if recipe.tune is None:
        return
    tune, trainings = recipe.tune, search_jobs.budget(recipe.tune)
    ways = [f"TPE, {tune.count} trials" if tune.sampler else f"{tune.count} values", *([f"halving {tune.halving}"] if tune.halving else [])]
    text = (
        f"Tuning of {', '.join(tune.values)} ({', '.join(ways)}) for {fmt.plural(searches, 'comparison')}: {searches * tune.count} "
        f"trainings are begun, of the steps of {searches * trainings:.4g} whole ones. The chosen one goes on from its trial; further "
        "seeds are trained anew."
    )
    out.print(textwrap.fill(text, COLUMNS, break_on_hyphens=False), soft_wrap=True)


def show_total(out: Console, rows: Sequence[JobStatus], card_name: str, card: Gpu | None) -> None:
    """How many jobs are to run, and how long they take on this machine.

    Args:
        card_name: of this machine; empty without a CUDA device.
        card: the same in the table of cards; None if it is not there.
    """
    pending = [row for row in rows if row.reason is not None]
    text = f"{len(rows)} jobs, {len(pending)} to run, {len(rows) - len(pending)} cached."
    if pending:
        text += f" {time_text(pending, card_name, card)}"
    out.print(textwrap.fill(text, COLUMNS, break_on_hyphens=False), soft_wrap=True)


def time_text(pending: Sequence[JobStatus], card_name: str, card: Gpu | None) -> str:
    """What the jobs take on this machine, in a sentence."""
    total = remaining(pending)
    if card is None:
        machine = f"this card ({card_name})" if card_name else "a machine without a CUDA device"
        return f"There is no estimate for {machine}; --gpus has some for other cards."
    largest = max((row.estimate.min_bytes for row in pending if row.estimate), default=0.0)
    sign = bound_mark(total.is_upper_bound)
    unknown = f"; {total.unknown} jobs are not in it" if total.unknown else ""
    fits = f" {total.too_large[card.name]} jobs do not fit into its memory." if total.too_large[card.name] else ""
    duration = duration_text(total.hours[card.name], total.is_upper_bound)
    share = f"at {100 * UTILIZATION:.0f} % of the card's limit"
    return f"Estimate for this {card.name}: {duration} and {sign}{largest / 1e9:.1f} GB, {share}{unknown}.{fits}"


def show_tasks(out: Console, report: Job, rows: Sequence[JobStatus], done: Mapping[Job, Artifact], card: Gpu | None) -> None:
    """One line a task: rows that are used of rows available, memory, time on this card, and minimum detectable effect."""
    family = power.family_of(report)
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("task", overflow="fold", min_width=14)
    for head in ("jobs", "train rows", "test rows", "GB", *(["time"] if card else []), "MDE"):
        table.add_column(head, justify="right", no_wrap=True)
    for task in tasks_of(report, rows):
        pending = [row for row in task.rows if row.reason is not None]
        cells = [task.name, f"{len(pending)}/{len(task.rows)}", rows_text(task.train, done), rows_text(task.heldout, done)]
        cells += [memory_text(pending), *([task_time(pending, card)] if card else []), effect_text(task.heldout, done, family)]
        table.add_row(*cells)
    out.print(table)


def show_requests(out: Console, rows: Sequence[JobStatus], done: Mapping[Job, Artifact]) -> None:
    """How many requests go to which endpoint, at most: answers of a run that was killed are not requested again."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        if "endpoint" in row.job.params and row.reason is not None:
            place = (str(row.job.params["model"]), str(row.job.params["endpoint"]))
            requests = REQUESTS_OF_ROUND * row.job.params.get("rounds", 0) or 1
            counts[place] = counts.get(place, 0) + requests * lengths_of(dict(row.job.inputs)["heldout"], dict(done)).examples
    for (model, address), count in counts.items():
        text = f"Requests to {address}: at most {count:,} for answers of {model}, and one to try it."
        out.print(textwrap.fill(text, COLUMNS, break_on_hyphens=False, break_long_words=False), soft_wrap=True, markup=False)


def memory_text(pending: Sequence[JobStatus]) -> str:
    """Memory of the largest job; empty without an estimate."""
    estimates = [row.estimate for row in pending if row.estimate]
    if not estimates:
        return ""
    sign = bound_mark(any(estimate.is_upper_bound for estimate in estimates))
    return f"{sign}{max(estimate.min_bytes for estimate in estimates) / 1e9:.1f}"


def task_time(pending: Sequence[JobStatus], card: Gpu) -> str:
    """Time of the jobs on a card; `too large` if one does not fit."""
    total = remaining(pending)
    return "too large" if total.too_large[card.name] else duration_text(total.hours[card.name], total.is_upper_bound)


def rows_text(splits: Sequence[Job], done: Mapping[Job, Artifact]) -> str:
    """Rows used of rows available, of the largest split: `2,000 of 9,427`, `500 of ?`."""
    most = "up to " if len(splits) > 1 else ""
    return most + max((split_text(job, done) for job in splits), key=lambda pair: pair[0], default=(0, "none"))[1]


def split_text(job: Job, done: Mapping[Job, Artifact]) -> tuple[int, str]:
    if job in done:
        facts = done[job].facts
        return facts["examples"], f"{facts['examples']:,} of {facts['rows']:,}"
    lengths, available = lengths_of(job, dict(done)), job_estimates.source_rows(job)
    used = "?" if lengths.examples >= job_estimates.MAX_ROWS else f"{lengths.examples:,}"
    return lengths.examples, f"{used} of {'?' if available is None else f'{available:,}'}"


def effect_text(splits: Sequence[Job], done: Mapping[Job, Artifact], family: power.Family) -> str:
    """The minimum detectable effect of the largest test set, in points; `>=` where the set may turn out smaller."""
    lengths = max((lengths_of(job, dict(done)) for job in splits), key=lambda one: one.examples)
    effect = detectable.planned_effect(lengths.examples, power.DISCORDANCE, family.confidence, seeds=family.seeds)
    return f"{'>=' if lengths.is_upper_bound else ''}{100 * effect:.1f}" if effect < 1 else "none"


def show_legend(out: Console, is_upper_bound: bool, seeds: int) -> None:
    """What the columns mean."""
    mean = f", of the mean over {seeds} training seeds at best" if seeds > 1 else ""
    bounds = "Until the data are prepared, rows, GB and time are upper bounds and the MDE is a lower one. " if is_upper_bound else ""
    text = (
        f"jobs: to run, of all. MDE: minimum detectable effect of one test in points (80 % power){mean}, if answers differ on "
        f"{100 * power.DISCORDANCE:g} % of the test examples. {bounds}"
        "--all lists every job and what the test sets can show, --gpus the estimates for four cards."
    )
    out.print(Text(textwrap.fill(text, COLUMNS, break_on_hyphens=False), "dim"), soft_wrap=True)


def card_of_machine() -> str:
    """The name of the first CUDA card that a run would see, from nvidia-smi, since torch takes seconds to load; empty without one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible in ("", "-1"):
        return ""
    first = (visible or "0").split(",")[0]
    command = [program, f"--id={first}", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip().partition("\n")[0]
