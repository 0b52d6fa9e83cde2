"""Turns the arguments of a verb into a recipe, its jobs and its site, and carries the jobs out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer
import yaml

from pipeline import stages
from pipeline.cluster import place
from pipeline.commands import long_runs, preflight, slice_check, views
from pipeline.commands.lookups import Lookups
from pipeline.commands.options import RunOptions
from pipeline.commands.partial_report import PartialReport
from pipeline.commands.probes import Probes
from pipeline.commands.run_incomplete import RunIncompleteError
from pipeline.commands.run_log import RunLog
from pipeline.commands.verbs import STOPPED
from pipeline.config import recipe as recipes
from pipeline.config import yaml_text
from pipeline.errors import RecipeError
from pipeline.machine import EndpointSettings, Machine
from pipeline.planning import search_jobs
from pipeline.planning.job import Job
from pipeline.planning.plan import plan
from pipeline.progress import Terminal
from pipeline.references import endpoint
from pipeline.runner import Failures, Site, find, run
from pipeline.schedule import in_run_order
from pipeline.store.artifact import ADAPTER_STAGES, Artifact, Store, canonical

out = Terminal()
SMOKE_TESTS = "smoke"
"""The folder in a store that holds the store of smoke tests."""


@dataclass(frozen=True)
class Call:
    """A recipe and how to run it, from the command line."""

    recipe: recipes.Recipe
    jobs: list[Job]
    site: Site
    options: RunOptions = field(default_factory=RunOptions)


def parse_call(arguments: list[str], store: Path, machine: Machine, options: RunOptions | None = None, ask_hub: bool = True) -> Call:
    """The recipe, jobs and site that a verb's arguments describe. A smoke test has a store of its own.

    Args:
        arguments: the path of a recipe, then KEY=VALUE.
        ask_hub: whether the hub may be asked which commit of a base is meant.
    """
    path, *overrides = arguments
    recipe = recipes.load(Path(path), dict(map(parse_override, overrides)))
    return call_of(recipe, store, machine, options or RunOptions(), ask_hub)


def call_of(recipe: recipes.Recipe, store: Path, machine: Machine, options: RunOptions, ask_hub: bool = True) -> Call:
    """The jobs and site of a recipe; see parse_call()."""
    root = store if options.limit is None else store / SMOKE_TESTS
    site = Site(store_at(root), replace(machine, endpoints=endpoint_settings(recipe)))
    return Call(recipe, planned(recipe, site.store, ask_hub, options.limit), site, options)


def planned(recipe: recipes.Recipe, store: Store, ask_hub: bool = True, limit: int | None = None) -> list[Job]:
    """The jobs of a recipe in the order in which they run, as far as the trials in the store say what is tuned."""
    return in_run_order(plan(recipe, ask_hub, store.hashes, limit, Lookups(store).folder))


def endpoint_settings(recipe: recipes.Recipe) -> tuple[EndpointSettings, ...]:
    """How to reach the models of a recipe that are behind endpoints."""
    for model in recipe.endpoints:
        endpoint.check_address(model.endpoint)
    return tuple(EndpointSettings(model.endpoint, model.model, model.key_env, model.concurrency) for model in recipe.endpoints)


def parse_override(text: str) -> tuple[str, Any]:
    """`finetune.rank=32` as key and value; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals:
        remedy = f"Write {key}=VALUE." if key in recipes.dotted_keys() else recipes.suggest_key(key)
        raise RecipeError(f"'{text}' is not KEY=VALUE.", remedy)
    try:
        return key, yaml_text.parse(value)
    except yaml.YAMLError as error:
        raise RecipeError(
            f"{key}: cannot read the value {value!r}: {' '.join(str(error).split())}", "Quote it for the shell, as tasks='[boolq, viggo]'."
        ) from None


def store_at(root: Path) -> Store:
    return Store(root / "data", root / "checkpoints")


def with_dependencies(jobs: list[Job], wanted: Collection[str | Job]) -> list[Job]:
    """These jobs, or all jobs of these stages, with everything that they depend on, in the order of the plan."""
    needed: set[Job] = set()
    for job in reversed(jobs):
        if job.stage in wanted or job in wanted or job in needed:
            needed |= {job, *(source for _, source in job.inputs)}
    return [job for job in jobs if job in needed]


def carry_out(call: Call, wanted: Collection[str | Job]) -> dict[Job, Artifact]:
    """The artifacts of all jobs that are wanted and of what they need.

    Raises:
        RunIncompleteError: the run kept going after a job had failed.
        whatever the first failing job raised, if it does not keep going.
    """
    jobs = with_dependencies(call.jobs, {*wanted, slice_check.STAGE})
    assert not any(map(search_jobs.is_stand_in, jobs)), "trials have to run before what depends on them is known: see searching.py"
    artifacts = find_artifacts(call, jobs)
    with place.opened(call.site, (job for job in jobs if artifacts[job] is None), lambda: preflight.largest(artifacts)) as there:
        return carry_out_at(there, call, artifacts)


def carry_out_at(there: place.Place, call: Call, artifacts: dict[Job, Artifact | None]) -> dict[Job, Artifact]:
    """Check and run jobs at a place; see carry_out().

    Args:
        artifacts: of every job, if it is done.
    """
    jobs = list(artifacts)
    preflight.check(call.recipe, artifacts, there.site, there.call)
    if not call.options.is_confirmed:
        long_runs.confirm(artifacts, there.call(long_runs.card_of, call.site.machine, artifacts))

    log = RunLog(out, jobs, call.options.detail)
    partial = PartialReport(call.jobs[-1], there.site, log.say)
    observers = (log, slice_check.SliceCheck(jobs), Probes(jobs, there.site, there.call), partial)
    failures = Failures(call.options.retries, call.options.keep_going, log.tell_failure)

    def notify(event: str, job: Job, artifact: Artifact | None) -> None:
        for observer in observers:
            observer(event, job, artifact)

    try:
        finished = run(jobs, there.site, notify, there.submit, failures)
    except KeyboardInterrupt:
        out.print(STOPPED, soft_wrap=True)
        raise typer.Exit(130) from None
    except Exception:
        partial.bring_up_to_date()
        raise
    log.finish()
    if failures.causes:
        if call.jobs[-1] in jobs and partial.write_holes(failures.causes):
            views.print_report(out, partial.folder)
        raise RunIncompleteError(jobs, finished, failures.causes)
    return finished


def unfinished(call: Call, wanted: set[str] | set[Job] | None = None) -> list[Job]:
    """The expensive jobs of a comparison whose artifacts are missing; if there are none, its report needs cheap jobs only.

    Args:
        wanted: jobs, or all jobs of these stages, in place of the report.

    After a code change the examples may have another key. They are prepared again, but only if no expensive artifact is surely missing.
    """
    expensive = stages.expensive()
    jobs = [job for job in with_dependencies(call.jobs, wanted or {"report"}) if job.stage in expensive]
    present = {(artifact.stage, canonical(artifact.params)) for artifact in call.site.store.all()}
    missing = {job for job in jobs if (job.stage, job.params_json) not in present}
    if missing:
        return [job for job in jobs if missing & {*with_dependencies(call.jobs, {job})}]
    cheap_jobs = {job for job in call.jobs if not any(needed.stage in expensive for needed in with_dependencies(call.jobs, {job}))}
    if any(find_artifact(call, job) is None for job in cheap_jobs):
        carry_out(call, cheap_jobs)
    return [job for job in jobs if find_artifact(call, job) is None]


def make_report(call: Call) -> Artifact:
    """Make the report and all that it needs, and put a model card into every adapter's folder."""
    artifacts = carry_out(call, {"report"})
    report = artifacts[call.jobs[-1]]
    views.write_cards(report, [artifact for job, artifact in artifacts.items() if job.stage in ADAPTER_STAGES])
    return report


def find_artifacts(call: Call, jobs: Sequence[Job]) -> dict[Job, Artifact | None]:
    """The artifact of every job, if it and all its inputs are in the store.

    Args:
        jobs: each after its inputs, which are among them.
    """
    present: dict[Job, Artifact | None] = {}
    for job in jobs:
        inputs = {name: artifact for name, source in job.inputs if (artifact := present[source])}
        present[job] = find(job, inputs, call.site.store) if len(inputs) == len(job.inputs) else None
    return present


def find_artifact(call: Call, job: Job) -> Artifact | None:
    """The artifact of a job, if it and all its inputs are in the store."""
    return Lookups(call.site.store).artifact(job)
