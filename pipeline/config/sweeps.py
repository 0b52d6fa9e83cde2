"""Defines the sweep of a recipe: a grid, a list of points or random draws, the points that it has, and what is refused of it."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from pipeline.config.draws import Draw, Values
from pipeline.config.methods import SWITCHES
from pipeline.config.validation_errors import spell_value

MAX_POINTS = 1000
WHOLE = ("references", "variants", "base_predictions", "sweep", "name")
"""Keys that hold for all points."""
RIVALS: dict[str, tuple[str, ...]] = {
    "finetune.alpha": ("finetune.alpha_per_rank",),
    "finetune.alpha_per_rank": ("finetune.alpha",),
    "finetune.method": tuple(f"finetune.{name}" for name in SWITCHES),
    **{f"finetune.{name}": ("finetune.method",) for name in SWITCHES},
}
"""Keys that set one thing in two ways: the later of them counts, and in one place there may be one only."""
Axes = Mapping[str, Sequence[Any]]
"""By swept key the values that it takes."""
Point = dict[str, Any]
"""By swept key its value at a point."""


def kind_of_sweep(sweep: object) -> str:
    return "points" if isinstance(sweep, list | tuple) else "grid"


Points = Annotated[list[Annotated[dict[str, Any], Field(min_length=1)]], Field(min_length=1)]
Sweep = Annotated[Annotated[dict[str, Values], Tag("grid")] | Annotated[Points, Tag("points")], Discriminator(kind_of_sweep)]


def with_numbers(sweep: Any, whole: Sequence[str]) -> Any:
    """The sweep with numbers in place of its draws: one drawn key is crossed with the lists, several are drawn together.

    Args:
        sweep: as validated.
        whole: keys that take whole numbers only.

    Raises:
        ValueError: keys that are drawn together have different numbers of samples.
    """
    draws = {} if isinstance(sweep, list) else {key: values for key, values in sweep.items() if isinstance(values, Draw)}
    if not draws:
        return sweep
    if len({draw.samples for draw in draws.values()}) > 1:
        counts = ", ".join(f"{key} {draw.samples}" for key, draw in draws.items())
        raise ValueError(f"sweep: keys are drawn together, so all have the same number of samples (it is {counts})")
    numbers = {key: draw.values(key, key in whole) for key, draw in draws.items()}
    if len(draws) == 1:  # equal draws of a whole number are one point
        return {key: list(dict.fromkeys(numbers[key])) if key in draws else values for key, values in sweep.items()}
    together = [dict(zip(numbers, values, strict=True)) for values in dict.fromkeys(zip(*numbers.values(), strict=True))]
    grid = grid_points({key: values for key, values in sweep.items() if key not in draws})
    return [{key: {**point, **draw}[key] for key in sweep} for point in grid for draw in together]


def grid_points(axes: Axes) -> list[Point]:
    """The product of all lists."""
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def points(sweep: Any) -> list[Point]:
    """The points of a sweep without draws; one without any key where nothing is swept."""
    return list(sweep) if isinstance(sweep, list) else grid_points(sweep)


def axes(sweep: Any) -> dict[str, list[Any]]:
    """By swept key its values, each once, in the order in which they come."""
    if not isinstance(sweep, list):
        return dict(sweep)
    values: dict[str, list[Any]] = {key: [] for key in sweep[0]}
    for point in sweep:
        for key, value in point.items():
            values[key] += [] if value in values[key] else [value]
    return values


def check_sweep(sweep: Any) -> None:
    """Raise ValueError, which pydantic reports, for a sweep that cannot be run."""
    keys = list(sweep[0] if isinstance(sweep, list) else sweep)
    for key in WHOLE:
        if key in keys:
            raise ValueError(f"sweep: {key} cannot be swept, since it belongs to the whole recipe")
    if clash := clashing(keys):
        raise ValueError(f"sweep: {clash[0]} and {clash[1]} set one thing in two ways. Keep one of them")
    count = len(sweep) if isinstance(sweep, list) else math.prod(map(len_of, sweep.values()))
    if count > MAX_POINTS:
        raise ValueError(f"sweep: it has {count:,} points, and at most {MAX_POINTS:,} are run")
    if isinstance(sweep, list):
        check_points(sweep, keys)
        return
    check_repeats("sweep", sweep)


def check_repeats(section: str, keys: Mapping[str, Any]) -> None:
    """Raise ValueError for a key that takes a value more than once."""
    for key, values in keys.items():
        if repeated := [] if isinstance(values, Draw) else repeats(values):
            raise ValueError(f"{section}: {key} takes {', '.join(map(spell_value, repeated))} more than once, and equal points are one")


def len_of(values: Any) -> int:
    """How many values a key takes."""
    return values.samples if isinstance(values, Draw) else len(values)


def check_points(sweep: Sequence[Point], keys: Sequence[str]) -> None:
    """Raise ValueError for points that do not all set the same keys, or are equal."""
    for number, point in enumerate(sweep, 1):
        if different := sorted(set(point) ^ set(keys)):
            has, which = ("sets", "the first point does not") if different[0] in point else ("lacks", "the first point has")
            raise ValueError(f"sweep: point {number} {has} {different[0]}, which {which}. All points set the same keys")
    if repeated := repeats([tuple(point[key] for key in keys) for point in sweep]):
        again = dict(zip(keys, repeated[0], strict=True))
        raise ValueError(f"sweep: {spell_value(again)} comes more than once, and equal points are one")


def repeats(values: Sequence[Any]) -> list[Any]:
    """The values that came before."""
    first: dict[Any, None] = {}
    repeated = []
    for value in values:
        key = value if isinstance(value, str | int | float) else repr(value)
        repeated += [value] if key in first else []
        first[key] = None
    return repeated


def clashing(keys: Sequence[str]) -> tuple[str, str] | None:
    """Two swept keys of which one sets what the other sets: a section and a key in it, or two names of one thing."""
    for key in keys:
        section = key.partition(".")[0]
        if section != key and section in keys:
            return section, key
        if rival := next((other for other in RIVALS.get(key, ()) if other in keys), ""):
            return key, rival
    return None


def without_rivals(section: str, keys: dict[str, Any], changes: Collection[str]) -> dict[str, Any]:
    """The keys of a section without those that say what one of the changes says in another way."""
    changed = {f"{section}.{name}" for name in changes}
    return {key: value for key, value in keys.items() if changed.isdisjoint(RIVALS.get(f"{section}.{key}", ()))}
