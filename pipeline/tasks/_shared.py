"""Helpers that several tasks share."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from pipeline.data.task import ManualFile, Row, Source
from pipeline.data.templates import whole_number
from pipeline.errors import DataError
from pipeline.scoring import json_reader, parsers
from pipeline.store.records import Example

CONVERTED = "refs/convert/parquet"
"""The hub's branch with Parquet copies of data sets that need a loading script."""


def converted(hub: str, split: str, folder: str, rows: int) -> Source:
    """A split of a data set whose main branch holds a loading script; folder: `<configuration>/<split>` on the branch of copies."""
    return Source(split, hub=hub, revision=CONVERTED, files=(f"{folder}/*.parquet",), rows=rows)


def cuttable(before: str, part: str, after: str) -> tuple[str, dict[str, list[int]]]:
    """A prompt of three parts, and the `extra` that allows truncating the middle one."""
    return before + part + after, {"cut": [len(before), len(before) + len(part)]}


def label(names: tuple[str, ...], value: int) -> str:
    """The name of a class. Raises ValueError for a number out of range."""
    if not 0 <= value < len(names):
        raise ValueError(f"label {value!r} is none of 0 to {len(names) - 1}")
    return names[value]


def bracketed(text: str) -> list[tuple[str, str]]:
    """(name, value) pairs of `name[Blue Spice], near[Café Rouge]`, in order."""
    return [(name.strip(), value.strip()) for name, value in re.findall(r"([^\W\d][\w ]*)\[([^\]]*)\]", text)]


def has(row: Row, column: str) -> Any:
    """The value of a column that tells splits apart. Raises DataError if there is no such column."""
    if column not in row:
        columns = ", ".join(row)
        raise DataError(f"there is no column {column} to tell the rows of the split by, only {columns}.", "It may be another data set.")
    return row[column]


def tldr(split: str, code: str, rows: int) -> Source:
    """A split of TLDR News, for both tldr tasks; code: its value in the column `split`."""
    file = ManualFile(
        path="tldr_news_full.csv.gz",
        page="https://github.com/ludwig-ai/datasets",
        how="TLDRNews/tldr_news_full.csv.gz",
        url="https://raw.githubusercontent.com/ludwig-ai/datasets/main/TLDRNews/tldr_news_full.csv.gz",
    )
    return Source(split, manual_file=file, keep=lambda row: has(row, "split") == code, rows=rows)


GLUE = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
"""Commit of nyu-mll/glue: plain Parquet files, a folder for each configuration. SemanticQA's benchmark loads it with datasets 5."""


def glue(config: str, split: str, rows: int) -> tuple[Source, ...]:
    """A split of a GLUE task. Test labels are hidden, so validation is held out."""
    return (Source(split, hub="nyu-mll/glue", config=config, revision=GLUE, rows=rows),)


def value(row: Row, column: str) -> Any:
    """The value of a column. Raises KeyError if it is missing or null."""
    cell = row[column]
    if cell is None:
        raise KeyError(column)
    return cell


def words(row: Row, column: str) -> str:
    """The stripped text of a column. Raises DataError if it is empty or not a string."""
    text = value(row, column)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{column} is {text!r}, where a text is expected")
    return text.strip()


def numbered(row: Row, column: str, names: Sequence[str]) -> str:
    """The name of a class given as its number, from 0. Raises DataError for any other value (hidden labels are -1)."""
    cell = value(row, column)
    number = None if isinstance(cell, bool) else whole_number(cell)
    if number is None or not 0 <= number < len(names):
        raise DataError(f"{column} is {cell!r}, and its labels are 0 to {len(names) - 1}")
    return names[number]


def one_of(row: Row, column: str, names: Sequence[str]) -> str:
    """The class that a column names. Raises DataError if there is no such class."""
    name = str(value(row, column)).strip()
    if name not in names:
        raise DataError(f"{column} is {name!r}, which is none of {', '.join(names)}")
    return name


def entity_lists(text: str, example: Example) -> str | None:
    """The dictionary in a text, in JSON's or Python's spelling, as JSON; null means none, as an empty list does."""
    spelled = parsers.json(text, example)
    if spelled is None:
        return None
    return json_reader.canonical_json({name: [] if entities is None else entities for name, entities in json.loads(spelled).items()})


def document(*texts: str) -> str:
    """A short id of the source document that these texts identify."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "backslashreplace")).hexdigest()[:16]
