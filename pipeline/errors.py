"""Errors that the user can fix. The command line prints them in a few lines and exits with 2, without a traceback.

UserError
  RecipeError      the recipe asks for something that the pipeline cannot do
  DataError        a data set or one of its rows cannot be used
  ModelError       a base model or an adapter cannot be used
  ArtifactError    a file on disk is missing, half written or altered
  MachineError     this computer lacks something that the work needs
    OutOfMemoryError  a job does not fit into memory beside what else is there
    DiskError         a disk refuses: it is full, read-only, or away
    ClusterError      a cluster is lost, or has no node left
  TrainingError    a run cannot give a usable adapter: NaN, nothing to learn from, frozen loss
  ComparisonError  the answers cannot be compared: a dead adapter, a missing prediction
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """What is wrong and where, with the value; then the remedy."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}\n  {remedy}" if remedy else problem)
        self.problem, self.remedy = problem, remedy

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)


class RecipeError(UserError): ...


class DataError(UserError): ...


class ModelError(UserError): ...


class ArtifactError(UserError): ...


class MachineError(UserError): ...


class OutOfMemoryError(MachineError): ...


class DiskError(MachineError): ...


class ClusterError(MachineError): ...


class TrainingError(UserError): ...


class DivergedError(TrainingError):
    """The loss is not finite, or the gradient vanished after some steps; with other values of training this may not be so."""


class ComparisonError(UserError): ...


def suggest(word: str, words: Iterable[str]) -> str:
    """A remedy that names the nearest of the words, or all of them."""
    words = sorted(set(words))
    near = get_close_matches(word, words, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(words)}."
