"""Sends the scores of a finished report to the tracker that gets the training curves"""

from pipeline.engine import tracking
from pipeline.machine import Machine
from pipeline.measures.report_types import Report
from pipeline.store.artifact import Artifact, Store
from pipeline.store.result_folders import ReportFolder


def send(report: Artifact, store: Store, machine: Machine) -> None:
    """Send the scores of every cell, once a report; nothing without `--track`, or of a report that gives no verdict."""
    folder = store.checkpoints / tracking.FOLDER / report.path.name
    data = ReportFolder(report.path).data()
    if not machine.track or folder.exists() or data["preliminary"]:
        return
    with tracking.opened(machine.track, folder, {"recipe": data["name"], "report": report.key}, machine) as track:
        track(scores(data), 0)


def scores(data: Report) -> dict[str, float]:
    """Base, fine-tuned and lift by every metric, and the training effect, by `CELL/METRIC/FIGURE`."""
    figures: dict[str, float] = {}
    for cell in data["cells"]:
        for row in cell["comparisons"]:
            figures |= {f"{cell['cell']}/{row['metric']}/{name}": float(row[name]) for name in ("base", "tuned", "lift")}
        figures[f"{cell['cell']}/{cell['headline']['metric']}/training_effect"] = float(cell["headline"]["effect"])
    return figures
