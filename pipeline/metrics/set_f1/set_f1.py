"""Labels that are found."""

import ast
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from pipeline.metrics.base import MicroF1
from pipeline.metrics.words import KEYED, normalise, strip_wrappers

BETWEEN = re.compile(r"[,;、，؛،\n]")
BULLET = re.compile(r"^\s*[-*•·▪◦–]\s+")
LIST = re.compile(r"\s*\[.*\]\s*\Z", re.DOTALL)
CONJUNCTION = re.compile(r"(?:^|\s+)(?:and|or|&|und|oder|et|ou|y|o|e|и|или)(?:\s+|$)")
BRACKETED = re.compile(r"\s*(?:\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\})\s*\Z")
"""Brackets around the whole of a list."""
NUMBERED = re.compile(r"^\s*(\d{1,2})[.)]\s+(?=\S)")


INLINE_NUMBER = re.compile(r"^\(?\d{1,2}[.)]\s*(?=\S)")
REMARK = re.compile(r"\s*\([^()]*\)$")
STATED = re.compile(r"^.{0,40}\b(?:is|are|=|->)\s+(?=\S)")
SLASH = re.compile(r"\s*[/|]\s*")
GROUNDS = re.compile(r"\n\s*\**(?:explanation|reason|reasoning|rationale|justification|note)\b\**\s*:.*", re.DOTALL | re.IGNORECASE)
"""What follows a list without being part of it."""


def without_numbers(text: str) -> str:
    """A list of one item a line without its numbers, where they count from 1."""
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [NUMBERED.match(line) for line in lines]
    counts = [int(match[1]) for match in matches if match]
    is_numbered = bool(lines) and counts == list(range(1, len(lines) + 1))
    return "\n".join(NUMBERED.sub("", line) for line in lines) if is_numbered else text


def listed(text: str) -> list[str]:
    """The entries of a text, which may be a list in JSON or Python, or an object of one; grounds on lines of their own are none."""
    text = GROUNDS.sub("", text) or text
    text = keyed[1] if (keyed := KEYED.fullmatch(text.strip())) else text
    if LIST.match(text):
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            entries = ast.literal_eval(text.strip())
            if all(isinstance(entry, str | int | float) for entry in entries):
                return [str(entry) for entry in entries]
    if BRACKETED.match(text):
        text = text.strip()[1:-1]
    return [BULLET.sub("", part) for part in BETWEEN.split(without_numbers(text))]


def apart(label: str, vocabulary: Collection[str]) -> list[str]:
    """The labels of an entry such as `a and b`, `a/b`, `labels: a`, `the labels are a`, `2) a` or `a (a remark)`.

    The entry itself where it is a label or no part of it is.
    """
    if label in vocabulary or not vocabulary:
        return [label]
    bare = strip_wrappers(REMARK.sub("", INLINE_NUMBER.sub("", label)))
    forms = dict.fromkeys([label, bare, bare.rpartition(":")[2].strip(" *_`"), STATED.sub("", bare)])
    splits = [[form] for form in forms]
    splits += [[part for part in separator.split(form) if part] for separator in (CONJUNCTION, SLASH) for form in forms]
    for parts in splits:
        if parts and all(part in vocabulary for part in parts):
            return parts
    return next((parts for parts in splits if any(part in vocabulary for part in parts)), [label])


def labels_of(entries: Collection[str], vocabulary: Collection[str]) -> set[str]:
    """The labels of all entries; one that only announces others, as `here are the labels:`, is none beside them."""
    labels = {label for entry in entries for label in apart(entry, vocabulary)}
    return {label for label in labels if label in vocabulary or not label.endswith(":")} or labels


class SetF1(MicroF1):
    """Micro F1 over labels that a text lists with commas, semicolons or line breaks between them, in any order; case, blanks, quotes aside.

    A label named twice counts once. Where no label is expected every one that is found is an error, and none is right.
    `a, b and c` are three labels if one of them is a label of the references, and `b and c` is none.
    """

    def __init__(self, **options: Any) -> None:
        self.vocabulary: frozenset[str] = frozenset()
        super().__init__(**options)

    def items(self, text: str) -> set[tuple[str, str]]:
        entries = [label for part in listed(text) if (label := normalise(strip_wrappers(part)))]
        return {("label", label) for label in labels_of(entries, self.vocabulary)}

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        self.vocabulary = frozenset()
        self.vocabulary = frozenset(label for reference in references for _, label in self.items(reference))
        return super()._compute(predictions, references, per_example, statistics)
