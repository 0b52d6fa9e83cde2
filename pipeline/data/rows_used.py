"""Says how many rows of a source a split uses, and what became of the others, from the facts of `prepare`."""

from collections.abc import Mapping
from typing import Any

SPLIT_NAMES = {"heldout": "test"}
"""What a user reads for a split, where that is another word."""


def used(facts: Mapping[str, Any]) -> str:
    """`2,000 of 6,000 rows, and 100 for validation`."""
    validation = f", and {facts['dev']:,} for validation" if facts.get("dev") else ""
    return f"{facts['examples']:,} of {facts['rows']:,} rows{validation}"


def left_out(facts: Mapping[str, Any]) -> dict[str, int]:
    """How many rows are not used, by reason; the rows that the recipe does not ask for come last."""
    counts = {reason: count for reason, count in facts["dropped"].items() if count}
    copies = {
        "exact duplicates of test prompts": facts.get("overlap_exact", 0),
        "near-duplicates of test prompts": facts.get("overlap_near", 0),
    }
    others = {**copies, "not requested": facts.get("surplus", 0)}
    return counts | {reason: count for reason, count in others.items() if count}


def sentence(facts: Mapping[str, Any]) -> str:
    """`using 2,000 of 6,000 rows, and 100 for validation; left out: 12 too long, 3,888 not requested`."""
    reasons = listed(left_out(facts))
    return f"using {used(facts)}{f'; {reasons}' if reasons else ''}"


def listed(counts: Mapping[str, int]) -> str:
    """`left out: 12 too long, 3,888 not requested`; empty if there is none."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    return f"left out: {reasons}" if reasons else ""
