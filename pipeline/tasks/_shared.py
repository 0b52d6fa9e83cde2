"""What the files of several tasks share."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from pipeline.data.task import ManualFile, Row, Source
from pipeline.errors import DataError

CONVERTED = "refs/convert/parquet"
"""The branch where the hub keeps Parquet copies of what a loading script once made."""


def converted(hub: str, split: str, folder: str, rows: int) -> Source:
    """A split of a data set whose main branch holds a loading script; folder: `<configuration>/<split>` on the branch of copies."""
    return Source(split, hub=hub, revision=CONVERTED, files=(f"{folder}/*.parquet",), rows=rows)


def cuttable(before: str, part: str, behind: str) -> tuple[str, dict[str, list[int]]]:
    """The prompt of three pieces, and the `extra` that says that the second may be cut."""
    return before + part + behind, {"cut": [len(before), len(before) + len(part)]}


def label(names: tuple[str, ...], value: int) -> str:
    """The name of a class; raises ValueError on a number that is none."""
    if not 0 <= value < len(names):
        raise ValueError(f"label {value!r} is none of 0 to {len(names) - 1}")
    return names[value]


def bracketed(text: str) -> list[tuple[str, str]]:
    """Names and values of `name[Blue Spice], near[Café Rouge]`, in their order."""
    return [(name.strip(), value.strip()) for name, value in re.findall(r"([^\W\d][\w ]*)\[([^\]]*)\]", text)]


def has(row: Row, column: str) -> Any:
    """What stands in a column that says which rows belong to a split; raises DataError where there is no such column."""
    if column not in row:
        known = ", ".join(row)
        raise DataError(f"there is no column {column} to tell the rows of the split by, only {known}.", "It may be another data set.")
    return row[column]


def tldr(split: str, code: str, rows: int) -> Source:
    """A split of TLDR News, of which both tldr tasks are made; code: what stands for it in the column `split`."""
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
    """A split of one of the GLUE tasks. Its test labels are hidden, so validation is what is held out."""
    return (Source(split, hub="nyu-mll/glue", config=config, revision=GLUE, rows=rows),)


def value(row: Row, column: str) -> Any:
    """What stands in a column; raises KeyError where nothing does."""
    found = row[column]
    if found is None:
        raise KeyError(column)
    return found


def words(row: Row, column: str) -> str:
    """The text of a column without blanks around it; raises DataError where it is no text or an empty one."""
    found = value(row, column)
    if not isinstance(found, str) or not found.strip():
        raise DataError(f"{column} is {found!r}, where a text is expected")
    return found.strip()


def numbered(row: Row, column: str, names: Sequence[str]) -> str:
    """The name of a class that is written as its number, counted from 0; raises DataError on any other (hidden labels are -1)."""
    found = value(row, column)
    if str(found) not in map(str, range(len(names))):
        raise DataError(f"{column} is {found!r}, and its labels are 0 to {len(names) - 1}")
    return names[int(found)]


def one_of(row: Row, column: str, names: Sequence[str]) -> str:
    """The class that a column spells out; raises DataError where there is no such class."""
    found = str(value(row, column)).strip()
    if found not in names:
        raise DataError(f"{column} is {found!r}, which is none of {', '.join(names)}")
    return found


def document(*texts: str) -> str:
    """A short name for the source document that these texts tell from others."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "backslashreplace")).hexdigest()[:16]
