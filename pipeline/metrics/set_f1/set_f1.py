"""Labels that are found."""

import ast
import re
from contextlib import suppress

from pipeline.metrics.base import MicroF1
from pipeline.metrics.words import normalise, strip_wrappers

BETWEEN = re.compile(r"[,;、，؛،\n]")
BULLET = re.compile(r"^\s*[-*•·▪◦–]\s+")
LIST = re.compile(r"\s*\[.*\]\s*\Z", re.DOTALL)
NUMBERED = re.compile(r"^\s*(\d{1,2})[.)]\s+(?=\S)")


def without_numbers(text: str) -> str:
    """A list of one item a line without its numbers, where they count from 1."""
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [NUMBERED.match(line) for line in lines]
    counts = [int(match[1]) for match in matches if match]
    is_numbered = len(lines) > 1 and counts == list(range(1, len(lines) + 1))
    return "\n".join(NUMBERED.sub("", line) for line in lines) if is_numbered else text


def listed(text: str) -> list[str]:
    """The entries of a text, which may be a list in JSON or Python."""
    if LIST.match(text):
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            entries = ast.literal_eval(text.strip())
            if all(isinstance(entry, str | int | float) for entry in entries):
                return [str(entry) for entry in entries]
    return [BULLET.sub("", part) for part in BETWEEN.split(without_numbers(text))]


class SetF1(MicroF1):
    """Micro F1 over labels that a text lists with commas, semicolons or line breaks between them, in any order; case, blanks, quotes aside.

    A label named twice counts once. Where no label is expected every one that is found is an error, and none is right.
    """

    def items(self, text: str) -> set[tuple[str, str]]:
        return {("label", label) for part in listed(text) if (label := normalise(strip_wrappers(part)))}
