"""Shows the report of a call: the whole one, judged by a gate where there is one, or that of the tasks that are finished"""

from pathlib import Path

import typer

from pipeline.commands import gate_rules, views
from pipeline.commands.call import Call, find_artifacts, out
from pipeline.commands.partial_report import PartialReport, write
from pipeline.errors import ArtifactError, RecipeError
from pipeline.store.artifact import Artifact


def show_partial_report(call: Call) -> None:
    """Write the report of the tasks that are finished, and show it.

    Raises:
        ArtifactError: none is.
    """
    partial = PartialReport(call.jobs[-1], call.site, lambda _: None)
    for job, artifact in find_artifacts(call, call.jobs).items():
        if artifact:
            partial.add(job, artifact)
    if not (cells := partial.finished()):
        raise ArtifactError(f"{call.recipe.name}: no task is finished yet", "Let the run go on until the first comparison.")
    write(partial.folder, partial.report, partial.artifacts, cells)
    views.print_report(out, partial.folder)


def load_gate(gate_file: Path | None, call: Call) -> gate_rules.Gate | None:
    """The rules of a gate file; None without one. Read before anything runs, since it may be wrong.

    Raises:
        RecipeError: it is wrong, or a smoke test is to be judged.
    """
    if gate_file and call.options.limit is not None:
        raise RecipeError("--gate with --limit: a smoke test has no verdict to be judged.", "Leave one of them out.")
    return gate_rules.load(gate_file, call.recipe, call.jobs[-1]) if gate_file else None


def show_report(call: Call, report: Artifact, gate_file: Path | None, rules: gate_rules.Gate | None) -> None:
    """Show the report and, with a gate file, a line for each of its rules; exits with the gate's code unless all pass."""
    views.show_report(out, report)
    if gate_file and rules and (code := views.show_gate(out, gate_file, rules, report, call.site.store)):
        raise typer.Exit(code)
