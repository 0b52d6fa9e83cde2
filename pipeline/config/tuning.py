"""Defines which values of training are tuned on the validation loss, for every point of a sweep by itself, and what is refused of it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from pipeline.config import sweeps
from pipeline.config.draws import Draw, Values
from pipeline.config.finetune import Finetune
from pipeline.config.schema import Section
from pipeline.errors import RecipeError, suggest

KEY = "tune"
SECTION = "finetune."
MAX_VALUES = 100
"""Values that are tried at one point."""
FIXED: dict[str, str] = {
    "seeds": "seeds are replicates",
    "epochs": "every value is tried at an equal budget",
    "max_steps": "every value is tried at an equal budget",
    "dev_every": "it changes how often the validation loss is looked at",
    "keep": "it changes what the validation loss is of",
    "quantization": "it changes the base",
    "compute": "it changes the base",
}
"""Keys of `finetune` that no validation loss can choose, and why."""


class Tune(Section):
    """What is tuned: dotted keys of `finetune` with the values that are tried, as in a sweep, and how they are tried."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Values] = Field(init=False)
    sampler: Literal["tpe"] | None = None
    """`tpe`: Optuna chooses each value by the validation losses of those before (extra `loralift[tune]`); ranges are then ranges, and
    `samples` is the number of trials. Unset: the values as they are listed or drawn, every one with every other."""
    halving: int | None = Field(None, ge=2)
    """Successive halving: at each rung one in this many goes on, the others stop. With 2, eight values are trained for an eighth of the
    steps, four for a quarter, two for half, and one to the end. Unset: all to the end."""
    options: ClassVar[tuple[str, ...]] = ("halving", "sampler")

    @model_validator(mode="before")
    @classmethod
    def check_keys(cls, keys: Any) -> Any:
        for key in keys if isinstance(keys, Mapping) else ():
            if key in cls.options:
                continue
            name = str(key).removeprefix(SECTION)
            if not str(key).startswith(SECTION) or name not in Finetune.model_fields:
                words = [*cls.options, *(SECTION + field for field in Finetune.model_fields if field not in FIXED)]
                raise ValueError(f"tune: {key} is no key of finetune, and it can tune no others. {suggest(str(key), words)[:-1]}")
            if name in FIXED:
                raise ValueError(f"tune: {key} is no key to tune, since {FIXED[name]}")
        return keys

    @model_validator(mode="after")
    def check_values(self) -> "Tune":
        if not self.values:
            raise ValueError("tune: it names no key. Write tune: {finetune.learning_rate: [1e-4, 4e-4, 2e-3]}")
        if clash := sweeps.clashing(list(self.values)):
            raise ValueError(f"tune: {clash[0]} and {clash[1]} set one thing in two ways. Keep one of them")
        sweeps.check_repeats("tune", self.values)
        if self.sampler and self.halving:
            raise ValueError("tune: sampler: tpe tries one value after the other, and halving needs all from the start. Keep one of them")
        if self.sampler and not self.draws:
            raise ValueError(f"tune: sampler: {self.sampler} needs a range, as {{log_uniform: [1e-4, 1e-2], samples: 12}}")
        if self.halving and self.halving > self.count:
            raise ValueError(f"tune: halving is {self.halving}, and there are {self.count} values: one in {self.halving} is none")
        if not 2 <= self.count <= MAX_VALUES:
            raise ValueError(f"tune: {self.count} values would be tried at each point: give at least 2 and at most {MAX_VALUES}")
        return self

    @property
    def values(self) -> dict[str, Any]:
        """By key a list or a Draw."""
        return dict(self.__pydantic_extra__)

    @property
    def draws(self) -> dict[str, Draw]:
        return {key: values for key, values in self.values.items() if isinstance(values, Draw)}

    @property
    def count(self) -> int:
        """How many values are tried, as far as is known before they are drawn: equal draws of whole numbers are one."""
        if self.sampler:
            return max((draw.samples for draw in self.draws.values()), default=0)
        return len(self.candidates([]))

    def candidates(self, whole: Sequence[str]) -> list[sweeps.Point]:
        """The values that are tried, in order; of TPE the ends of its ranges with every listed value.

        Args:
            whole: keys that take whole numbers only.
        """
        if self.sampler:
            ends = {key: [draw.value(0, key in whole), draw.value(1, key in whole)] for key, draw in self.draws.items()}
            return sweeps.grid_points(self.values | ends)
        return sweeps.points(sweeps.with_numbers(self.values, whole))


def taken_out(raw: Mapping[str, Any], location: str) -> dict[str, Any]:
    """The keys of a recipe with `sweep: {tune: ...}` as a section of its own.

    Raises:
        RecipeError: it has both; begins with `location`.
    """
    sweep = raw.get("sweep")
    if not isinstance(sweep, dict) or KEY not in sweep:
        return dict(raw)
    if raw.get(KEY) is not None:
        raise RecipeError(f"{location}: tune is given twice, by itself and under sweep.", "Keep one of them.")
    return {**raw, "sweep": {key: values for key, values in sweep.items() if key != KEY}, KEY: sweep[KEY]}


def fault(tune: Tune, swept: Sequence[str], dev_examples: int, is_trained_here: bool) -> str:
    """What keeps a recipe from being tuned; empty if nothing does.

    Args:
        dev_examples: `prepare.dev_examples`.
        is_trained_here: whether nothing but what is trained here is compared.
    """
    if twice := next((key for key in tune.values if key in swept), ""):
        return f"tune: {twice} is swept too. Sweep it to compare its values, or tune it to give every point its best one"
    if clash := sweeps.clashing([*swept, *tune.values]):
        return f"tune: {clash[0]} and {clash[1]} set one thing in two ways. Keep one of them"
    if not is_trained_here:
        return f"tune: {next(iter(tune.values))} changes no variant, since it was trained elsewhere. Tune in a recipe without variants"
    if not dev_examples:
        return "tune: values are chosen by the loss of validation examples, and prepare.dev_examples is 0. Raise it"
    return ""


def size_fault(tune: Tune, points: int) -> str:
    """What is wrong with the number of trainings; empty if nothing is."""
    count = points * tune.count
    if count <= sweeps.MAX_POINTS:
        return ""
    return f"tune: {tune.count} values at {points:,} points are {count:,} trainings of each task, and at most {sweeps.MAX_POINTS:,} are run"
