"""Copies finished artifacts from one store into another: hashed where they come from and where they arrive, each whole or not at all."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock

from pipeline.commands import report_closure, results
from pipeline.commands.call import find_artifacts, out, parse_call, store_at
from pipeline.commands.options import RunOptions, StoreFolder
from pipeline.commands.verbs import usable_store
from pipeline.errors import ArtifactError, RecipeError
from pipeline.machine import Machine
from pipeline.page import fmt
from pipeline.progress import meter
from pipeline.store.artifact import KEYED_NAME, Artifact, ArtifactSpec, Store
from pipeline.store.disk import explain_disk_errors


def verb(
    to: Annotated[Path, typer.Option("--to", metavar="STORE", help="The store to copy into.", callback=usable_store)],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE|REPORT]...", help="Recipes whose finished jobs are copied, or reports with all that they rest on; none: all."
        ),
    ] = None,
    store: StoreFolder = Path(),
) -> None:
    """Copy finished jobs into another store, where the same recipe then reuses them.

    Every file is hashed on both sides. What is there already is not copied again, so the same command goes on after an interruption.
    """
    if to.resolve() == store.resolve():
        raise RecipeError(f"--to {to} is the store itself.", "Name another folder.")
    source, target = store_at(store), store_at(to)
    artifacts = wanted(names or [], store, source)
    counts = {"copied": 0, "there already": 0}
    with meter("copying", len(artifacts), "artifacts") as progress:
        for artifact in artifacts:
            counts["copied" if copy(artifact, target) else "there already"] += 1
            progress.advance()
    out.print(f"{to}: {', '.join(f'{count} {what}' for what, count in counts.items())}", soft_wrap=True)


def wanted(names: Iterable[str], root: Path, source: Store) -> list[Artifact]:
    """The finished artifacts of these recipes and reports, or of the whole store; says how many jobs of a recipe are not finished."""
    if not names:
        return list(source.all())
    artifacts: dict[Path, Artifact] = {}
    for name in names:
        if report := results.named(name, source):
            artifacts |= {path: Artifact.open(path) for path in report_closure.paths(source, {report.path})}
            continue
        call = parse_call([name], root, Machine(), RunOptions(), ask_hub=False)
        present = [artifact for artifact in find_artifacts(call, call.jobs).values() if artifact]
        if len(present) < len(call.jobs):
            out.print(f"{name}: {len(present)} of {fmt.plural(len(call.jobs), 'job')} are finished", soft_wrap=True)
        artifacts |= {artifact.path: artifact for artifact in present}
    return [artifacts[path] for path in sorted(artifacts)]


def copy(artifact: Artifact, target: Store) -> bool:
    """Copy an artifact; False if it is there already.

    Raises:
        ArtifactError: its files were altered, on the way too, or the store has others under its key.
    """
    spec = spec_of(artifact)
    resume = target.resume_folder(spec)
    with explain_disk_errors(resume.parent):
        resume.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{resume}.lock"):  # of the job that would make it
            if present := target.find(spec.stage, spec.key, spec.label):
                if present.digest != artifact.digest:
                    problem = f"{present.path} was made of the same inputs as {artifact.path} and holds other bytes"
                    raise ArtifactError(problem, "Delete one of the two folders, and copy again.")
                present.verify()
                return False
            artifact.verify()
            with target.scratch(spec) as scratch:
                shutil.copytree(artifact.path, scratch, dirs_exist_ok=True)
                Artifact.open(scratch).verify()
                target.place(spec, scratch, artifact)
            return True


def spec_of(artifact: Artifact) -> ArtifactSpec:
    """What the artifact was made from; an old manifest has its label in the name of its folder alone."""
    name = KEYED_NAME.fullmatch(artifact.path.name)
    label = artifact.label or (name["label"] if name else artifact.path.name)
    return ArtifactSpec(artifact.stage, label, artifact.version, artifact.params, artifact.inputs)
