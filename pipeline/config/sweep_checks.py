"""Refuses sweeps that cannot be run: keys that belong to the whole recipe, too many points, equal points."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from pipeline.config.validation_errors import spell_value

MAX_POINTS = 1000
WHOLE = ("references", "variants", "base_predictions", "sweep", "name")
"""Keys that hold for all points."""


def check_sweep(sweep: Mapping[str, Sequence[Any]]) -> None:
    """Raise ValueError, which pydantic reports, for a sweep that cannot be run."""
    for key in WHOLE:
        if key in sweep:
            raise ValueError(f"sweep: {key} cannot be swept, since it belongs to the whole recipe")
    points = prod(map(len, sweep.values()))
    if points > MAX_POINTS:
        raise ValueError(f"sweep: it has {points:,} points, and at most {MAX_POINTS:,} are run")
    for key, values in sweep.items():
        if repeated := [spell_value(value) for position, value in enumerate(values) if value in values[:position]]:
            raise ValueError(f"sweep: {key} takes {', '.join(repeated)} more than once, and equal points are one")
