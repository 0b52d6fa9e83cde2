"""Runs `loralift advise`: lets the base answer a sample of validation examples without training, and shows what fine-tuning may bring"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.commands import long_runs, preflight
from pipeline.commands.call import Call, find_artifact, out, parse_call, store_at
from pipeline.commands.options import (
    Device,
    OptionalRecipe,
    Quiet,
    RunOptions,
    StoreFolder,
    Tokens,
    UnsafeCode,
    Verbose,
    Yes,
    run_options_of,
    with_options,
)
from pipeline.commands.probes import Probes
from pipeline.commands.run_log import RunLog
from pipeline.errors import RecipeError
from pipeline.machine import Machine
from pipeline.planning import advice_jobs
from pipeline.planning.advice_jobs import Advised
from pipeline.planning.job import Job
from pipeline.runner import run
from pipeline.schedule import in_run_order
from pipeline.store.artifact import Artifact

Calibration = Annotated[bool, typer.Option("--calibration", help="Compare the forecasts of the store with the results that followed.")]


def judging_machine_of(device: Device = "auto", tokens: Tokens = None, unsafe_code: UnsafeCode = False) -> Machine:
    """The machine that the base answers on, and that scores its answers, by the command-line options."""
    return Machine(device, tokens, unsafe_code=unsafe_code)


def confirmed_options_of(yes: Yes = False, quiet: Quiet = False, verbose: Verbose = False) -> RunOptions:
    """How the run asks and prints, by the command-line options."""
    return run_options_of(yes, quiet, verbose)


@with_options("machine", judging_machine_of)
@with_options("options", confirmed_options_of)
def verb(
    machine: Machine,
    options: RunOptions,
    recipe: OptionalRecipe = None,
    store: StoreFolder = Path(),
    calibration: Calibration = False,
) -> None:
    """Say before any training what lift to expect, as an interval, and whether to fine-tune, try a prompt or get more data first.

    The base answers 50 validation examples without training, with and without few-shot examples; the test examples are not looked at.
    The forecast is kept, and compared with the result by --calibration. What it rests on: docs/advise.md.
    """
    from pipeline.commands import calibration as calibrations

    if calibration == bool(recipe):
        raise RecipeError(
            "advise takes a recipe or --calibration, and not both.", "Run: loralift advise my.yaml, or loralift advise --calibration"
        )
    if calibration:
        calibrations.show(out, store_at(store))
        return
    advise(out, parse_call(recipe or [], store, machine, options))


def advise(screen: Console, call: Call) -> None:
    """Forecast every task of a recipe, and show it.

    Raises:
        RecipeError: there is nothing to forecast.
        MachineError, DataError, ModelError: the base cannot answer.
    """
    from pipeline.commands import advice_table

    rows = advice_jobs.advised(call.recipe, hashes=call.site.store.hashes)
    artifacts = carry_out(call, rows)
    for row in rows:
        screen.print()
        advice_table.show(screen, row, artifacts, call.recipe.cost.gpu_hour)


def carry_out(call: Call, rows: list[Advised]) -> dict[Job, Artifact]:
    """Make the forecasts and all that they need; finished jobs are reused."""
    jobs = in_run_order(advice_jobs.jobs_of(rows))
    artifacts = {job: find_artifact(call, job) for job in jobs}
    preflight.check(call.recipe, artifacts, call.site)
    if not call.options.is_confirmed:
        long_runs.confirm(artifacts, long_runs.card_of(call.site.machine, artifacts))
    log = RunLog(out, jobs, call.options.detail)
    observers = (log, Probes(jobs, call.site))

    def notify(event: str, job: Job, artifact: Artifact | None) -> None:
        for observer in observers:
            observer(event, job, artifact)

    finished = run(jobs, call.site, notify)
    log.finish()
    return finished
