"""Runs the trials of what a recipe tunes until every value is chosen, so that the rest of its plan is known"""

import shutil
from dataclasses import replace

from filelock import FileLock, Timeout

from pipeline.cluster import place
from pipeline.commands import long_runs, preflight
from pipeline.commands.call import Call, carry_out, find_artifacts, planned
from pipeline.commands.lookups import Lookups
from pipeline.engine import ranks
from pipeline.errors import RecipeError
from pipeline.planning import search_jobs
from pipeline.planning.job import Job
from pipeline.runner import artifact_spec
from pipeline.store.artifact import Artifact, ArtifactSpec


def settled(call: Call) -> Call:
    """The call with every value chosen: trials run in rounds, and each round is planned by the results of those before.

    A search that was killed goes on from the trials that are in the store.
    """
    if not call.recipe.tune:
        return call
    lookups = Lookups(call.site.store)
    pending = search_jobs.pending(call.jobs, lookups.folder)
    if pending and ranks.launched() > 1:
        problem = f"{call.recipe.name}: tune: trials run in one process, and a launcher started {ranks.launched()}."
        raise RecipeError(problem, "Run loralift finetune without the launcher, or leave tune out.")
    if pending and not call.options.is_confirmed:  # once for all rounds: each may be short
        check(call, find_artifacts(call, call.jobs))
        call = replace(call, options=replace(call.options, is_confirmed=True))
    while pending:
        carry_out(call, {*pending})
        call = replace(call, jobs=planned(call.recipe, call.site.store, limit=call.options.limit))
        pending = search_jobs.pending(call.jobs, lookups.folder)
    drop_resume_points(call, lookups)
    return call


def check(call: Call, artifacts: dict[Job, Artifact | None]) -> None:
    """Look at all that can be seen before the first trial, and ask whether a long run is meant.

    Args:
        artifacts: of every job of the plan, if it is done.
    """
    missing = (job for job, artifact in artifacts.items() if artifact is None)
    with place.opened(call.site, missing, lambda: preflight.largest(artifacts)) as there:
        preflight.check(call.recipe, artifacts, there.site, there.call)
        long_runs.confirm(artifacts, there.call(long_runs.card_of, call.site.machine, artifacts))


def drop_resume_points(call: Call, lookups: Lookups) -> None:
    """Remove the resume points of trials that were not chosen: nothing goes on from them."""
    wanted = {spec.resume_key for job in call.jobs if job.stage == "finetune" and (spec := spec_of(job, lookups))}
    for spec in (spec for job in call.jobs if job.stage == search_jobs.STAGE and (spec := spec_of(job, lookups))):
        folder = call.site.store.resume_folder(spec)
        if spec.resume_key in wanted or not folder.is_dir():
            continue
        try:
            with FileLock(f"{folder}.lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:  # another run is at it
            continue


def spec_of(job: Job, lookups: Lookups) -> ArtifactSpec | None:
    """The identity of a job's artifact; None where its inputs have not run."""
    inputs = {name: artifact for name, source in job.inputs if (artifact := lookups.artifact(source)) is not None}
    return artifact_spec(job, inputs) if len(inputs) == len(job.inputs) else None
