"""Reads the shipped paragraphs of plain English. They belong to no task, so a change of their loss is a side effect of the adapter."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.errors import DataError
from pipeline.resources import shipped
from pipeline.store.artifact import file_hash

PARAGRAPHS = "paragraphs"
"""The name of the suite of paragraphs of plain English."""
FILE = shipped("data/general/paragraphs.jsonl")
MISSING = "It ships with loralift: check it out or install it again."


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text that belongs to no task."""

    id: str
    subject: str
    text: str


def digest() -> str:
    """sha256 of the file of paragraphs, in hexadecimal.

    Raises:
        DataError: the file is missing.
    """
    try:
        return file_hash(FILE)
    except OSError as error:
        raise DataError(f"{FILE} cannot be read: {error.strerror or error}.", MISSING) from None


def paragraphs() -> list[Paragraph]:
    """All of them, in the order of the file.

    Raises:
        DataError: the file is not there or empty, a line is not {id, topic, text}, a text is blank or an id appears twice.
    """
    digest()
    lines = FILE.read_text("utf-8").split("\n")
    parsed = [paragraph(number, line) for number, line in enumerate(lines, 1) if line]
    if not parsed:
        raise DataError(f"{FILE} holds no paragraph.", MISSING)
    seen: set[str] = set()
    for item in parsed:
        if item.id in seen:
            raise DataError(f"{FILE}: the id {item.id} appears twice.", MISSING)
        seen.add(item.id)
    return parsed


def paragraph(number: int, line: str) -> Paragraph:
    try:
        row: dict[str, Any] = json.loads(line)
        parsed = Paragraph(row["id"], row["topic"], row["text"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{FILE}, line {number} is not an object with id, topic and text: {line[:80]}", MISSING) from None
    if not isinstance(parsed.text, str) or not parsed.text.strip():
        raise DataError(f"{FILE}, line {number}: the text of {parsed.id} is empty.", MISSING)
    return parsed
