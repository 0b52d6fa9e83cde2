"""Defines the debugging of programs in a recipe, and what it may name."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from pipeline.config.schema import Name, Section, Seed

Level = Literal["block", "line", "function"]
"""What a step of a trace is: a basic block, a line, or the call of a function."""
DEBUGGED_ARMS = ("base", "tuned")
"""Arms whose programs can be debugged, besides those of references."""


class Debug(Section):
    """Programs that fail a test of their prompt are traced, judged step by step and repaired, before they are scored as arms of their own.

    After LDB (Zhong et al. 2024, Findings of ACL, pp. 851-870); tasks whose answers are programs only.
    """

    arms: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Whose programs: `base`, `tuned` (of several training seeds the first), names of references; empty: nothing is debugged."""
    by: Name | None = None
    """The reference that judges and repairs; unset: the model that wrote the program."""
    level: Level = "block"
    """What the model judges: basic blocks, lines, or calls of functions, each with the values of its variables before and after."""
    rounds: Annotated[int, Field(ge=1, le=100)] = 10
    """Repairs of one program, at most."""
    max_new_tokens: PositiveInt = 512
    """Of the verdicts, and of a repaired program."""
    seed: Seed = 0
    """Of the choice among failing tests."""


def debug_fault(debug: Debug, references: Sequence[str], has_predictions_alone: bool) -> str:
    """What is wrong with the names in `debug`; empty if nothing is.

    Args:
        references: the names of the recipe's references.
        has_predictions_alone: whether no model answers in this recipe.
    """
    candidates = [*DEBUGGED_ARMS, *references]
    for key, names, allowed in (("arms", debug.arms, candidates), ("by", [debug.by] if debug.by else [], references)):
        if unknown := [name for name in names if name not in allowed]:
            return (
                f"debug.{key}: there is no {unknown[0]!r} to take. It can be {', '.join(allowed) or 'no model, as there are no references'}"
            )
    if debug.arms and has_predictions_alone:
        return "debug.arms: programs from files cannot be debugged, since no model is here to repair them. Leave debug out"
    return ""
