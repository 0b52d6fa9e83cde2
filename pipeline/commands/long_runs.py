"""Asks before a run of more than two hours, where there is an estimate for the card of this machine."""

import sys
from collections.abc import Mapping

import typer

from pipeline.commands.estimate import Gpu, named
from pipeline.commands.job_estimates import WORK_OF, estimate_of
from pipeline.commands.job_status import duration_text
from pipeline.commands.preflight import any_needs_gpu
from pipeline.errors import MachineError
from pipeline.machine import Machine
from pipeline.planning.job import Job
from pipeline.store.artifact import Artifact

MAX_HOURS = 2.0
"""A longer run is asked for first."""


def confirm(jobs: Mapping[Job, Artifact | None], card: Gpu | None) -> None:
    """Ask on a terminal whether a long run is meant; without one, refuse it.

    Args:
        jobs: what is to be run, with the artifact of every job that is done.
        card: that they run on, see card_of().

    Raises:
        MachineError: there is nobody to ask.
        typer.Exit: the answer is no; code 2.
    """
    hours, is_upper_bound = estimated_hours(jobs, card) if card else (0.0, False)
    if card is None or hours <= MAX_HOURS:
        return
    count = sum(artifact is None for artifact in jobs.values())
    most = "at most " if is_upper_bound else ""
    problem = f"the {count} jobs still to run take {most}{duration_text(hours)} on this {card.name} (estimated)"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise MachineError(f"{problem}. Add --yes to run them.")
    if not typer.confirm(f"{problem[0].upper()}{problem[1:]}. Run them?", err=True):
        raise typer.Exit(2)


def estimated_hours(jobs: Mapping[Job, Artifact | None], card: Gpu) -> tuple[float, bool]:
    """Hours on a card of the jobs that are not done, as far as they can be estimated; and whether it is an upper bound."""
    done = {job: artifact for job, artifact in jobs.items() if artifact is not None}
    estimates = [estimate_of(job, done) for job in jobs if job not in done and job.stage in WORK_OF]
    hours = sum(one.costs[card.name].seconds for one in estimates if one) / 3600
    return hours, any(one.is_upper_bound for one in estimates if one)


def card_of(machine: Machine, jobs: Mapping[Job, Artifact | None]) -> Gpu | None:
    """The card that the jobs run on; None on a CPU, on a card of unknown speed, and where no job needs one."""
    if machine.device == "cpu" or not any_needs_gpu(job for job, artifact in jobs.items() if artifact is None):
        return None
    import torch

    device = machine.with_device(machine.devices[0]).torch_device()
    return named(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
