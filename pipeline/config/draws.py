"""Defines the values that a swept or a tuned key takes: a list, or random draws from a range."""

import random
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.config.schema import PositiveInt, Section, Seed
from pipeline.config.validation_errors import spell_value

DIGITS = 3
"""Significant digits of a drawn number, so that a recipe, a page and a command line hold the same one."""


class Draw(Section):
    """Random values of a swept key. The first draws stay the same when `samples` grows."""

    uniform: Annotated[tuple[float, float] | None, Field(strict=False)] = None
    """The ends of a range in which every value is as likely."""
    log_uniform: Annotated[tuple[float, float] | None, Field(strict=False)] = None
    """The same for the logarithm of the value: for learning rates and ranks."""
    samples: PositiveInt
    """How many values are drawn."""
    seed: Seed = 0
    """Of the draws."""

    @model_validator(mode="after")
    def check_range(self) -> "Draw":
        ranges = {name: ends for name in ("uniform", "log_uniform") if (ends := getattr(self, name)) is not None}
        if len(ranges) != 1:
            raise ValueError("sweep: a draw needs either uniform or log_uniform: two numbers, the smaller first")
        ((name, (low, high)),) = ranges.items()
        if low >= high or (name == "log_uniform" and low <= 0):
            floor = " above zero" if name == "log_uniform" else ""
            raise ValueError(f"sweep: {name} needs two numbers{floor}, the smaller first (it is {spell_value([low, high])})")
        return self

    def values(self, key: str, whole: bool) -> list[float] | list[int]:
        """The draws for a key.

        Args:
            whole: whether the key takes whole numbers only.
        """
        numbers = random.Random(f"{self.seed} {key}")  # of a text: the same on every machine and Python
        return [self.value(numbers.random(), whole) for _ in range(self.samples)]

    def value(self, share: float, whole: bool) -> float:
        """The value below which this share of all draws lies."""
        low, high = self.log_uniform or self.uniform or (0.0, 0.0)
        value = low * (high / low) ** share if self.log_uniform else low + (high - low) * share
        return round(value) if whole else self.rounded(value)

    @staticmethod
    def rounded(value: float) -> float:
        return float(f"{value:.{DIGITS}g}")


def kind_of_values(values: object) -> str:
    return "draw" if isinstance(values, dict | Draw) else "list"


Values = Annotated[Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[Draw, Tag("draw")], Discriminator(kind_of_values)]
"""The values of a swept key."""
