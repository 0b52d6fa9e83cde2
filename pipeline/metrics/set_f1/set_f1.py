"""Labels that are found."""

import re

from pipeline.metrics.base import MicroF1
from pipeline.metrics.words import normalise, strip_wrappers

BETWEEN = re.compile(r"[,;、，؛،\n]")
BULLET = re.compile(r"^\s*[-*•·▪◦–]\s+")


class SetF1(MicroF1):
    """Micro F1 over labels that a text lists with commas, semicolons or line breaks between them, in any order; case, blanks, quotes aside.

    A label named twice counts once. Where no label is expected every one that is found is an error, and none is right.
    """

    def items(self, text: str) -> set[tuple[str, str]]:
        return {("label", label) for part in BETWEEN.split(text) if (label := normalise(strip_wrappers(BULLET.sub("", part))))}
