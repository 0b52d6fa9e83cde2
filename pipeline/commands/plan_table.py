"""Prints `loralift plan`: each job with its cost and the reason why it must run, and what the held-out sets can show."""

import textwrap
from dataclasses import dataclass, field
from glob import escape

from rich.console import Console
from rich.text import Text

from pipeline import stages
from pipeline.commands import power
from pipeline.commands.estimate import GPUS, SHARE
from pipeline.commands.job_estimates import WORK_OF, JobEstimate, estimate_of, lengths_of
from pipeline.config.recipe import Recipe
from pipeline.models import base_model
from pipeline.plan import Job
from pipeline.run import artifact_spec, find
from pipeline.store.artifact import MANIFEST, Artifact, Store

MANY_JOBS = 60
"""More jobs than these are shown by stage."""
INDENT = " " * 6
"""Before what goes on in a further line of a job."""
STAGE_WIDTH = 8
"""Columns of a stage's name. Longer names move their line to the right, so that the others fit 80 columns."""
WIDTH = 7 + 5 * len(GPUS)
"""Characters of memory and hours: ` <=12.3  9.9 0.41    - 12.0`."""
LEGEND = f"""GB and hours are reckoned, not measured. GB: the least a job needs. Hours: at
{100 * SHARE:.0f} % of a card's limit, of which published runs reach 21 to 54 %. "-": does not
fit. "<=": a bound from the longest prompts, since nothing is prepared yet.
"after 5": the last of what a job waits for."""


def show_plan(out: Console, recipe: Recipe, jobs: list[Job], store: Store, every: bool = False) -> None:
    """What the jobs take, and whether they are here or why they have to be made; then what is left to do and what it can show.

    Args:
        every: a line per job, however many there are; else many are shown by stage.
    """
    have: dict[Job, Artifact] = {}
    rows = [job_status(job, have, store) for job in jobs]
    out.print(f"[dim]{LEGEND}{quick()}[/]", soft_wrap=True)
    out.print(f"[dim]{'':4}{'GB':>7}{''.join(f'{short_gpu_name(gpu.name):>5}' for gpu in GPUS)}  h[/]", soft_wrap=True)
    if every or len(jobs) <= MANY_JOBS:
        show_jobs(out, rows, shared_prefix(recipe) if out.is_terminal else "")
    else:
        show_stages(out, rows)
    total = f"{len(jobs)} jobs, {len(jobs) - len(have)} to make{remaining(rows).text()}"
    out.print(textwrap.fill(total, 80, subsequent_indent="  ", break_on_hyphens=False), soft_wrap=True)
    show_notes(out, recipe)
    heldout = [job for job in jobs if job.stage == "prepare" and job.params["split"] == "heldout"]
    sizes = {job: lengths_of(job, have) for job in heldout}
    unprepared = {job for job, lengths in sizes.items() if lengths.is_upper_bound}
    power.show(out, jobs[-1], {job: lengths.examples for job, lengths in sizes.items()}, unprepared)


@dataclass
class Remaining:
    """What is still to be made, over all jobs, by the name of a card."""

    hours: dict[str, float] = field(default_factory=lambda: {gpu.name: 0.0 for gpu in GPUS})
    too_large: dict[str, int] = field(default_factory=lambda: {gpu.name: 0 for gpu in GPUS})
    unknown: int = 0
    is_upper_bound: bool = False

    def add(self, job: Job, needs: JobEstimate | None) -> None:
        self.unknown += job.stage in WORK_OF and needs is None
        for name, cost in needs.costs.items() if needs else ():
            self.hours[name] += cost.seconds / 3600 if cost.fits else 0.0
            self.too_large[name] += not cost.fits
        self.is_upper_bound |= needs is not None and needs.is_upper_bound

    def text(self) -> str:
        """The sum for each card; empty if there is nothing to make that takes a card."""
        if not any(self.hours.values()) and not any(self.too_large.values()):
            return ""
        parts = [f"{name} {self.duration(hours)}{self.too_large_text(name)}" for name, hours in self.hours.items()]
        return f": {', '.join(parts)}" + (f"; {self.unknown} not known" if self.unknown else "")

    def duration(self, hours: float) -> str:
        return f"{bound_mark(self.is_upper_bound)}{hours:.1f} h" if hours >= 0.05 else "under 0.1 h"

    def too_large_text(self, name: str) -> str:
        return f" ({self.too_large[name]} do not fit)" if self.too_large[name] else ""


@dataclass(frozen=True)
class JobStatus:
    """A job of a plan: what it takes, and whether it is here."""

    job: Job
    needs: JobEstimate | None
    """None: not known, or nothing that is worth an estimate."""
    waits: Job | None
    """The last of its inputs that is still to be made."""
    reason: str | None
    """None: it is here."""


def job_status(job: Job, have: dict[Job, Artifact], store: Store) -> JobStatus:
    """The row of a job; an artifact that is here is added to `have`, so jobs come in the order of their inputs."""
    waits = missing(job, have)
    reason = find_or_explain(job, have, store)
    needs = estimate_of(job, have) if job.stage in WORK_OF else None
    return JobStatus(job, needs, waits, reason)


def shared_prefix(recipe: Recipe) -> str:
    """What begins the name of every job on the one base of a recipe; empty where there are several."""
    bases = {base_model.short(point.base) for _, point in recipe.points()}
    return f"{bases.pop()}--" if len(bases) == 1 else ""


def show_jobs(out: Console, rows: list[JobStatus], before: str) -> None:
    """One line per job; on a terminal that is too narrow for it what does not fit stands below, names unbroken unless longer than a line.

    Args:
        before: left out of the names.
    """
    numbers = {row.job: number for number, row in enumerate(rows, 1)}
    if before:
        out.print(Text(f"{'':4}{'':{WIDTH}} names without {before}", "dim"), soft_wrap=True)
    for row in rows:
        job = row.job
        reason = row.reason
        because = "" if reason in (None, "never made") else f" ({reason})"
        if row.waits:
            stage = f"{row.waits.stage} " if job.stage == "report" else ""  # elsewhere a bare number keeps the line short
            because = f" (after {stage}{numbers[row.waits]})"
        status = Text("here", "dim") if reason is None else Text.assemble(("make", "bold"), (because, "dim"))
        head = Text(f"{numbers[job]:>4}{cost_columns(job, row.needs)} {job.stage:{STAGE_WIDTH}}")
        out.print(laid_out([head, Text(job.label.removeprefix(before)), status], out.width if out.is_terminal else None), soft_wrap=True)


def laid_out(parts: list[Text], width: int | None) -> Text:
    """The parts in one line; one that passes the width begins a line of its own, and is wrapped where it is too long for one."""
    if width is None:
        return Text(" ").join(parts)
    whole = parts[0].copy()
    used = len(parts[0])
    for part in parts[1:]:
        if used + 1 + len(part) <= width:
            whole = whole + " " + part
            used += 1 + len(part)
            continue
        rows = part.wrap(Console(), width - len(INDENT))
        whole = Text(f"\n{INDENT}").join([whole, *rows])
        used = len(INDENT) + len(rows[-1])
    return whole


def show_stages(out: Console, rows: list[JobStatus]) -> None:
    """One line per stage: how many jobs, the memory of the largest and the hours of all that are to be made."""
    for stage in dict.fromkeys(row.job.stage for row in rows):
        mine = [row for row in rows if row.job.stage == stage]
        make = [row for row in mine if row.reason is not None]
        out.print(
            f"{len(mine):>4}{together(make)} {stage:{STAGE_WIDTH}} [bold]{len(make)} to make[/] [dim]{len(mine) - len(make)} here[/]",
            soft_wrap=True,
        )
    out.print("[dim]the first number: jobs of a stage; --all shows each[/]")


def together(rows: list[JobStatus]) -> str:
    """Memory of the largest and hours of all on each card, WIDTH characters; "-" where one of them does not fit."""
    estimates = [row.needs for row in rows if row.needs]
    if not estimates:
        return " " * WIDTH
    mark = bound_mark(any(needs.is_upper_bound for needs in estimates))
    rest = remaining(rows)
    hours = [f"{'-' if rest.too_large[name] else hour(spent):>5}" for name, spent in rest.hours.items()]
    return f"{mark + f'{max(needs.min_bytes for needs in estimates) / 1e9:.1f}':>7}{''.join(hours)}"


def bound_mark(is_upper_bound: bool) -> str:
    """The sign in front of a figure that is an upper bound."""
    return "<=" if is_upper_bound else ""


def remaining(rows: list[JobStatus]) -> Remaining:
    """What the jobs take that are not here."""
    rest = Remaining()
    for row in rows:
        if row.reason is not None:
            rest.add(row.job, row.needs)
    return rest


def show_notes(out: Console, recipe: Recipe) -> None:
    """What is peculiar about each base, and what a user must still do to fetch it."""
    bases = {model.name: model for model in (base_model.find(point) for _, point in recipe.points())}
    for model in bases.values():
        for note in (f"{model.name}: {model.note}" if model.note else "", model.access()):
            if note:
                out.print(Text(textwrap.fill(note, 80, break_on_hyphens=False, break_long_words=False)), soft_wrap=True)


def missing(job: Job, have: dict[Job, Artifact]) -> Job | None:
    """The last of a job's inputs that is still to be made."""
    return next((source for _, source in reversed(job.inputs) if source not in have), None)


def find_or_explain(job: Job, have: dict[Job, Artifact], store: Store) -> str | None:
    """None if the job's artifact is here (it is then added to `have`), else the reason why it is not."""
    if waits := missing(job, have):
        return f"after {waits.stage} {waits.label}"
    inputs = {name: have[source] for name, source in job.inputs}
    artifact = find(job, inputs, store)
    if artifact is not None:
        have[job] = artifact
        return None
    spec = artifact_spec(job, inputs)
    like = [Artifact.open(path.parent) for folder in store.folders(job.stage) for path in folder.glob(f"{escape(job.label)}--*/{MANIFEST}")]
    if not like:
        return "never made"
    last = max(like, key=lambda artifact: str(artifact.provenance["at"]))
    changes = [name for name in spec.params if last.params.get(name) != spec.params[name]]
    changes += [f"input {name}" for name in spec.inputs if last.inputs.get(name) != spec.inputs[name]]
    changes += ["the code"] if last.version != spec.version else []
    return f"changed since {last.key[:12]}: {', '.join(changes)}" if changes else "never made"


def short_gpu_name(name: str) -> str:
    """A card's name in four characters or so."""
    return name.removeprefix("RTX ").removesuffix("-80")


def cost_columns(job: Job, needs: JobEstimate | None) -> str:
    """Memory and the hours on each card, WIDTH characters."""
    if needs is None:
        return f"{'not known' if job.stage in WORK_OF else '':>{WIDTH}}"
    hours = [f"{hour(cost.seconds / 3600) if cost.fits else '-':>5}" for cost in needs.costs.values()]
    return f"{bound_mark(needs.is_upper_bound) + f'{needs.min_bytes / 1e9:.1f}':>7}{''.join(hours)}"


def hour(value: float) -> str:
    """Hours in at most four characters, up to 9999."""
    return f"{value:.{2 if value < 0.995 else 1 if value < 99.95 else 0}f}"


def quick() -> str:
    """The stages that take a GPU, but too little of it to be estimated; empty if there is none."""
    names = [stage.name for stage in stages.table() if stages.GPU in stage.needs and stage.name not in WORK_OF]
    return f" {', '.join(names)}: some minutes, not reckoned." if names else ""
