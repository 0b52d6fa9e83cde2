"""What arms, general suites and figures are called in sentences."""

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


def signed(row: dict[str, Any]) -> str:
    """`+0.31 [0.27, 0.35]`."""
    return f"{row['value']:+.2f} [{row['low']:.2f}, {row['high']:.2f}]" if row["low"] is not None else f"{row['value']:+.2f}"
