"""Declares the options by which a run goes to a Ray cluster, and adds them to those of a machine."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from pipeline.cluster.address import LOCAL, check_where, knock_early
from pipeline.commands.options import known_device
from pipeline.errors import MachineError
from pipeline.machine import Machine, check_device_name

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1. On a cluster Ray assigns the cards: auto, cpu or cuda.")]
Place = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="PLACE",
        help="local, or a Ray cluster: auto (the one that this machine is part of), ray://HOST:10001 or HOST:6379; see docs/cluster.md.",
        callback=check_where,
    ),
]
MaxJobs = Annotated[
    int | None, typer.Option("--max-jobs", min=1, metavar="N", help="Jobs on weights at a time on a cluster; unset: as many as it takes.")
]


def placed(factory: Callable[..., Machine]) -> Callable[..., Machine]:
    """The factory of a machine, with the options by which its jobs run elsewhere; the device is one of the place's."""

    @wraps(factory)
    def build(device: str = "auto", place: str = LOCAL, max_jobs: int | None = None, **options: Any) -> Machine:
        check_device_name(device)
        if place != LOCAL:
            knock_early(place)
        elif max_jobs is not None:
            raise MachineError("--max-jobs bounds the jobs on a cluster, and --where names none", "Leave it out; here jobs run one by one.")
        else:
            known_device(device)
        return replace(factory(device, **options), place=place, max_jobs=max_jobs)

    own = [parameter for name, parameter in signature(factory).parameters.items() if name != "device"]
    added = {"device": (Device, "auto"), "place": (Place, LOCAL), "max_jobs": (MaxJobs, None)}
    rows = [Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind) for name, (kind, default) in added.items()]
    parameters = [rows[0], *(parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own), *rows[1:]]
    build.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return build
