"""Declares the type of what a report lacks for a verdict, as report.json holds it."""

from typing import Literal, TypedDict

NoVerdictKind = Literal["not finished", "smoke test"]


class Preliminary(TypedDict):
    """Why a report has no verdict: it is not final."""

    kind: NoVerdictKind
    limit: int | None
    """Examples per task, at most, of a smoke test."""
    unfinished: list[str]
    """The tasks and points of the sweep without a result."""
    reasons: list[str]
    """Of each of these what failed and why; empty where nothing has failed yet."""
    sentence: str
