"""Tells which arms changed nothing: their prompts are mostly those of the base, so they are neither scored, timed nor ranked."""

from collections.abc import Mapping
from typing import Any

MIN_COVERAGE = 0.9
"""Share of the prompts that must hold what the arm adds."""


def reason(facts: Mapping[str, Any]) -> str:
    """Why an arm was not tested; empty if it was.

    Args:
        facts: of a folder of `generate`.
    """
    if facts.get("most_shots") == 0:
        return "no few-shot example fits the context window"
    with_examples = facts["examples"] - facts.get("without_shots", 0) if "shots" in facts else facts.get("examples", 0)
    if "unkeyed" in facts:
        if not facts["keys"]:
            return "no training answer is a JSON object, so there are no keys to name"
        with_examples = facts["examples"] - facts["unkeyed"]
    if with_examples < MIN_COVERAGE * facts.get("examples", 0):
        what = "few-shot examples fit" if "shots" in facts else "the keys fit"
        return f"{what} into only {with_examples:,} of {facts['examples']:,} prompts"
    return ""
