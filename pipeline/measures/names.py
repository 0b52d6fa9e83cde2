"""What arms, general suites and figures are called in sentences."""

import math
from collections.abc import Mapping
from typing import Any

ARMS = {
    "base": "the base",
    "base_fewshot": "the base with examples in its prompt",
    "base_constrained": "the base held to its form",
    "tuned": "the fine-tune",
}
SUITES = {"paragraphs": "plain English"}


def arm(name: str) -> str:
    return ARMS.get(name, name.removeprefix("reference."))


def suite(name: str) -> str:
    return SUITES.get(name, name)


def digits(low: float | None, high: float | None) -> int:
    """Decimals that an interval deserves: two digits of its width, as many as tell its ends from zero, at least 2, at most 4."""
    width = (high or 0.0) - (low or 0.0)
    places = max(2, math.floor(1 - math.log10(width))) if width > 0 else 2
    while places < 4 and any(end and not round(end, places) for end in (low, high)):
        places += 1
    return min(4, places)


def signed(row: dict[str, Any]) -> str:
    """`+0.31 [0.27, 0.35]`."""
    places = digits(row["low"], row["high"])
    return f"{row['value']:+.{places}f}" + (f" [{row['low']:.{places}f}, {row['high']:.{places}f}]" if row["low"] is not None else "")


def margin(claim: Mapping[str, Any]) -> str:
    """The margin of a claim on a general suite, with its unit: nats a token of a loss, none of a score."""
    return f"{claim['margin']:g}{' nats a token' if claim['subject'] == 'paragraphs' else ''}"
