"""Writes the report of the tasks that are finished while the others are made, so that a run that is killed leaves a page to read.

The page names what is missing and gives no verdict. It is no artifact: it stands under `data/partial/`, and goes when the report is made.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.machine import Work
from pipeline.planning.job import Job
from pipeline.runner import Site
from pipeline.stages import report as report_stage
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
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
        self.written: list[str] = []
        """The cells on the page."""

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

    def __call__(self, event: str, job: Job, artifact: Artifact | None) -> None:
        if artifact is not None:
            self.artifacts[job] = artifact
        if job == self.report:
            if artifact is not None:
                shutil.rmtree(self.folder.path, ignore_errors=True)
        elif self.spent + self.cost <= SHARE * (self.clock() - self.start):
            self.bring_up_to_date()

    def finished(self) -> list[str]:
        """The cells of which everything is there."""
        return [cell for cell, jobs in self.needed.items() if jobs <= self.artifacts.keys()]

    def bring_up_to_date(self) -> None:
        """Write the page, if cells were finished since it was written and some are not. What goes wrong is said and stops no run."""
        cells = self.finished()
        if not set(self.written) < set(cells) < set(self.needed):
            return
        start = self.clock()
        try:
            page = write(self.folder, self.report, self.artifacts, cells)
        except Exception as error:  # the report itself will say it, after the work that matters
            self.say(f"no report so far: {error}")
        else:
            self.say(f"report so far, {len(cells)} of {len(self.needed)} comparisons: {page}")
        self.written = cells
        self.cost = self.clock() - start
        self.spent += self.cost


def write(folder: ReportFolder, report: Job, artifacts: dict[Job, Artifact], cells: Iterable[str]) -> Path:
    """Write the report of some cells, a file at a time, so that a page that is open can be loaded again at any moment.

    Args:
        artifacts: of all jobs of these cells, at least.
    """
    present = set(cells)
    params: dict[str, Any] = {**report.params, "cells": [cell for cell in report.params["cells"] if cell["cell"] in present]}
    inputs = {name: artifacts[job].path for name, job in report.inputs if input_names.parse(name).cell in present}
    folder.path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.path.parent) as scratch:
        out = Path(scratch)
        report_stage.write_page(Work(params, inputs, out, out))
        for name in (ReportFolder.DATA, ReportFolder.MARKDOWN, ReportFolder.PAGE):
            os.replace(out / name, folder.path / name)
    return folder.page
