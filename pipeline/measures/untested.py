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
    if facts.get("keys") == []:
        return "no training answer is a JSON object, so there are no keys to name"
    prompts = facts.get("examples", 0)
    covered = prompts - facts.get("without_shots", 0) - facts.get("unkeyed", 0)  # an arm adds examples or keys, never both
    if covered < MIN_COVERAGE * prompts:
        return f"{'few-shot examples' if 'shots' in facts else 'the keys'} fit into only {covered:,} of {prompts:,} prompts"
    return ""
