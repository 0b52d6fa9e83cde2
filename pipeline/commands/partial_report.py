"""Writes the report of the tasks that are finished while the others are made, so that a run that is killed leaves a page to read.

The page names what is missing and gives no verdict. It is no artifact: it stands under `data/partial/`, and goes when the report is made.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.commands import run_incomplete
from pipeline.machine import Work
from pipeline.planning.job import Job
from pipeline.runner import Site
from pipeline.stages import report as report_stage
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.records import JsonObject
from pipeline.store.result_folders import ReportFolder

SHARE = 0.05
"""The part of a run's time that its partial pages may take."""
FIRST_SECONDS = 1.5
"""What the first page is taken to cost; of every further one it is what the last has cost."""
FOLDER = "partial"


class PartialReport:
    """Call it for every event of a run; see runner.run()."""

    def __init__(self, report: Job, site: Site, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.report = report
        self.site = site
        self.say = say
        self.clock = clock
        self.start = clock()
        self.spent = 0.0
        """Seconds that pages have taken."""
        self.cost = FIRST_SECONDS
        self.artifacts: dict[Job, Artifact] = {}
        self.written = 0
        """How many cells are on the page."""
        self.missing = {cell: len(jobs) for cell, jobs in self.needed.items()}
        """How many jobs of a cell are not done."""
        self.unfinished = len(self.missing)

    @property
    def folder(self) -> ReportFolder:
        """Where the page is, if it is there; of two variants of a recipe with one name they differ."""
        variant = hashlib.sha256(self.report.params_json.encode()).hexdigest()[:8]
        return ReportFolder(self.site.store.data / FOLDER / f"{self.report.label}-{variant}")

    @cached_property
    def needed(self) -> dict[str, set[Job]]:
        """The jobs that a cell consists of, by cell."""
        jobs: dict[str, set[Job]] = {cell["cell"]: set() for cell in self.report.params["cells"]}
        for name, job in self.report.inputs:
            jobs[input_names.parse(name).cell].add(job)
        return jobs

    @cached_property
    def cells_of(self) -> dict[Job, list[str]]:
        """The cells that a job is a part of."""
        cells: dict[Job, list[str]] = defaultdict(list)
        for cell, jobs in self.needed.items():
            for job in jobs:
                cells[job].append(cell)
        return cells

    def __call__(self, event: str, job: Job, artifact: Artifact | None) -> None:
        if artifact is not None:
            self.add(job, artifact)
        if job == self.report:
            if artifact is not None:
                shutil.rmtree(self.folder.path, ignore_errors=True)
        elif self.spent + self.cost <= SHARE * (self.clock() - self.start):
            self.bring_up_to_date()

    def add(self, job: Job, artifact: Artifact) -> None:
        """Count a job that is done."""
        if job not in self.artifacts:
            for cell in self.cells_of.get(job, ()):
                self.missing[cell] -= 1
                self.unfinished -= not self.missing[cell]
        self.artifacts[job] = artifact

    def finished(self) -> list[str]:
        """The cells of which everything is there."""
        return [cell for cell, count in self.missing.items() if not count]

    def bring_up_to_date(self) -> None:
        """Write the page, if cells were finished since it was written and some are not. What goes wrong is said and stops no run."""
        if self.unfinished and len(self.missing) - self.unfinished > self.written:
            self.write_page([])

    def write_holes(self, causes: Mapping[Job, BaseException]) -> bool:
        """Write the page of the cells that are finished, with why the others are not; False if none is.

        Args:
            causes: the errors of the jobs that failed.
        """
        return bool(self.finished()) and self.write_page(run_incomplete.holes_of(self.report, self.artifacts, causes))

    def write_page(self, holes: list[JsonObject]) -> bool:
        """Write the page of the finished cells, and say where it is; False if that goes wrong."""
        start, cells = self.clock(), self.finished()
        try:
            page = write(self.folder, self.report, self.artifacts, cells, holes)
        except Exception as error:  # the report itself will say it, after the work that matters
            self.say(f"no report so far: {error}")
            page = None
        else:
            self.say(f"report so far, {len(cells)} of {len(self.missing)} comparisons: {page}")
        self.written = len(cells)
        self.cost = self.clock() - start
        self.spent += self.cost
        return page is not None


def write(
    folder: ReportFolder, report: Job, artifacts: Mapping[Job, Artifact], cells: Iterable[str], holes: Sequence[JsonObject] = ()
) -> Path:
    """Write the report of some cells, a file at a time, so that a page that is open can be loaded again at any moment.

    Args:
        artifacts: of all jobs of these cells, at least.
        holes: why others are missing, as run_incomplete.holes_of().
    """
    present = set(cells)
    params: dict[str, Any] = {**report.params, "cells": [cell for cell in report.params["cells"] if cell["cell"] in present]}
    params |= {"holes": list(holes)} if holes else {}
    inputs = {name: artifacts[job].path for name, job in report.inputs if input_names.parse(name).cell in present}
    folder.path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.path.parent) as scratch:
        out = Path(scratch)
        report_stage.write_page(Work(params, inputs, out, out))
        for name in (ReportFolder.DATA, ReportFolder.MARKDOWN, ReportFolder.PAGE):
            os.replace(out / name, folder.path / name)
    return folder.page
