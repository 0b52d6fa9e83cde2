"""Exports an adapter: writes it beside its destination, loads it back, measures what it loses, and only then gives it its name"""

from pathlib import Path
from typing import Any

from pipeline.config.data_paths import is_whole_path
from pipeline.errors import ComparisonError
from pipeline.export import card, destination, load_back, measurement, writing
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.measurement import Measurement
from pipeline.export.request import FORMS, ExportRequest
from pipeline.machine import Machine, environment
from pipeline.page import fmt, model_card
from pipeline.progress import say
from pipeline.store import records
from pipeline.store.artifact import CARD, file_hashes

RECORD = "export.json"


class LossError(ComparisonError):
    """An export loses more than its margin. The command line exits with 3."""

    status = 3


def export(tuned: FineTuned, request: ExportRequest, machine: Machine) -> Measurement:
    """Write the folder of an export; returns what it loses.

    Raises:
        ArtifactError: the folder holds something already.
        MachineError: the disk has no room, or cannot be written to.
        ModelError: the base cannot be exported in this form, or the export does not load.
        LossError: it loses more than the margin, and that is not accepted. The folder is not left.
    """
    destination.check(request.out)
    writing.check(tuned, request.form)
    destination.check_space(request.out, writing.size(tuned, request.form))
    reference = load_back.reference_logits(tuned, machine)
    with destination.scratch(request.out) as folder:
        say(f"writing {request.form.title} of {tuned.name}")
        writing.write(tuned, request.form, folder, machine)
        files = file_hashes(folder)
        say("loading it back")
        exported = load_back.behaviour(tuned, request.form, folder, machine, request.examples)
        measured = measurement.measure(tuned, reference, exported, tuned.margin(request), machine)
        if not request.accept_loss:
            refuse_loss(tuned, request, measured)
        (folder / CARD).write_text(card.readme(tuned, request, measured), "utf-8")
        records.write_json(folder / RECORD, record(tuned, request, files, measured))
        destination.publish(folder, request.out)
    return measured


def refuse_loss(tuned: FineTuned, request: ExportRequest, measured: Measurement) -> None:
    """Raise LossError for an export that loses more than the margin."""
    if measured["outcome"] != "loss":
        return
    metric, own = fmt.metric(measured["metric"]), fmt.number(measured["fine_tuned"], 3)
    others = [form.name for form in FORMS.values() if form.name != request.form.name and form.merge != "original" and not form.gguf]
    others = ["F16", *others] if request.form.gguf == "Q8_0" else others
    raise LossError(
        f"--form {request.form.title} of {tuned.name} scores {fmt.number(measured['exported'], 3)} by {metric}, and the adapter {own}: "
        f"it loses more than the margin of {measured['margin']:g}, and nothing was exported",
        f"Export as {' or '.join(others)}, or keep it with --accept-loss, which writes the loss into its card.",
    )


def record(tuned: FineTuned, request: ExportRequest, files: dict[str, str], measured: Measurement) -> dict[str, Any]:
    """export.json: what was exported from what, where, and what it loses; without paths of this machine."""
    trained, spec = tuned.trained, tuned.spec
    folder = Path(spec["folder"]).name if is_whole_path(spec["folder"]) else spec["folder"]
    return {
        "schema": 1,
        "form": request.form.name,
        "gguf": request.form.gguf,
        "recipe": tuned.recipe.name,
        "task": tuned.task.name,
        "variant": trained.cell.variant,
        "seed": trained.seed,
        "base": {**spec, "folder": folder},
        "quantization": tuned.loading["quantization"],
        "compute": tuned.loading["compute"],
        "adapter": {"key": trained.adapter.key, "digest": trained.adapter.digest},
        "test_set": model_card.data_set(trained.cell),
        "answers": {"key": trained.answers.key, "digest": trained.answers.digest},
        "files": files,
        "measured": measured,
        "loss_accepted": request.accept_loss and measured["outcome"] == "loss",
        "environment": environment(),
    }
