"""Prints `loralift plan`: each job with its cost and the reason why it must run, and what the held-out sets can show."""

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from glob import escape
from math import ceil
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline import stages
from pipeline.commands import estimate, power
from pipeline.commands.estimate import BF16, GPUS, NF4, SHARE, Answering, Cost, Method, Training
from pipeline.config.recipe import Recipe
from pipeline.data import inline
from pipeline.data.task import Task
from pipeline.engine import training_state
from pipeline.models import adapter_kinds, base_model
from pipeline.models.shapes import Shape
from pipeline.plan import Job
from pipeline.run import artifact_spec, find
from pipeline.store.artifact import MANIFEST, Artifact, Store, canonical

MANY_JOBS = 60
"""More jobs than these are told by stage."""
MOST_ROWS = 100_000
INDENT = " " * 6
"""Before what goes on in a further line of a job."""
WIDTH = 7 + 5 * len(GPUS)
"""Characters of memory and hours: ` <=12.3  9.9 0.41    - 12.0`."""
LEGEND = f"""GB and hours are reckoned, not measured. GB: the least a job needs. Hours: at
{100 * SHARE:.0f} % of a card's limit, of which published runs reach 21 to 54 %. "-": does not
fit. "<=": a bound from the longest prompts, since nothing is prepared yet.
"after 5": the last of what a job waits for."""


def show_plan(out: Console, recipe: Recipe, jobs: list[Job], store: Store, every: bool = False) -> None:
    """What the jobs take, and whether they are here or why they have to be made; then what is left to do and what it can show.

    Args:
        every: a line a job, however many there are; else many are told by stage.
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
    unprepared = {job for job, lengths in sizes.items() if lengths.bound}
    power.show(out, jobs[-1], {job: lengths.examples for job, lengths in sizes.items()}, unprepared)


@dataclass(frozen=True)
class JobEstimate:
    """What a job takes."""

    least: float
    """Bytes that a card must have."""
    costs: dict[str, Cost]
    """By the name of a card."""
    bound: bool
    """Whether it rests on the longest prompts, since nothing is prepared."""


@dataclass
class Remaining:
    """What is still to be made, over all jobs, by the name of a card."""

    hours: dict[str, float] = field(default_factory=lambda: {gpu.name: 0.0 for gpu in GPUS})
    too_large: dict[str, int] = field(default_factory=lambda: {gpu.name: 0 for gpu in GPUS})
    unknown: int = 0
    bound: bool = False

    def add(self, job: Job, needs: JobEstimate | None) -> None:
        self.unknown += job.stage in WORK_OF and needs is None
        for name, cost in needs.costs.items() if needs else ():
            self.hours[name] += cost.seconds / 3600 if cost.fits else 0.0
            self.too_large[name] += not cost.fits
        self.bound |= needs is not None and needs.bound

    def text(self) -> str:
        """The sum for each card; empty if there is nothing to make that takes a card."""
        if not any(self.hours.values()) and not any(self.too_large.values()):
            return ""
        parts = [f"{name} {self.duration(hours)}{self.too_large_text(name)}" for name, hours in self.hours.items()]
        return f": {', '.join(parts)}" + (f"; {self.unknown} not known" if self.unknown else "")

    def duration(self, hours: float) -> str:
        return f"{bound_mark(self.bound)}{hours:.1f} h" if hours >= 0.05 else "under 0.1 h"

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
    waits, reason = missing(job, have), why(job, have, store)
    return JobStatus(job, estimate_of(job, have) if job.stage in WORK_OF else None, waits, reason)


def shared_prefix(recipe: Recipe) -> str:
    """What begins the name of every job on the one base of a recipe; empty where there are several."""
    bases = {base_model.short(point.base) for _, point in recipe.points()}
    return f"{bases.pop()}--" if len(bases) == 1 else ""


def show_jobs(out: Console, rows: list[JobStatus], before: str) -> None:
    """One line a job; on a terminal that is too narrow for it what does not fit stands below, names unbroken unless longer than a line.

    Args:
        before: left out of the names.
    """
    numbers = {row.job: number for number, row in enumerate(rows, 1)}
    if before:
        out.print(Text(f"{'':4}{'':{WIDTH}} names without {before}", "dim"), soft_wrap=True)
    for row in rows:
        job, reason = row.job, row.reason
        because = "" if reason in (None, "never made") else f" ({reason})"
        if row.waits:
            stage = f"{row.waits.stage} " if job.stage == "report" else ""  # elsewhere a bare number keeps the line short
            because = f" (after {stage}{numbers[row.waits]})"
        status = Text("here", "dim") if reason is None else Text.assemble(("make", "bold"), (because, "dim"))
        head = Text(f"{numbers[job]:>4}{cost_columns(job, row.needs)} {job.stage:8}")
        out.print(laid_out([head, Text(job.label.removeprefix(before)), status], out.width if out.is_terminal else None), soft_wrap=True)


def laid_out(parts: list[Text], width: int | None) -> Text:
    """The parts in one line; one that passes the width begins a line of its own, and is wrapped where it is too long for one."""
    if width is None:
        return Text(" ").join(parts)
    whole, used = parts[0].copy(), len(parts[0])
    for part in parts[1:]:
        if used + 1 + len(part) <= width:
            whole, used = whole + " " + part, used + 1 + len(part)
            continue
        rows = part.wrap(Console(), width - len(INDENT))
        whole, used = Text(f"\n{INDENT}").join([whole, *rows]), len(INDENT) + len(rows[-1])
    return whole


def show_stages(out: Console, rows: list[JobStatus]) -> None:
    """One line a stage: how many jobs, the memory of the largest and the hours of all that are to be made."""
    for stage in dict.fromkeys(row.job.stage for row in rows):
        mine = [row for row in rows if row.job.stage == stage]
        make = [row for row in mine if row.reason is not None]
        out.print(
            f"{len(mine):>4}{together(make)} {stage:8} [bold]{len(make)} to make[/] [dim]{len(mine) - len(make)} here[/]", soft_wrap=True
        )
    out.print("[dim]the first number: jobs of a stage; --all shows each[/]")


def together(rows: list[JobStatus]) -> str:
    """Memory of the largest and hours of all on each card, WIDTH characters; "-" where one of them does not fit."""
    estimates = [row.needs for row in rows if row.needs]
    if not estimates:
        return " " * WIDTH
    bound = bound_mark(any(needs.bound for needs in estimates))
    rest = remaining(rows)
    hours = [f"{'-' if rest.too_large[name] else hour(spent):>5}" for name, spent in rest.hours.items()]
    return f"{bound + f'{max(needs.least for needs in estimates) / 1e9:.1f}':>7}{''.join(hours)}"


def bound_mark(is_bound: bool) -> str:
    """What stands before a figure that is no more than a bound."""
    return "<=" if is_bound else ""


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


def why(job: Job, have: dict[Job, Artifact], store: Store) -> str | None:
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
    return f"{bound_mark(needs.bound) + f'{needs.least / 1e9:.1f}':>7}{''.join(hours)}"


def hour(value: float) -> str:
    """Hours in at most four characters, up to 9999."""
    return f"{value:.{2 if value < 0.995 else 1 if value < 99.95 else 0}f}"


def estimate_of(job: Job, have: dict[Job, Artifact]) -> JobEstimate | None:
    """What training or answering takes; None where the base's shape is not known, or fp32 or DoRA is asked for, which is not covered."""
    shape = shape_of(canonical(job.params["model"]))
    if shape is None or job.params["compute"] != "bf16" or job.params.get("dora"):
        return None
    source, work_of = WORK_OF[job.stage]
    lengths = lengths_of(dict(job.inputs)[source], have) if source else PARAGRAPHS
    work = work_of(shape, job, lengths)
    return JobEstimate(estimate.least_bytes(shape, work), estimate.estimate(shape, work), lengths.bound)


def quick() -> str:
    """The stages that take a GPU, but too little of it to be estimated; empty if there is none."""
    names = [stage.name for stage in stages.table() if stages.GPU in stage.needs and stage.name not in WORK_OF]
    return f" {', '.join(names)}: some minutes, not reckoned." if names else ""


@cache
def shape_of(spec: str) -> Shape | None:
    """Of a base, by its spec as canonical JSON."""
    return base_model.shape_of(json.loads(spec))


@cache
def task_of(spec: str) -> Task:
    """By its spec as canonical JSON."""
    return inline.from_spec(json.loads(spec))


@dataclass(frozen=True)
class Lengths:
    """Tokens of one part of a task: means, and the longest."""

    examples: int
    dev: int
    prompt: float
    target: float
    longest: int
    """Prompt with answer."""
    longest_target: int
    choices: int
    bound: bool


PARAGRAPHS = Lengths(examples=300, dev=0, prompt=130, target=0, longest=130, longest_target=0, choices=0, bound=False)
"""Of the shipped paragraphs, about."""


def lengths_of(job: Job, have: dict[Job, Artifact]) -> Lengths:
    """Of what is prepared, as prepare counted them; else at most the paper's 95th percentile of the task, or the recipe's own limit."""
    cap, chosen = job.params["max_tokens"], task_of(canonical(job.params["task"]))
    if artifact := have.get(job):
        facts = artifact.facts
        prompt, target = facts["tokens"]["prompt"], facts["tokens"]["target"]
        longest = min(cap, prompt["max"] + target["max"])
        counted = (prompt["mean"], target["mean"], longest, target["max"])
        return Lengths(facts["examples"], facts.get("dev", 0), *counted, len(chosen.choices), bound=False)
    usual, most = (min(cap, tokens) for tokens in (chosen.paper.tokens if chosen.paper else (cap, cap)))
    target = min(chosen.max_new_tokens, usual // 2)
    rows = rows_of(chosen, job.params["split"])
    examples, dev = (min(job.params.get(name, 0), rows) for name in ("examples", "dev_examples"))
    return Lengths(examples, dev, usual - target, target, most, min(chosen.max_new_tokens, most), len(chosen.choices), bound=True)


def rows_of(chosen: Task, split: str) -> int:
    """Rows that a task's first source is known to have; where that is not known, what is reckoned with at most."""
    source = (chosen.train if split == "train" else chosen.heldout)[0]
    rows = [part.rows for part in source.parts or (source,)]
    return sum(count for count in rows if count) if all(rows) else MOST_ROWS


def method_of(shape: Shape, params: dict[str, Any], lengths: Lengths) -> Method:
    """The adapter and the precision of a fine-tuning job; a target that the base does not have is training's to refuse."""
    targets = () if params["targets"] == "all-linear" else tuple(name for name in params["targets"] if name in shape.linears)
    return Method(
        params["rank"],
        targets,
        adapter_kinds.of_params(params),
        weight_bytes=NF4 if params["quantization"] == "nf4" else BF16,
        dropout=params["dropout"] > 0,
        target_share=min(1.0, lengths.target / (lengths.prompt + lengths.target)),
    )


def training_of(shape: Shape, job: Job, lengths: Lengths) -> Training:
    params = job.params
    batch = min(params["batch_examples"], lengths.examples)
    steps, tokens = training_state.total_steps(lengths.examples, params), lengths.prompt + lengths.target
    looks = ceil(steps / params["dev_every"]) if lengths.dev else 0
    return Training(method_of(shape, params, lengths), steps, batch, tokens, lengths.longest, looks * lengths.dev * tokens)


def scoring_of(shape: Shape, job: Job, lengths: Lengths) -> Answering:
    """Texts that are read twice, and nothing written."""
    del shape  # of no matter: no adapter is estimated
    weight_bytes, examples = NF4 if job.params["quantization"] == "nf4" else BF16, job.params.get("examples", lengths.examples)
    return Answering(
        min(examples, lengths.examples), lengths.prompt, lengths.longest, limit=1, steps=0, weight_bytes=weight_bytes, choices=1
    )


def answering_of(shape: Shape, job: Job, lengths: Lengths) -> Answering:
    """A base may talk to the limit; an adapted model stops where the longest right answer does; one that ranks choices writes nothing.

    Worked examples lengthen the prompt by what an example and its answer have on average.
    """
    params, limit = job.params, job.params["max_new_tokens"]
    adapter = next((source for name, source in job.inputs if name == "adapter"), None)
    ranks, shot_tokens = params.get("constrain") == "choices", params.get("shots", 0) * (lengths.prompt + lengths.target)
    longest = lengths.longest - (0 if lengths.bound else lengths.longest_target) + ceil(shot_tokens)
    return Answering(
        examples=lengths.examples * (1 + params.get("samples", 0)),
        prompt=lengths.prompt + shot_tokens,
        longest=longest + (1 if ranks else limit),
        limit=1 if ranks else limit,
        steps=0 if ranks else min(limit, lengths.longest_target) if adapter else limit,
        weight_bytes=NF4 if params["quantization"] == "nf4" else BF16,
        adapter=method_of(shape, adapter.params, lengths) if adapter and "merge" not in params else None,
        choices=lengths.choices if params["score_choices"] or ranks else 0,
    )


WORK_OF: dict[str, tuple[str, Callable[[Shape, Job, Lengths], Training | Answering]]] = {
    "finetune": ("train", training_of),
    "generate": ("heldout", answering_of),
    "relevance": ("heldout", scoring_of),
    "general_loss": ("", scoring_of),
}
"""Stages whose jobs are estimated: the input whose lengths count (none: the shipped paragraphs), and the function that does it."""
