"""Finds the jobs of one cell of a report by their names in it"""

from pipeline.planning.job import Job
from pipeline.store import input_names
from pipeline.store.input_names import InputName


def jobs_of(report: Job, cell: str) -> dict[InputName, Job]:
    """The jobs of a cell by their names in it."""
    named = {input_names.parse(name): job for name, job in report.inputs}
    return {InputName(name.role, name.arm, seed=name.seed, suite=name.suite): job for name, job in named.items() if name.cell == cell}
