"""Where the jobs of a run are made: in this process, or on the nodes of a Ray cluster."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from pipeline import stages
from pipeline.cluster import address, nodes
from pipeline.cluster.nodes import Needs, Node, RunFiles
from pipeline.cluster.slots import Call, Slots
from pipeline.machine import Machine
from pipeline.models.base_model import MODELS
from pipeline.planning.job import Job
from pipeline.progress import say
from pipeline.runner import JobResult, Site, run_in_process
from pipeline.schedule import weights_of
from pipeline.store.artifact import Store
from pipeline.store.import_closure import strings_in

PROCESS_BYTES = 10**9
"""What a process takes besides its model: torch alone is most of it."""


class Place(Protocol):
    """What a run asks of the place where its jobs are made."""

    @property
    def site(self) -> Site:
        """Store and machine for runner.run(): how jobs run there, and how many at a time."""

    def submit(self, function: Callable[..., JobResult], job: Job, *arguments: Any) -> "Future[JobResult]":
        """Run make() there; see runner.run()."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function of a module where jobs on weights run, and wait for its result."""


def call_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """The call() of this process."""
    return function(*arguments)


@dataclass(frozen=True)
class Here:
    """This process."""

    site: Site

    def submit(self, function: Callable[..., JobResult], job: Job, *arguments: Any) -> "Future[JobResult]":
        return run_in_process(function, job, *arguments)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return call_here(function, *arguments)


@dataclass(frozen=True)
class Cluster:
    """The nodes of a Ray cluster. Jobs that query an endpoint stay here, where the API keys are."""

    site: Site
    slots: Slots

    def submit(self, function: Callable[..., JobResult], job: Job, *arguments: Any) -> "Future[JobResult]":
        needs = stages.find(job.stage).needs
        if stages.NETWORK in needs:
            return run_in_thread(function, job, *arguments)
        remote = [without_endpoints(argument) if isinstance(argument, Site) else argument for argument in arguments]
        return self.slots.submit(Call(function, (job, *remote), f"{job.stage} {job.label}", stages.GPU in needs, weights_of(job)))

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.slots.submit(Call(function, arguments, "a check", True, "")).result()


def without_endpoints(site: Site) -> Site:
    return Site(site.store, replace(site.machine, endpoints=()))


def run_in_thread(function: Callable[..., JobResult], *arguments: Any) -> "Future[JobResult]":
    """A submit() to a thread that does not keep the process from ending after Ctrl-C."""
    future: Future[JobResult] = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


@contextmanager
def opened(site: Site, jobs: Iterable[Job], memory: Callable[[], int]) -> Iterator[Place]:
    """The place that --where names, checked and ready for jobs; closed at the end.

    Args:
        jobs: that are to be made.
        memory: bytes that the weights of the largest of them need.

    Raises:
        MachineError: it cannot be reached, lacks what is needed, or its machines do not agree.
    """
    missing = list(jobs)
    if site.machine.place == address.LOCAL or not missing:
        yield Here(Site(site.store, replace(site.machine, place=address.LOCAL)))
        return
    with address.connected(site.machine.place) as ray:
        available = nodes.live_nodes(ray)
        needs = needs_of(site.machine, available, memory())
        nodes.check_size(available, needs, site.machine.device, site.machine.max_jobs)
        store = Store(site.store.data.absolute(), site.store.checkpoints.absolute())
        files = RunFiles(os.getcwd(), tuple(files_of(missing)), store)
        usable = [node for node in available if nodes.shares(node, needs)]
        nodes.check_nodes(ray, usable, files)
        slots = Slots(ray, usable, needs, files)
        try:
            yield Cluster(Site(store, machine_of(site.machine, usable, needs)), slots)
        finally:
            slots.close()


def needs_of(machine: Machine, available: list[Node], memory: int) -> Needs:
    """What a job takes of a node: on a CPU the threads that it would have here, if any node has as many."""
    on_gpu = machine.device != "cpu" and any(node.gpus for node in available)
    threads = threads_here() if not on_gpu else 1
    return Needs(max(1, min(threads, max((node.cpus for node in available), default=1))), PROCESS_BYTES + memory, on_gpu)


def threads_here() -> int:
    """The threads of a job in this process, which decide how sums are rounded."""
    with suppress(ValueError):
        return int(os.environ.get("OMP_NUM_THREADS", ""))
    import torch

    return torch.get_num_threads()


def machine_of(machine: Machine, usable: list[Node], needs: Needs) -> Machine:
    """How runner.run() sees a cluster: a device for every job on weights that may run at a time, and workers for all jobs."""
    parts = [share for node in usable for share in nodes.shares(node, needs)]
    heavy = sum(share.is_heavy(needs) for share in parts)
    bound = min(heavy, machine.max_jobs or heavy)
    unit = "a GPU each" if needs.on_gpu else "one thread each" if needs.threads == 1 else f"{needs.threads} threads each"
    say(f"Ray cluster of {len(usable)} node{'s' if len(usable) > 1 else ''}: {bound} jobs at a time, {unit}")
    return replace(machine, place=address.LOCAL, device=",".join([machine.device] * bound), workers=bound + len(parts) - heavy)


def files_of(jobs: Iterable[Job]) -> list[str]:
    """The files and folders here that the parameters of jobs name; what ships with loralift is everywhere."""
    shipped = {row.folder for row in MODELS}
    names = {text for job in jobs for text in strings_in(job.params) if "/" in text and text not in shipped}
    return sorted(name for name in names if exists(name))


def exists(name: str) -> bool:
    with suppress(OSError, ValueError):  # a prompt, and no path
        return Path(name).exists()
    return False
