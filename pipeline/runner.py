"""Runs the jobs of a plan and repeats none that is finished, here or wherever submit() sends them."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline import stages
from pipeline.errors import MachineError
from pipeline.machine import Machine, Work, provenance, reset_peak_memory
from pipeline.planning.job import Job
from pipeline.store import leftovers
from pipeline.store.artifact import Artifact, ArtifactSpec, Store
from pipeline.store.disk import explain_disk_errors

JobResult = tuple[str, Artifact]
"""`done` (the job ran) or `have` (its artifact was in the store already), and the artifact."""
Submit = Callable[..., "Future[JobResult]"]


@dataclass(frozen=True)
class Site:
    """Where artifacts are stored, and the machine that makes them."""

    store: Store
    machine: Machine


def run_in_process(function: Callable[..., JobResult], *args: Any) -> "Future[JobResult]":
    """A submit() that runs the call at once, in this process."""
    future: Future[JobResult] = Future()
    try:
        future.set_result(function(*args))
    except Exception as error:
        future.set_exception(error)
    return future


def run(
    jobs: list[Job], site: Site, notify: Callable[[str, Job, Artifact | None], None], submit: Submit = run_in_process
) -> dict[Job, Artifact]:
    """The artifact of every job.

    As many jobs run at a time as the machine has workers. A job that needs a GPU has one of the machine's devices to itself.

    Args:
        jobs: in an order in which each comes after its inputs.
        notify: called with `start`, `done` or `have` for every job, in the order of the plan on one worker.
        submit: runs make() somewhere: run_in_process, or an executor's submit.

    Raises:
        whatever the first failing job raised; what was finished before stays.
    """
    done: dict[Job, Artifact] = {}
    waiting = list(jobs)
    running: dict[Future[JobResult], Job] = {}
    devices = DevicePool(site.machine)
    while waiting or running:
        for job in [j for j in waiting if all(source in done for _, source in j.inputs)]:
            if len(running) == site.machine.workers:
                break  # what one of these makes may free a job that comes earlier in the plan
            device = devices.take(job)
            if device is None:
                continue
            waiting.remove(job)
            inputs = {name: done[source] for name, source in job.inputs}
            if find(job, inputs, site.store) is None:
                notify("start", job, None)
            running[submit(make, job, inputs, Site(site.store, site.machine.with_device(device)))] = job
        assert running, f"no job can start: {waiting[0].stage} {waiting[0].label} waits for one that is not in the plan"
        finished = wait(running, return_when=FIRST_COMPLETED).done
        for future in [f for f in running if f in finished]:  # in the order of the plan, not of a set
            job = running.pop(future)
            devices.release(job)
            event, done[job] = future.result()
            notify(event, job, done[job])
    return done


class DevicePool:
    """The devices of a machine, and which job that needs a GPU holds which."""

    def __init__(self, machine: Machine) -> None:
        self.names = machine.devices
        self.held: dict[Job, str] = {}

    def take(self, job: Job) -> str | None:
        """The device that a job runs on, held until release() if the job needs a GPU; None while it has to wait for one."""
        if stages.GPU not in stages.find(job.stage).needs:
            return self.names[0]
        free = [name for name in self.names if name not in self.held.values()]
        if not free:
            return None
        self.held[job] = free[0]
        return free[0]

    def release(self, job: Job) -> None:
        self.held.pop(job, None)


def artifact_spec(job: Job, inputs: dict[str, Artifact]) -> ArtifactSpec:
    version = stages.find(job.stage).version(job.params, {name: artifact.facts for name, artifact in inputs.items()})
    return ArtifactSpec(job.stage, job.label, version, job.params, {name: artifact.digest for name, artifact in inputs.items()})


def find(job: Job, inputs: dict[str, Artifact], store: Store) -> Artifact | None:
    spec = artifact_spec(job, inputs)
    return store.find(spec.stage, spec.key)


def make(job: Job, inputs: dict[str, Artifact], site: Site) -> JobResult:
    """Find the artifact or make it; a second process that needs the same one waits for the first."""
    spec = artifact_spec(job, inputs)
    store = site.store
    if artifact := store.find(spec.stage, spec.key):
        return "have", artifact
    resume = store.resume_folder(spec)
    with explain_disk_errors(resume.parent):
        resume.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{resume}.lock"):  # the system frees it when the process dies
            if artifact := store.find(spec.stage, spec.key):
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
    except Exception as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, and torch may not be loaded
            raise
        raise MachineError(f"out of memory in {name}", "Lower --tokens, or take a smaller base or a larger device.") from error


@cache
def verify_input(path: Path, expected: str) -> None:
    """Hash an input once per process before it is read."""
    del expected  # part of the cache key: the same folder made anew is checked anew
    Artifact.open(path).verify()
