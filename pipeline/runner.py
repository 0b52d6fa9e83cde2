"""Runs the jobs of a plan and repeats none that is finished, here or wherever submit() sends them."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline import stages
from pipeline.errors import ClusterError, DiskError, OutOfMemoryError, UserError
from pipeline.machine import Machine, Work, provenance, reset_peak_memory
from pipeline.planning.job import Job
from pipeline.store import leftovers
from pipeline.store.artifact import Artifact, ArtifactSpec, Store
from pipeline.store.disk import explain_disk_errors, patiently

JobResult = tuple[str, Artifact]
"""`done` (the job ran) or `have` (its artifact was in the store already), and the artifact."""
Submit = Callable[..., "Future[JobResult]"]
Notify = Callable[[str, Job, Artifact | None], None]
MAY_PASS = (OutOfMemoryError, DiskError)
"""Errors that a job is tried again after, as after any that is no UserError."""
PAUSE_SECONDS = 2.0
"""Before the second try of a job."""


@dataclass(frozen=True)
class Site:
    """Where artifacts are stored, and the machine that makes them."""

    store: Store
    machine: Machine


def run_in_process(function: Callable[..., Any], *args: Any) -> "Future[Any]":
    """A submit() that runs the call at once, in this process."""
    future: Future[Any] = Future()
    try:
        future.set_result(function(*args))
    except Exception as error:
        future.set_exception(error)
    return future


def run(
    jobs: list[Job], site: Site, notify: Notify, submit: Submit = run_in_process, failures: "Failures | None" = None
) -> dict[Job, Artifact]:
    """The artifact of every job, of those that did not fail where the failures say to keep going.

    As many jobs run at a time as the machine has workers. A job that needs a GPU has one of the machine's devices to itself.

    Args:
        jobs: in an order in which each comes after its inputs.
        notify: called with `start`, `done` or `have` for every job, in the order of the plan on one worker.
        submit: runs a function somewhere: run_in_process, or an executor's submit.
        failures: what to do when a job fails, and afterwards which did; None: the first failure ends the run.

    Raises:
        whatever the first failing job raised, unless the run keeps going; what was finished before stays.
    """
    failures = failures or Failures()
    done: dict[Job, Artifact] = {}
    running: dict[Future[JobResult], Job] = {}
    queue = JobQueue(jobs, site.machine)
    make_data_folder(site.store)

    def finish(event: str, job: Job, artifact: Artifact) -> None:
        queue.finish(job)
        done[job] = artifact
        notify(event, job, artifact)

    while running or queue.has_ready():
        while len(running) < site.machine.workers and (next_job := queue.take()):
            job, device = next_job
            inputs = {name: done[source] for name, source in job.inputs}
            lookup = run_in_process(patiently, partial(find, job, inputs, site.store), site.store.data)
            if error := lookup.exception():
                put_back(job, error, queue, failures)
            elif artifact := lookup.result():
                finish("have", job, artifact)
            else:
                notify("start", job, None)
                on_device = Site(site.store, site.machine.with_device(device))
                running[submit(make_patiently, job, inputs, on_device, failures.pause(job))] = job
        finished = wait(running, return_when=FIRST_COMPLETED).done
        for future in [f for f in running if f in finished]:  # in the order of the plan, not of a set
            job = running.pop(future)
            if error := future.exception():
                put_back(job, error, queue, failures)
            else:
                event, artifact = future.result()
                finish(event, job, artifact)
    return done


def make_data_folder(store: Store) -> None:
    """Make the folder without which a store is one that went away from here on."""
    with explain_disk_errors(store.data), suppress(FileExistsError):
        store.data.mkdir(parents=True, exist_ok=True)


def put_back(job: Job, error: BaseException, queue: "JobQueue", failures: "Failures") -> None:
    """Queue a job that failed once more, if it is tried again; raises its error if the run is to end."""
    queue.release(job)
    if failures.is_retried(job, error):
        queue.put(job)


class Failures:
    """What to do with jobs that fail, and which did.

    A job is tried again after whatever may pass: a crash, too little memory, a disk. An error in the recipe, the data or the model comes
    back, so that one is final at once. A disk that still refuses after the last try ends the run: every other job writes to it, too.

    Args:
        retries: further tries of a job.
        keep_going: whether a job that failed for good ends only what depends on it.
        tell: called with the job, its error and the number of the try that follows; 0: none does.
    """

    def __init__(self, retries: int = 0, keep_going: bool = False, tell: Callable[[Job, BaseException, int], None] | None = None) -> None:
        self.retries = retries
        self.keep_going = keep_going
        self.tell = tell or (lambda job, error, number: None)
        self.tries: Counter[Job] = Counter()
        """Further tries so far, by job."""
        self.causes: dict[Job, BaseException] = {}
        """The error of every job that failed for good."""

    def is_retried(self, job: Job, error: BaseException) -> bool:
        """Whether the job is tried again; raises its error if the run is to end."""
        may_pass = not isinstance(error, UserError) or isinstance(error, MAY_PASS)
        if may_pass and isinstance(error, Exception) and self.tries[job] < self.retries:
            self.tries[job] += 1
            self.tell(job, error, self.tries[job])
            release_frames(error)
            return True
        if not self.keep_going or isinstance(error, DiskError | ClusterError) or not isinstance(error, Exception):
            raise error
        self.causes[job] = error
        self.tell(job, error, 0)
        release_frames(error)
        return False

    def pause(self, job: Job) -> float:
        """Seconds to wait before a try: none before the first, then doubled from try to try."""
        return PAUSE_SECONDS * 2.0 ** (self.tries[job] - 1) if self.tries[job] else 0.0


def release_frames(error: BaseException | None) -> None:
    """Let go of the frames that an error came through: they hold the tensors of a job that ran out of memory."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class JobQueue:
    """The jobs that wait, and those that could start, in the order of the plan; all at a cost per job that no number of jobs raises.

    Args:
        jobs: each after its inputs.
    """

    def __init__(self, jobs: Sequence[Job], machine: Machine) -> None:
        self.places = {job: place for place, job in enumerate(jobs)}
        self.jobs = jobs
        self.waits_for = {job: len({source for _, source in job.inputs}) for job in jobs}
        """How many inputs of a job are still to come."""
        self.readers: dict[Job, list[Job]] = defaultdict(list)
        for job in jobs:
            for source in {source for _, source in job.inputs}:
                assert source in self.places, f"{job.stage} {job.label} waits for {source.stage} {source.label}, which is not in the plan"
                self.readers[source].append(job)
        self.free = list(machine.devices)
        self.order = {name: number for number, name in enumerate(machine.devices)}
        self.devices: dict[Job, str] = {}
        """The device that a job holds."""
        self.ready: dict[bool, list[int]] = {True: [], False: []}
        """Heaps of the places of jobs that could start: of those that need a GPU, and of the others."""
        for job in self.places:
            if not self.waits_for[job]:
                self.put(job)

    def has_ready(self) -> bool:
        return any(self.ready.values())

    def put(self, job: Job) -> None:
        """Let a job start whose inputs are there."""
        heappush(self.ready[needs_gpu(job)], self.places[job])

    def take(self) -> tuple[Job, str] | None:
        """The first job that can start, and its device, held until release() if it needs a GPU; None while all have to wait."""
        heaps = [heap for is_for_gpu, heap in self.ready.items() if heap and (self.free or not is_for_gpu)]
        if not heaps:
            return None
        job = self.jobs[heappop(min(heaps))]
        if not needs_gpu(job):
            return job, next(iter(self.order))
        self.devices[job] = min(self.free, key=self.order.__getitem__)
        self.free.remove(self.devices[job])
        return job, self.devices[job]

    def release(self, job: Job) -> None:
        """Free the device of a job that runs no more."""
        if device := self.devices.pop(job, None):
            self.free.append(device)

    def finish(self, job: Job) -> None:
        """Free the device of a job that is done, and let those start that waited for it alone."""
        self.release(job)
        for reader in self.readers[job]:
            self.waits_for[reader] -= 1
            if not self.waits_for[reader]:
                self.put(reader)


def needs_gpu(job: Job) -> bool:
    return stages.GPU in stages.find(job.stage).needs


def artifact_spec(job: Job, inputs: dict[str, Artifact]) -> ArtifactSpec:
    version = stages.find(job.stage).version(job.params, {name: artifact.facts for name, artifact in inputs.items()})
    return ArtifactSpec(job.stage, job.label, version, job.params, {name: artifact.digest for name, artifact in inputs.items()})


def find(job: Job, inputs: dict[str, Artifact], store: Store) -> Artifact | None:
    spec = artifact_spec(job, inputs)
    return store.find(spec.stage, spec.key, spec.label)


def make_patiently(job: Job, inputs: dict[str, Artifact], site: Site, pause: float = 0.0) -> JobResult:
    """make_alone(), after a pause of some seconds; where the store goes away, it waits until that is back, and goes on there."""
    time.sleep(pause)
    return patiently(partial(make_alone, artifact_spec(job, inputs), inputs, site), site.store.data)


def make(job: Job, inputs: dict[str, Artifact], site: Site) -> JobResult:
    """Find the artifact or make it; a second process that needs the same one waits for the first."""
    spec = artifact_spec(job, inputs)
    if artifact := site.store.find(spec.stage, spec.key, spec.label):
        return "have", artifact
    return make_alone(spec, inputs, site)


def make_alone(spec: ArtifactSpec, inputs: dict[str, Artifact], site: Site) -> JobResult:
    """Make an artifact that is not there; a second process that needs the same one waits, and then finds it."""
    store = site.store
    resume = store.resume_folder(spec)
    with explain_disk_errors(resume.parent):
        resume.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{resume}.lock"):  # the system frees it when the process dies
            if artifact := store.find(spec.stage, spec.key, spec.label):
                return "have", artifact
            for source in inputs.values():
                verify_input(source.path, source.digest)
            with leftovers.noted(store, spec):
                return "done", run_stage(spec, inputs, site)


def run_stage(spec: ArtifactSpec, inputs: dict[str, Artifact], site: Site) -> Artifact:
    start = time.time()
    reset_peak_memory(site.machine.device)
    with site.store.scratch(spec) as out:
        folders = {name: source.path for name, source in inputs.items()}
        work = Work(spec.params, folders, out, site.store.resume_folder(spec), site.machine)
        facts = explain_out_of_memory(stages.find(spec.stage).run, work, f"{spec.stage} {spec.label}")
        provenance_record = {
            "seconds": round(time.time() - start, 3),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)),
            **provenance(site.machine),
        }
        return site.store.seal(spec, out, facts, provenance_record, {name: folder.name for name, folder in folders.items()})


def explain_out_of_memory(stage: Callable[[Work], dict[str, Any]], work: Work, name: str) -> dict[str, Any]:
    try:
        return stage(work)
    except UserError:
        raise
    except Exception as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, and torch may not be loaded
            raise
        raise OutOfMemoryError(f"out of memory in {name}", "Lower --tokens, or take a smaller base or a larger device.") from error


@cache
def verify_input(path: Path, expected: str) -> None:
    """Hash an input once per process before it is read."""
    del expected  # part of the cache key: the same folder made anew is checked anew
    Artifact.open(path).verify()
