"""Composes and parses the names of job inputs, which are part of an artifact's key. No other file does.

A comparison reads `heldout` and `train` (examples), `slices`, the predictions of arms (`base`, `tuned<seed>`, `arm.<arm>`,
`reference.<model>`), `relevance.<arm>`, and other-task suites (`general.paragraphs`, and `general.<task>.` with `heldout`, `base` or
`tuned`). A report reads the same of every cell, with `adapter<seed>`, `spectrum<seed>`, `speed`, `overlap`, `selection` and
`comparison`, as `<cell>.<name>`.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from pipeline import arms

Single = Literal["heldout", "train", "adapter", "spectrum", "speed", "overlap", "slices", "selection", "comparison"]
"""Roles of which a task has one input (of `adapter` and `spectrum` one per training seed); their names are their own."""
Role = Single | Literal["predictions", "relevance", "losses"]
CELL = re.compile(r"(?P<cell>cell\d+)\.(?P<name>.+)")
SUITE = re.compile(r"general\.(?P<suite>.+)\.(?P<part>heldout|base|tuned)")
SEEDED = re.compile(r"(?P<kind>adapter|tuned|spectrum)(?P<seed>\d+)")


@dataclass(frozen=True)
class InputName:
    """What a folder is to the job that reads it."""

    role: Role
    arm: str = ""
    """Whose predictions or relevance, as `pipeline.arms` names it."""
    seed: int | None = field(default=None, kw_only=True)
    """Training seed of an adapter, or of predictions of tuned, where there is one folder per seed."""
    suite: str = field(default="", kw_only=True)
    """The other-task suite that it belongs to; empty for the task itself."""
    cell: str = field(default="", kw_only=True)
    """The cell of a report that it belongs to."""

    def __str__(self) -> str:
        return f"{self.cell}.{self.in_cell()}" if self.cell else self.in_cell()

    def in_cell(self) -> str:
        """The name without its cell."""
        if self.role == "losses":
            return f"general.{self.suite}"
        if self.suite:
            return f"general.{self.suite}.{self.arm or self.role}"
        if self.role == "relevance":
            return f"relevance.{self.arm}"
        if self.role == "predictions" and self.arm not in ("base", "tuned"):
            return self.arm if arms.find(self.arm).reference else f"arm.{self.arm}"
        return f"{self.arm or self.role}{'' if self.seed is None else self.seed}"

    def of_cell(self, cell: str) -> "InputName":
        return replace(self, cell=cell)


def parse(text: str) -> InputName:
    """The inverse of str().

    Raises:
        ValueError: no input has such a name.
    """
    if match := CELL.fullmatch(text):
        return parse(match["name"]).of_cell(match["cell"])
    if match := SEEDED.fullmatch(text):
        seed = int(match["seed"])
        by_kind = {"adapter": InputName("adapter"), "spectrum": InputName("spectrum"), "tuned": InputName("predictions", "tuned")}
        return replace(by_kind[match["kind"]], seed=seed)
    if match := SUITE.fullmatch(text):
        is_heldout = match["part"] == "heldout"
        return InputName("heldout" if is_heldout else "predictions", "" if is_heldout else match["part"], suite=match["suite"])
    return parse_unseeded(text)


def parse_unseeded(text: str) -> InputName:
    for role in get_args(Single):
        if text == role:
            return InputName(role)
    if text == "base" or arms.find(text).reference:
        return InputName("predictions", text)
    kind, _, name = text.partition(".")
    match kind:
        case "arm" if name:
            return InputName("predictions", name)
        case "relevance" if name:
            return InputName("relevance", name)
        case "general" if name:
            return InputName("losses", suite=name)
    raise ValueError(f"no input is called '{text}'")
