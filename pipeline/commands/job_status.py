"""Says of each job of a plan whether it is here or why it must run, and sums what the unfinished ones take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from glob import escape

from pipeline.commands.estimate import GPUS
from pipeline.commands.job_estimates import WORK_OF, JobEstimate, estimate_of
from pipeline.planning.job import Job
from pipeline.runner import artifact_spec, find
from pipeline.store.artifact import MANIFEST, Artifact, Store, readable


@dataclass(frozen=True)
class JobStatus:
    """A job of a plan: what it takes, and whether it is here."""

    job: Job
    estimate: JobEstimate | None
    """None: not known, or too cheap for an estimate."""
    waits_for: Job | None
    """The last of its inputs that is still to be made."""
    reason: str | None
    """Why it must run; None: its artifact is here."""


def job_status(job: Job, done: dict[Job, Artifact], store: Store) -> JobStatus:
    """The row of a job; its artifact, if it is here, is added to `done`, so call this in the order of the plan."""
    waits_for = last_missing_input(job, done)
    reason = find_or_explain(job, done, store)
    estimate = estimate_of(job, done) if job.stage in WORK_OF else None
    return JobStatus(job, estimate, waits_for, reason)


def last_missing_input(job: Job, done: dict[Job, Artifact]) -> Job | None:
    """The last of a job's inputs that is still to be made."""
    return next((source for _, source in reversed(job.inputs) if source not in done), None)


def find_or_explain(job: Job, done: dict[Job, Artifact], store: Store) -> str | None:
    """None if the job's artifact is here (it is then added to `done`), else the reason why it is not."""
    if unfinished := last_missing_input(job, done):
        return f"after {unfinished.stage} {unfinished.label}"
    inputs = {name: done[source] for name, source in job.inputs}
    artifact = find(job, inputs, store)
    if artifact is not None:
        done[job] = artifact
        return None
    spec = artifact_spec(job, inputs)
    folders = [path.parent for folder in store.folders(job.stage) for path in folder.glob(f"{escape(job.label)}--*/{MANIFEST}")]
    earlier = list(readable(folders))
    if not earlier:
        return "never run"
    latest = max(earlier, key=lambda artifact: str(artifact.provenance.get("at")))
    changes = [name for name in spec.params if latest.params.get(name) != spec.params[name]]
    changes += [f"input {name}" for name in spec.inputs if latest.inputs.get(name) != spec.inputs[name]]
    changes += ["the code"] if latest.version != spec.version else []
    return f"changed since {latest.key[:12]}: {', '.join(changes)}" if changes else "never run"


@dataclass
class Remaining:
    """Estimates of all unfinished jobs together, by the name of a card."""

    hours: dict[str, float] = field(default_factory=lambda: {gpu.name: 0.0 for gpu in GPUS})
    too_large: dict[str, int] = field(default_factory=lambda: {gpu.name: 0 for gpu in GPUS})
    unknown: int = 0
    is_upper_bound: bool = False

    def add(self, job: Job, estimate: JobEstimate | None) -> None:
        self.unknown += job.stage in WORK_OF and estimate is None
        for name, cost in estimate.costs.items() if estimate else ():
            self.hours[name] += cost.seconds / 3600 if cost.fits else 0.0
            self.too_large[name] += not cost.fits
        self.is_upper_bound |= estimate is not None and estimate.is_upper_bound

    def text(self) -> str:
        """The sum for each card; empty if there is nothing to make that takes a card."""
        if not any(self.hours.values()) and not any(self.too_large.values()):
            return ""
        parts = [f"{name} {self.duration(hours)}{self.too_large_text(name)}" for name, hours in self.hours.items()]
        return f": {', '.join(parts)}" + (f"; {self.unknown} not known" if self.unknown else "")

    def duration(self, hours: float) -> str:
        return duration_text(hours, self.is_upper_bound)

    def too_large_text(self, name: str) -> str:
        return f" ({self.too_large[name]} do not fit)" if self.too_large[name] else ""


def remaining(rows: Sequence[JobStatus]) -> Remaining:
    """What the jobs take that are not here."""
    total = Remaining()
    for row in rows:
        if row.reason is not None:
            total.add(row.job, row.estimate)
    return total


def duration_text(hours: float, is_upper_bound: bool = False) -> str:
    """A duration in minutes, from two hours on in hours."""
    text = f"{hours:.1f} h" if hours >= 2 else f"{60 * hours:.0f} min"
    return f"{bound_mark(is_upper_bound)}{text}" if hours >= 1 / 60 else "under 1 min"


def bound_mark(is_upper_bound: bool) -> str:
    """The sign in front of a figure that is an upper bound."""
    return "<=" if is_upper_bound else ""
