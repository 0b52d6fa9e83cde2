"""Prints what each command shows, from finished artifacts and recipes. Runs no job."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pipeline import stages
from pipeline.commands import gate, results
from pipeline.commands.gate_rules import Gate
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.data import task
from pipeline.errors import ArtifactError, RecipeError, suggest
from pipeline.machine import Machine
from pipeline.models import base_model
from pipeline.planning import advice_jobs
from pipeline.planning.job import Job
from pipeline.planning.plan import plan
from pipeline.runner import artifact_spec
from pipeline.scoring.verdict import INCONCLUSIVE
from pipeline.store import leftovers
from pipeline.store.artifact import CARD, MANIFEST, Artifact, Store, canonical
from pipeline.store.disk import explain_disk_errors
from pipeline.store.folders import TrainFolder
from pipeline.store.result_folders import ReportFolder


class AlteredError(ArtifactError):
    """An artifact was altered after it was made. The command line exits with 3."""

    status = 3


FORECAST = "forecast"
"""A cheap stage whose artifacts last, as a result may come long after the forecast and under other code."""
FIRST_RECIPE = "quickstart"
"""The recipe whose end names the tour."""
STYLES = {gate.PASS: "green", gate.FAIL: "bold red", INCONCLUSIVE: "bold yellow", gate.MISSING: "bold red"}


def show_adapters(out: Console, artifacts: list[Artifact]) -> None:
    """A table for each base, one row per adapter, then their folders. Only these name the base, so that a row fits 80 columns."""
    bases: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        bases.setdefault(artifact.path.name.partition("--")[0], []).append(artifact)
    for base, adapters in bases.items():
        out.print(adapters_of(base, adapters))
        out.print(f"adapters: each in {adapters[0].path.parent}/{base}--<adapter>", soft_wrap=True)


def adapters_of(base: str, adapters: list[Artifact]) -> Table:
    """The row of each adapter of a base, without the base's name."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, side in (
        ("adapter", "left"),
        ("steps", "right"),
        ("loss", "right"),
        ("dev", "right"),
        ("parameters", "right"),
        ("seconds", "right"),
    ):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for artifact in adapters:
        facts = artifact.facts
        dev = "-" if facts["dev_loss"] is None else f"{facts['dev_loss']:.3f}"
        table.add_row(
            artifact.path.name.removeprefix(f"{base}--"),
            str(facts["steps"]),
            f"{facts['loss']:.3f}",
            dev,
            f"{facts['trainable_parameters']:,}",
            f"{facts['train_seconds']:.0f}",
        )
    return table


def show_report(out: Console, report: Artifact) -> None:
    """The table, and the page's path. Raises ArtifactError if the report was altered since it was made."""
    report.verify()
    print_report(out, ReportFolder(report.path))


def print_report(out: Console, folder: ReportFolder) -> None:
    """The table of a report's folder, and the page's path."""
    from pipeline.commands import report_table

    out.print()
    out.print(report_table.summary(folder.data()))
    out.print(Text(f"report: {folder.page}", style=f"link file://{folder.page.absolute()}"), soft_wrap=True)
    if folder.data()["name"] == FIRST_RECIPE and not folder.data()["preliminary"]:
        out.print("for more measures and arms on the same adapters: loralift compare tour")


def show_gate(out: Console, gate_file: Path, rules: Gate, report: Artifact, store: Store) -> int:
    """Judge a report, store the evidence and print a line per rule; returns the gate's exit code."""
    data = ReportFolder(report.path).data()
    rows = gate.judge(rules, data)
    judged = gate.evidence(rules, data, rows)
    path = gate.write(store, gate_file, report, judged)
    for row in rows:
        out.print(Text(gate.line(row), style=STYLES[row["result"]]), soft_wrap=True)
    for name in judged["missing"]:
        out.print(Text(gate.missing_line(name), style=STYLES[gate.MISSING]), soft_wrap=True)
    if supporting := gate.supporting_line(rules, rows):
        out.print(supporting, soft_wrap=True)
    out.print(f"result: {judged['result']}")
    out.print(f"gate: {path}", soft_wrap=True)
    return int(judged["status"])


def write_cards(report: Artifact, adapters: list[Artifact]) -> None:
    """Copy each adapter's model card from the report into the adapter's folder."""
    for adapter in adapters:
        card = ReportFolder(report.path).card(adapter.path.name)
        if card.is_file() and not is_same_file(card, adapter.path / CARD):
            with explain_disk_errors(adapter.path):
                shutil.copyfile(card, adapter.path / CARD)


def is_same_file(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def find_artifact(store: Store, what: str) -> Artifact:
    """The artifact in a folder, or the one whose key starts so.

    Raises:
        ArtifactError: there is none, or more than one.
    """
    if os.path.isdir(what):
        return Artifact.open(Path(what))
    matches = [artifact for artifact in store.all() if artifact.key.startswith(what) or artifact.path.name == what]
    if len(matches) != 1:
        names = ", ".join(artifact.path.name for artifact in matches[:5])
        problem = (
            f"'{what}' is the start of {len(matches)} keys: {names}"
            if matches
            else f"there is no artifact '{what}' in {store.data} or {store.checkpoints}"
        )
        raise ArtifactError(problem, "See `loralift ls artifacts`.")
    return matches[0]


def show_artifact(out: Console, store: Store, what: str) -> None:
    artifact = find_artifact(store, what)
    manifest = {name: getattr(artifact, name) for name in ("stage", "key", "digest", "version", "params", "facts", "provenance")}
    out.print(Text(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)), soft_wrap=True)
    by_name = {artifact.path.name: artifact for artifact in store.all()}
    tree = Tree(str(artifact.path))
    add_inputs(tree, artifact, by_name)
    out.print(tree)


def add_inputs(tree: Tree, artifact: Artifact, by_name: dict[str, Artifact]) -> None:
    """A branch for each input, and for each of theirs."""
    for name, folder in artifact.lineage.items():
        branch = tree.add(f"{name}: {folder}")
        if folder in by_name:
            add_inputs(branch, by_name[folder], by_name)


def show_list(out: Console, what: str, store: Store) -> None:
    if what == "results":
        results.show(out, store)
        return
    rows: dict[str, Any] = {
        "recipes": lambda: [(recipe_files.short_name(path), recipes.load(path).question) for path in recipe_files.shipped_files()],
        "tasks": lambda: [(name, task.find(name).about) for name in task.names()],
        "models": lambda: [
            (row.name, f"{row.repo or row.folder} {row.license}{', gated' if row.gated else ''}") for row in base_model.MODELS
        ],
        "artifacts": lambda: [(f"{artifact.key[:12]} {artifact.stage}", artifact.path.name) for artifact in store.all()],
    }
    if what not in rows:
        raise RecipeError(f"ls: there is no list '{what}'.", suggest(what, [*rows, "results"]))
    for name, about in rows[what]():
        out.print(Text.assemble((name, "bold"), f"  {about}"), soft_wrap=True)


def show_prompt(out: Console, job: Job, artifact: Artifact, count: int) -> None:
    """The first examples of a training part; what carries the loss is green, or without colour in [[ ]], and ends with the end token."""
    from pipeline.models import renderer
    from pipeline.stages import finetune

    render = renderer.renderer(job.params["model"])
    rows = TrainFolder(artifact.path).examples()[:count]
    before, after = ("[[", "]]") if out.color_system is None or out.no_color else ("", "")
    for example in rows:
        row = finetune.token_row(example, render)
        head = f"{artifact.path.name} {example.id}: {len(row) - row.target_count} tokens without loss, {row.target_count} with loss"
        out.print(Text(head, "dim"), soft_wrap=True)
        pieces = [(render.tokenizer.decode(ids), has_loss) for ids, has_loss in row.runs()]
        styled = [Text(f"{before}{text}{after}", "bold green underline") if has_loss else Text(text) for text, has_loss in pieces]
        out.print(Text.assemble(*styled), soft_wrap=True)


def verify_all(out: Console, store: Store) -> None:
    """Hash everything; tells of every altered artifact before it raises, and of manifests without a hash of their facts."""
    folders, older, faults = store.sealed_folders(), 0, []
    for folder in folders:
        try:
            artifact = Artifact.open(folder)
            artifact.verify()
            older += not artifact.checksum
        except ArtifactError as error:
            faults.append(error.problem)
        except OSError as error:
            faults.append(f"cannot read {error.filename or folder}: {error.strerror}")
    if faults:
        whole = f"{len(faults)} of {len(folders)} artifacts are not as they were made:"
        raise AlteredError("\n".join([whole, *faults]), "Delete these folders and run the recipe again.")
    unhashed = f"; {older} of them are of an older version, whose manifests hold no hash of their facts" if older else ""
    out.print(f"{len(folders)} artifacts, every byte as it was made{unhashed}", soft_wrap=True)


def verify_page(out: Console, page: Path, store: Store, machine: Machine, trusts_code: bool = False) -> None:
    """Recompute a page; raises ProofError at the first value that differs."""
    from pipeline.commands import recompute_page

    out.print(recompute_page.verify(page, store, machine, trusts_code).line(), soft_wrap=True)


def show_page_code(out: Console, page: Path) -> None:
    """Print the code of its author's that a page brings."""
    from pipeline.commands import recompute_page

    out.print(recompute_page.code_of(page), soft_wrap=True)


def check_all(out: Console) -> None:
    """Load everything that ships.

    Raises:
        UserError: the first thing that does not load.
    """
    from pipeline.lora_land import published

    tasks = {name: task.find(name) for name in task.names()}
    planned = {path: len(plan(recipes.load(path), ask=False)) for path in recipe_files.shipped_files()}
    theirs = published.tasks()
    ours = [name for name in theirs if name in tasks and tasks[name].paper]
    summary = f"{len(tasks)} tasks, {len(planned)} recipes ({sum(planned.values())} jobs), {len(base_model.MODELS)} model rows: all load"
    out.print(f"{summary}\n{len(ours)} of {len(theirs)} tasks of LoRA Land")
    if missing := [name for name in theirs if name not in ours]:
        raise RecipeError(f"tasks of LoRA Land without a file: {', '.join(missing)}")


def collect_garbage(out: Console, store: Store, delete: bool, others: list[Path], smoke_tests: Path | None = None) -> None:
    """Artifacts that no shipped recipe and none of the others reaches, and what killed jobs left, with their size; deleted if asked.

    Folders whose manifest cannot be read are named, and stay; so does all that a report which stays rests on.

    Args:
        others: recipes, and folders of reports.
        smoke_tests: the folder of smoke tests, of which nothing stays.
    """
    from pipeline.commands import partial_report, report_closure

    report_folders = [path for path in others if (path / MANIFEST).is_file()]
    reach = reach_of([*recipe_files.shipped_files(), *(path for path in others if path not in report_folders)], store)
    # after an edit of the code, or damage, the cheap stages have new keys, and what was made from them would seem lost
    lasting = {*stages.expensive(), FORECAST} if reach.is_whole else {artifact.stage for artifact in store.all()}
    reached = reach.artifacts | {
        artifact.path for artifact in store.all() if artifact.stage in lasting and reach.wanted.intersection(params_of_jobs(artifact))
    }
    reached |= report_closure.paths(store, reached | {folder.resolve() for folder in report_folders})
    unreached = [artifact.path for artifact in store.all() if artifact.path not in reached]
    remains = [leftover.path for leftover in leftovers.unwanted(store, reach.wanted, reach.keys)]
    remains += sorted(path for path in (store.data / partial_report.FOLDER).glob("*") if path.is_dir())
    smoke_folders = [smoke_tests] if smoke_tests and smoke_tests.is_dir() else []
    rows = [
        (path, what) for paths, what in ((unreached, "unreached"), (remains, "left over"), (smoke_folders, "smoke test")) for path in paths
    ]
    for path, what in rows:
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        out.print(f"{'deleted' if delete else what:10} {size_text(size):>11}  {path}", soft_wrap=True)
        if delete:
            (path / MANIFEST).unlink(missing_ok=True)  # first: a folder without it does not exist
            shutil.rmtree(path)
    for path in sorted({*store.sealed_folders()} - {artifact.path for artifact in store.all()}):
        out.print(f"kept, since it cannot be read: {path}; see `loralift verify`", soft_wrap=True)
    nobody = "neither a recipe under recipes/ nor those named reach" if others else "no recipe under recipes/ reaches"
    summary = f"{len(unreached)} artifacts that {nobody}" + (f", {len(remains)} folders left over by killed jobs" if remains else "")
    if rows and not delete:
        summary += "; --delete removes them. To keep those of a recipe of yours, name it: loralift gc my.yaml"
    out.print(summary, soft_wrap=True)


@dataclass
class Reach:
    """What recipes want of a store."""

    artifacts: set[Path] = field(default_factory=set)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    """Stage and parameters of every job."""
    keys: set[str] = field(default_factory=set)
    """Of the jobs whose inputs are all there."""
    is_whole: bool = True
    """Whether every artifact of these jobs can be read."""


def reach_of(paths: list[Path], store: Store) -> Reach:
    from pipeline.commands.job_status import find_or_explain
    from pipeline.commands.lookups import Lookups

    reach, lookups = Reach(), Lookups(store)
    for path in paths:
        done: dict[Job, Artifact] = {}
        recipe = recipes.load(path)
        jobs = [*plan(recipe, False, store.hashes, find_folder=lookups.folder), *advice_jobs.jobs_if_any(recipe, store.hashes)]
        for job in jobs:
            try:
                find_or_explain(job, done, store)
            except ArtifactError:
                reach.is_whole = False
        reach.artifacts |= {artifact.path for artifact in done.values()}
        reach.wanted |= {(job.stage, job.params_json) for job in jobs}
        startable = [job for job in jobs if all(source in done for _, source in job.inputs)]
        reach.keys |= {artifact_spec(job, {name: done[source] for name, source in job.inputs}).key for job in startable}
    return reach


HUB_PARAMS = ("model", "adapter", "tuned")
"""Parameters that may name a repository of the hub with its commit: base, imported adapter, whole fine-tuned model."""


def params_of_jobs(artifact: Artifact) -> list[tuple[str, str]]:
    """Stage and parameters of the jobs that an artifact answers: its own, and those of a machine that does not know every hub commit."""
    rows = [artifact.params]
    for name in HUB_PARAMS:
        rows += [
            {**row, name: {**row[name], "revision": None}} for row in rows if isinstance(row.get(name), dict) and "revision" in row[name]
        ]
    return [(artifact.stage, canonical(row)) for row in rows]


def size_text(count: int) -> str:
    """A number of bytes in MiB, or in KiB below a tenth of one."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 / 10 else f"{count / 2**10:.1f} KiB"
