"""Plans the trials of what is tuned for a task at a point: which values are tried for how long, and which are chosen as far as is known.

What is tried may depend on trials before, so a plan is made anew when those have run. In a plan that is not final, stand-ins take the
places of what is not known, so that it can be counted and estimated; they wait for the search (input `selection`) and are never run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import sweeps
from pipeline.config.recipe import whole_keys
from pipeline.config.tuning import Tune
from pipeline.measures import selection
from pipeline.planning import sampling
from pipeline.planning.job import Job, Params, job
from pipeline.store.artifact import EARLIER, PART
from pipeline.store.trial_folder import TrialFolder

if TYPE_CHECKING:
    from pipeline.planning.task_plan import TaskPlan

STAGE = "trial"
WAITS = "selection"
"""The input of a stand-in."""
FindFolder = Callable[[Job], Path | None]
"""Finds the folder of a finished job; None where it has not run."""


def find_nothing(job: Job) -> None:
    """Of a store without anything."""
    del job


@dataclass
class Trial:
    """Values that are tried, with the jobs that train them further and further."""

    values: sweeps.Point
    rungs: list[Job] = field(default_factory=list)

    def row(self, number: int) -> Params:
        """The trial in the params of `select`."""
        return {"values": self.values, "rungs": [{"part": job.params[PART], "input": name} for name, job in self.named(number)]}

    def named(self, number: int) -> list[tuple[str, Job]]:
        """Its jobs by the names that `select` reads them under."""
        return [(f"trial{number}.part{job.params[PART]}", job) for job in self.rungs]


@dataclass(frozen=True)
class Search:
    """The search of a task at a point, as far as is known."""

    trials: list[Trial]
    values: sweeps.Point
    """By tuned key the value that was chosen, or a stand-in."""
    selection: Job
    is_open: bool
    """Whether trials have to run before anything can be chosen."""

    @property
    def waits(self) -> dict[str, Job]:
        """The input of a training that stands for the one with the chosen values."""
        return {WAITS: self.selection} if self.is_open else {}


def is_stand_in(job: Job) -> bool:
    """Whether a job stands for one that is not known yet."""
    return any(name == WAITS for name, _ in job.inputs) and job.stage in (STAGE, "finetune")


def pending(jobs: Iterable[Job], find_folder: FindFolder) -> list[Job]:
    """The trials that have to run before more can be said; none in a plan that is final."""
    return [job for job in jobs if job.stage == STAGE and not is_stand_in(job) and find_folder(job) is None]


def search(task_plan: "TaskPlan", tune: Tune) -> Search:
    """The search of a task at a point."""
    searching = Searching(task_plan, tune)
    winner = searching.by_sampler() if tune.sampler else searching.by_rungs(tune.candidates(whole_keys(tune.values)))
    return Search(searching.trials, winner.values, searching.select(), searching.waits is not None)


class Searching:
    """A search while it is planned."""

    def __init__(self, task_plan: "TaskPlan", tune: Tune) -> None:
        self.task_plan = task_plan
        self.tune = tune
        self.trials: list[Trial] = []
        self.waits: Job | None = None
        """The selection among the trials that are known, once one of them has not run."""

    def by_rungs(self, candidates: Sequence[sweeps.Point]) -> Trial:
        """Train all for a part of the steps, then the best of them for a larger part, and so on until one is left."""
        self.trials = alive = [Trial(values) for values in candidates]
        for part, count in rungs(len(candidates), self.tune.halving):
            for trial in alive:
                self.advance(trial, part)
            losses = self.losses(alive)
            alive = [alive[place] for place in selection.survivors(losses, count)]
        return alive[0]

    def by_sampler(self) -> Trial:
        """Train one after the other to the end, each chosen by those before."""
        sampler = sampling.Sampler(self.tune)
        while len(self.trials) < self.tune.count:
            trial = Trial(sampler.ask() if self.waits is None else sampler.stand_in(len(self.trials)))
            self.trials.append(trial)
            self.advance(trial, 1)
            losses = self.losses([trial])
            if self.waits is None:
                sampler.tell(losses[0])
        place = 0 if self.waits else selection.survivors(self.losses(self.trials), 1)[0]
        return self.trials[place]

    def advance(self, trial: Trial, part: int) -> None:
        """Add the job that trains a trial up to a part of the steps."""
        task_plan = self.task_plan
        earlier = {EARLIER: trial.rungs[-1]} if trial.rungs else {}
        waits = {} if self.waits is None else {WAITS: self.waits}
        section = task_plan.section_with(trial.values)
        params = {**task_plan.training_params(section, task_plan.first_seed), PART: part}
        label = f"{task_plan.label}--r{section.rank}-{'-'.join(map(value_label, trial.values.values()))}"[:100] + f"-part{part}"
        trial.rungs.append(job(STAGE, label, params, train=task_plan.train, **earlier, **waits))

    def losses(self, trials: Sequence[Trial]) -> list[float | None]:
        """The validation losses of trials where they are now; where one is not known, all stand for equal ones from here on."""
        folders = [] if self.waits else [self.task_plan.point.lookup.find_folder(trial.rungs[-1]) for trial in trials]
        if not folders or None in folders:
            self.waits = self.waits or self.select()
            return [0.0] * len(trials)
        return [TrialFolder(folder).result()["dev_loss"] for folder in folders if folder]

    def select(self) -> Job:
        """The selection among the trials so far."""
        trials = list(enumerate(self.trials))
        params: Params = {
            "keys": list(self.tune.values),
            "sampler": self.tune.sampler,
            "halving": self.tune.halving,
            "seed": self.task_plan.first_seed,
            "trials": [trial.row(number) for number, trial in trials],
        }
        named = dict(pair for number, trial in trials for pair in trial.named(number))
        return job("select", self.task_plan.label, params, **named)


def value_label(value: Any) -> str:
    """A value in the name of a folder."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)


def rungs(count: int, halving: int | None) -> list[tuple[int, int]]:
    """The rungs of a search: up to which part of the steps its trials are trained, and how many go on from there.

    The last one is left over when it still lacks some of the steps: these are those of the training itself.
    """
    if halving is None:
        return [(1, 1)]
    counts = []
    while count > 1:
        count = max(1, count // halving)
        counts.append(count)
    return [(halving ** (len(counts) - number), left) for number, left in enumerate(counts)]


def budget(tune: Tune) -> float:
    """What a search takes, in whole trainings."""
    if tune.halving is None:
        return float(tune.count)
    total, before, count = 0.0, 0.0, tune.count
    for part, left in rungs(count, tune.halving):
        total, before, count = total + count * (1 / part - before), 1 / part, left
    return total
