"""Declares the options that verbs of the command line share, and groups those that describe the machine and the run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.run_log import Detail
from pipeline.commands.verbs import usable_store
from pipeline.engine import tracking
from pipeline.errors import MachineError
from pipeline.machine import RESIDENCIES, Machine, check_device_name


def known_device(name: str) -> str:
    """The name, if there is such a device; nothing is loaded to see it unless CUDA is asked for.

    Raises:
        MachineError: there is none.
    """
    check_device_name(name)
    if name.startswith("cuda"):
        Machine(name).torch_device()
    return name


def known_residency(name: str) -> str:
    """The name, if weights can be held so.

    Raises:
        MachineError: they cannot.
    """
    if name not in RESIDENCIES:
        raise MachineError(f"--residency {name}: weights cannot be held so", f"Known: {', '.join(RESIDENCIES)}.")
    return name


RECIPE = typer.Argument(
    metavar="RECIPE [KEY=VALUE]...",
    help="A YAML file, or the name of a shipped recipe, as quickstart; keys replaced in it, as finetune.rank=32.",
)
RecipeArguments = Annotated[list[str], RECIPE]
OptionalRecipe = Annotated[list[str] | None, RECIPE]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder that holds data/ and checkpoints/.", callback=usable_store)]
UnsafeCode = Annotated[bool, typer.Option("--unsafe-code", help="Run generated code even if this machine has no sandbox for it.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.", callback=known_device)]
Tokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Tokens per forward pass, padding included (micro-batch size); unset: by device. Another value rounds otherwise: keep to one.",
    ),
]
Residency = Annotated[
    str,
    typer.Option(
        help="How 4-bit weights are held: packed, dequantized (the same values, faster), or auto: dequantized if memory allows.",
        callback=known_residency,
    ),
]
Track = Annotated[
    str,
    typer.Option(help="tensorboard, wandb or trackio: the training curves, and the scores of the report.", callback=tracking.check_tracker),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Do not ask before a run of more than two hours, by estimate for this card. In a pipe such a run else exits with 2.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="List cached jobs, too.")]
Retries = Annotated[
    int, typer.Option(min=0, metavar="N", help="Try a job up to N times more after a crash, too little memory or a disk that refuses.")
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going/--no-keep-going",
        help="When a job fails, run all that does not depend on it; the report names what is missing, and the exit code is 4.",
    ),
]
Partial = Annotated[bool, typer.Option("--partial", help="Write the page of the tasks that are finished, without a verdict.")]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="A smoke test: every stage on at most N examples per task, without a verdict, in the folder smoke/ of the store.",
    ),
]
GateFile = Annotated[
    Path | None,
    typer.Option("--gate", help="A YAML file of rules. Exit code 0: pass, 3: fail, 4: inconclusive, 5: a required task was not run."),
]


EveryEvalEver = Annotated[
    Path | None,
    typer.Option("--every-eval-ever", metavar="FOLDER", help="Write the scores as records of Every Eval Ever, too, a file for each model."),
]
Organization = Annotated[str, typer.Option("--organization", help="Who publishes these records.")]


@dataclass(frozen=True)
class RunOptions:
    """How a run asks and prints, and on how much of the data."""

    is_confirmed: bool = False
    """Whether a run of hours is meant, so that nobody is asked."""
    detail: Detail = "normal"
    limit: int | None = None
    """Examples per task, at most, of a smoke test."""
    retries: int = 0
    """Further tries of a job that fails by something that may pass."""
    keep_going: bool = False
    """Whether a job that fails ends only what depends on it."""


@dataclass(frozen=True)
class ReportOptions:
    """Which report of a recipe is meant."""

    is_partial: bool = False
    """Whether the report of some tasks will do where others are not finished."""
    limit: int | None = None
    """Examples per task, at most, of a smoke test."""
    records: Path | None = None
    """Where records of Every Eval Ever go; None: nowhere."""
    organization: str = "unknown"
    """Who publishes these."""


def machine_of(device: Device = "auto", tokens: Tokens = None, residency: Residency = "auto", track: Track = "") -> Machine:
    """The machine that the command-line options describe."""
    return Machine(device, tokens, residency, track)


def machine_of_comparison(
    device: Device = "auto", tokens: Tokens = None, residency: Residency = "auto", track: Track = "", unsafe_code: UnsafeCode = False
) -> Machine:
    """The same for a verb that scores answers, which may be programs."""
    return Machine(device, tokens, residency, track, unsafe_code=unsafe_code)


def run_options_of(
    yes: Yes = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    limit: Limit = None,
    retries: Retries = 0,
    keep_going: KeepGoing = False,
) -> RunOptions:
    """How a run asks, prints and fails, and on how much of the data, by the command-line options."""
    return RunOptions(yes, "quiet" if quiet else "verbose" if verbose else "normal", limit, retries, keep_going)


def sweep_options_of(
    yes: Yes = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    limit: Limit = None,
    retries: Retries = 0,
    keep_going: KeepGoing = True,
) -> RunOptions:
    """The same for a sweep, which goes on without a job that fails."""
    return run_options_of(yes, quiet, verbose, limit, retries, keep_going)


def output_options_of(quiet: Quiet = False, verbose: Verbose = False, limit: Limit = None) -> RunOptions:
    """The same for a verb that asks nothing."""
    return run_options_of(False, quiet, verbose, limit)


def report_options_of(
    partial: Partial = False, limit: Limit = None, every_eval_ever: EveryEvalEver = None, organization: Organization = "unknown"
) -> ReportOptions:
    """Which report is meant, by the command-line options."""
    return ReportOptions(partial, limit, every_eval_ever, organization)


def with_options(name: str, factory: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb the options of `factory` instead of its parameter `name`. Typer reads options from the signature only."""
    options = signature(factory).parameters

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = [parameter for parameter_name, parameter in signature(verb).parameters.items() if parameter_name != name]

        @wraps(verb)
        def command(**values: Any) -> None:
            built = factory(**{option: values.pop(option) for option in options})
            verb(**values, **{name: built})

        parameters = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*own, *options.values())]
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate
