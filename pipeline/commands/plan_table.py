"""Prints `loralift plan`: the work by task on this machine; on request every job with its cost and the reason why it must run."""

import textwrap

from rich.console import Console
from rich.text import Text

from pipeline import stages
from pipeline.commands import job_estimates, plan_summary, power, preflight
from pipeline.commands.estimate import GPUS, UTILIZATION, named
from pipeline.commands.job_estimates import WORK_OF, JobEstimate, lengths_of
from pipeline.commands.job_status import JobStatus, bound_mark, job_status, remaining
from pipeline.config.recipe import Recipe
from pipeline.data import rows_used
from pipeline.models import base_model
from pipeline.planning.job import Job
from pipeline.store.artifact import Artifact, Store

MANY_JOBS = 60
"""More jobs than these are shown by stage."""
MANY_SPLITS = 12
"""The rows of more splits than these are shown with all jobs only."""
INDENT = " " * 6
"""Indentation of the continuation lines of a job."""
STAGE_WIDTH = 8
"""Columns of a stage's name. Longer names move their line to the right, so that the others fit 80 columns."""
DEBUG = "debug"
WIDTH = 7 + 5 * len(GPUS)
"""Characters of memory and hours: ` <=12.3  9.9 0.41    - 12.0`."""
LEGEND = f"""GB and hours are estimates: {100 * UTILIZATION:.0f} % of a card's peak (MFU) is assumed, and
published runs reach 21 to 54 %. GB: minimum GPU memory. "-": does not fit.
"<=": upper bound from the longest prompts, as the data are not prepared.
"after 5": depends on job 5."""


def show_plan(out: Console, recipe: Recipe, jobs: list[Job], store: Store, all_jobs: bool = False, all_cards: bool = False) -> None:
    """What is left to do on this machine, task by task; or every job, or every card that is estimated.

    Args:
        all_jobs: a line per job, however many there are, and what the test sets can show.
        all_cards: memory and hours on each of GPUS, by job, or of many jobs by stage.

    Raises:
        RecipeError: a base of known shape lacks a module that is to be trained.
    """
    preflight.check_targets(jobs)
    done: dict[Job, Artifact] = {}
    rows = [job_status(job, done, store) for job in jobs]
    if all_jobs or all_cards:
        show_details(out, recipe, rows, done, all_jobs)
        return
    name = plan_summary.card_of_machine()
    card = named(name)
    plan_summary.show_sweep(out, recipe)
    plan_summary.show_tuning(out, recipe, len(jobs[-1].params["cells"]))
    plan_summary.show_total(out, rows, name, card)
    plan_summary.show_tasks(out, jobs[-1], rows, done, card)
    plan_summary.show_requests(out, rows, done)
    show_notes(out, recipe)
    family = power.family_of(jobs[-1])
    for line in power.resampling_warning(family):
        out.print(line, soft_wrap=True)
    plan_summary.show_legend(out, any(row.job.stage == "prepare" and row.reason is not None for row in rows), family.seeds)


def show_details(out: Console, recipe: Recipe, rows: list[JobStatus], done: dict[Job, Artifact], all_jobs: bool) -> None:
    """What the jobs take on each of GPUS, and whether they are here or why they have to be made; then what the test sets can show."""
    jobs = [row.job for row in rows]
    out.print(Text(f"{LEGEND}{unestimated_note(jobs)}", "dim"), soft_wrap=True)
    out.print(Text(f"{'':4}{'GB':>7}{''.join(f'{short_gpu_name(gpu.name):>5}' for gpu in GPUS)}  h", "dim"), soft_wrap=True)
    if all_jobs or len(jobs) <= MANY_JOBS:
        show_jobs(out, rows, shared_prefix(recipe) if out.is_terminal else "")
    else:
        show_stages(out, rows)
    total = f"{len(jobs)} jobs, {len(jobs) - len(done)} to run{remaining(rows).text()}"
    out.print(textwrap.fill(total, 80, subsequent_indent="  ", break_on_hyphens=False), soft_wrap=True)
    show_notes(out, recipe)
    show_rows(out, jobs, done, all_jobs)
    heldout = [job for job in jobs if job.stage in ("prepare", "common_examples") and job.params.get("split", "heldout") == "heldout"]
    sizes = {job: lengths_of(job, done) for job in heldout}
    unprepared = {job for job, lengths in sizes.items() if lengths.is_upper_bound}
    power.show(out, jobs[-1], {job: lengths.examples for job, lengths in sizes.items()}, unprepared)


def shared_prefix(recipe: Recipe) -> str:
    """The prefix that the names of all jobs share if the recipe has one base; empty if it has several."""
    bases = {base_model.folder_prefix(point.base) for _, point in recipe.points()}
    return f"{bases.pop()}--" if len(bases) == 1 else ""


def show_jobs(out: Console, rows: list[JobStatus], prefix: str) -> None:
    """One line per job; on a narrow terminal the rest goes into further lines; names are broken only if longer than a line.

    Args:
        prefix: left out of the names.
    """
    numbers = {row.job: number for number, row in enumerate(rows, 1)}
    if prefix:
        out.print(Text(f"{'':4}{'':{WIDTH}} names without {prefix}", "dim"), soft_wrap=True)
    for row in rows:
        job = row.job
        reason = row.reason
        explanation = "" if reason in (None, "never run") else f" ({reason})"
        if row.waits_for:
            stage = f"{row.waits_for.stage} " if job.stage == "report" else ""  # elsewhere a bare number keeps the line short
            explanation = f" (after {stage}{numbers[row.waits_for]})"
        status = Text("cached", "dim") if reason is None else Text.assemble(("to run", "bold"), (explanation, "dim"))
        head = Text(f"{numbers[job]:>4}{cost_columns(job, row.estimate)} {job.stage:{STAGE_WIDTH}}")
        out.print(fill_lines([head, Text(job.label.removeprefix(prefix)), status], out.width if out.is_terminal else None), soft_wrap=True)


def fill_lines(pieces: list[Text], width: int | None) -> Text:
    """The pieces in one line; one that would pass the width begins a new line, and is wrapped if it is longer than a line."""
    if width is None:
        return Text(" ").join(pieces)
    text = pieces[0].copy()
    used = len(pieces[0])
    for piece in pieces[1:]:
        if used + 1 + len(piece) <= width:
            text = text + " " + piece
            used += 1 + len(piece)
            continue
        rows = piece.wrap(Console(), width - len(INDENT))
        text = Text(f"\n{INDENT}").join([text, *rows])
        used = len(INDENT) + len(rows[-1])
    return text


def show_stages(out: Console, rows: list[JobStatus]) -> None:
    """One line per stage: how many jobs, the memory of the largest and the hours of all that are to be made."""
    for stage in dict.fromkeys(row.job.stage for row in rows):
        stage_rows = [row for row in rows if row.job.stage == stage]
        pending = [row for row in stage_rows if row.reason is not None]
        status = (f"{len(pending)} to run", "bold"), " ", (f"{len(stage_rows) - len(pending)} cached", "dim")
        head = f"{len(stage_rows):>4}{total_columns(pending)} {stage:{STAGE_WIDTH}} "
        out.print(Text.assemble(head, *status), soft_wrap=True)
    out.print(Text("the first number: jobs of a stage; --all shows each", "dim"))


def total_columns(rows: list[JobStatus]) -> str:
    """Memory of the largest and hours of all on each card, WIDTH characters; "-" where one of them does not fit."""
    estimates = [row.estimate for row in rows if row.estimate]
    if not estimates:
        return " " * WIDTH
    sign = bound_mark(any(estimate.is_upper_bound for estimate in estimates))
    total = remaining(rows)
    hours = [f"{'-' if total.too_large[name] else hour(spent):>5}" for name, spent in total.hours.items()]
    return f"{sign + f'{max(estimate.min_bytes for estimate in estimates) / 1e9:.1f}':>7}{''.join(hours)}"


def show_notes(out: Console, recipe: Recipe) -> None:
    """What a sweep over ranks does to the scale, what is peculiar about each base, and what a user must still do to fetch it."""
    if recipe.finetune.alpha is not None and "finetune.rank" in recipe.swept:
        note = (
            f"finetune.alpha stays {recipe.finetune.alpha:g} at every rank, so the scale falls as the rank grows; alpha_per_rank holds it."
        )
        out.print(Text(textwrap.fill(note, 80)), soft_wrap=True)
    bases = {model.name: model for model in (base_model.find(point) for _, point in recipe.points())}
    for model in bases.values():
        for note in (f"{model.name}: {model.note}" if model.note else "", model.access()):
            if note:
                out.print(Text(textwrap.fill(note, 80, break_on_hyphens=False, break_long_words=False)), soft_wrap=True)


def show_rows(out: Console, jobs: list[Job], done: dict[Job, Artifact], all_jobs: bool) -> None:
    """How many rows of its source every split of the recipe's tasks uses; of many splits the number, unless all jobs are shown."""
    splits = [job for job in jobs if job.stage == "prepare" and not job.label.endswith("--general")]
    if len(splits) > MANY_SPLITS and not all_jobs:
        out.print(Text(f"Rows used of rows available, for {len(splits)} splits: --all.", "dim"), soft_wrap=True)
        return
    out.print(Text("Rows used of rows available:", "dim"), soft_wrap=True)
    for job in splits:
        usage = rows_used.used(done[job].facts) if job in done else job_estimates.planned_rows(job)
        out.print(fill_lines([Text(f"  {job.label}"), Text(usage)], out.width if out.is_terminal else None), soft_wrap=True)


def short_gpu_name(name: str) -> str:
    """A card's name in four characters or so."""
    return name.removeprefix("RTX ").removesuffix("-80")


def cost_columns(job: Job, estimate: JobEstimate | None) -> str:
    """Memory and the hours on each card, WIDTH characters."""
    if estimate is None:
        return f"{'not known' if job.stage in WORK_OF else '':>{WIDTH}}"
    hours = [f"{hour(cost.seconds / 3600) if cost.fits else '-':>5}" for cost in estimate.costs.values()]
    return f"{bound_mark(estimate.is_upper_bound) + f'{estimate.min_bytes / 1e9:.1f}':>7}{''.join(hours)}"


def hour(value: float) -> str:
    """Hours in at most four characters, up to 9999."""
    return f"{value:.{2 if value < 0.995 else 1 if value < 99.95 else 0}f}"


def unestimated_note(jobs: list[Job]) -> str:
    """What takes a GPU and has no estimate: debugging, whose work depends on the programs that fail, and stages of little work."""
    names = [stage.name for stage in stages.table() if stages.GPU in stage.needs and stage.name not in {*WORK_OF, DEBUG}]
    short = f" {', '.join(names)}: a few minutes, not included." if names else ""
    debugging = " debug: two answers for each failing program and round, not included." if any(job.stage == DEBUG for job in jobs) else ""
    return short + debugging
