"""Labels that are found."""

import re

from pipeline.metrics.base import MicroF1
from pipeline.metrics.words import normalise, strip_wrappers

BETWEEN = re.compile(r"[,;、，؛،\n]")
BULLET = re.compile(r"^\s*[-*•·▪◦–]\s+")


NUMBERED = re.compile(r"^\s*(\d{1,2})[.)]\s+(?=\S)")


def without_numbers(text: str) -> str:
    """A list of one item a line without its numbers, where they count from 1."""
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [NUMBERED.match(line) for line in lines]
    counts = [int(match[1]) for match in matches if match]
    is_numbered = len(lines) > 1 and counts == list(range(1, len(lines) + 1))
    return "\n".join(NUMBERED.sub("", line) for line in lines) if is_numbered else text


class SetF1(MicroF1):
    """Micro F1 over labels that a text lists with commas, semicolons or line breaks between them, in any order; case, blanks, quotes aside.

    A label named twice counts once. Where no label is expected every one that is found is an error, and none is right.
    """

    def items(self, text: str) -> set[tuple[str, str]]:
        parts = (BULLET.sub("", part) for part in BETWEEN.split(without_numbers(text)))
        return {("label", label) for part in parts if (label := normalise(strip_wrappers(part)))}
