"""Writes the scores of a report as records of Every Eval Ever, into the folders that its data store has"""

import json
import time

from pipeline.commands import export_choice
from pipeline.commands.call import Call, find_artifact
from pipeline.commands.options import ReportOptions
from pipeline.errors import RecipeError
from pipeline.export import eval_records
from pipeline.planning.cell_jobs import jobs_of
from pipeline.progress import Terminal
from pipeline.store.artifact import Artifact
from pipeline.store.disk import explanation
from pipeline.store.result_folders import ReportFolder


def check(options: ReportOptions) -> None:
    """Raise RecipeError for records of a report that is not final, or a place that is no folder."""
    folder = options.records
    if folder is None:
        return
    if options.is_partial or options.limit is not None:
        raise RecipeError(
            "--every-eval-ever with --partial or --limit: scores that are not final are no records.", "Leave one of them out."
        )
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"--every-eval-ever {folder}: it is a file.", "Name a folder.")


def write(out: Terminal, call: Call, report: Artifact, options: ReportOptions) -> None:
    """Write the records, where a folder is named; one of an equal evaluation is replaced.

    Raises:
        MachineError: the folder cannot be written to.
    """
    if (folder := options.records) is None:
        return
    cells = []
    for spec in call.jobs[-1].params["cells"]:
        jobs = jobs_of(call.jobs[-1], spec["cell"])
        cells.append(
            export_choice.open_cell(call, spec, {name: artifact for name, job in jobs.items() if (artifact := find_artifact(call, job))})
        )
    records = eval_records.all_of(ReportFolder(report.path).data(), cells, options.organization, int(time.time()))
    try:
        for path, record in records.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise explanation(error, folder) or error from error
    out.print(f"Every Eval Ever: {len(records)} records in {folder / 'data'}", soft_wrap=True)
