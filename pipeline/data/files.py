"""Rows of local data files, each with the place where it stands.

Text files are read line by line here and not by `datasets`, which reads dates into timestamps and the CSV values 007 and NA into 7.0
and nothing, fills short CSV rows, takes mixed types, and names no line. Parquet and saved data sets have types of their own and come
through pyarrow and `datasets`.
"""

import csv
import gzip
import io
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from pipeline.data.task import Row
from pipeline.errors import DataError

KINDS = (".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be used: why, in the words it is counted by, and what stands there."""

    reason: str
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """One row of a split. Its id and place stay the same as long as the data do."""

    id: str
    place: str
    row: Row | Bad


@dataclass(frozen=True)
class Split:
    """One part of a data set, opened: what is known of it before its rows are read."""

    where: str
    columns: tuple[str, ...]
    total: int
    """Rows, the bad ones counted."""
    read: Callable[[], Iterator[Found]]
    facts: dict[str, Any] = field(default_factory=dict)
    """What tells which bytes these are: revision and fingerprint of a hub data set, path of a file."""


def open_file(path: Path, name: str, used: Collection[str] = ()) -> Split:
    """A file, or a folder that `Dataset.save_to_disk` wrote.

    Args:
        name: begins the ids of its rows.
        used: the columns that matter; their types are checked, and others need not be decoded. Empty: all, unchecked.

    Raises:
        DataError: it cannot be read. A row that cannot be used is no error but a Bad one.
    """
    if path.is_dir():
        return saved(path, name, used)
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    return {"parquet": parquet, "csv": csv_file}.get(kind, jsonl_file)(path, name, used)


def joined(where: str, parts: list[tuple[str, Split]]) -> Split:
    """Several splits read one after the other; the ids of each part begin with its mark, unless that is empty."""

    def read() -> Iterator[Found]:
        for mark, part in parts:
            for found in part.read():
                yield Found(f"{mark}-{found.id}", f"{mark} {found.place}", found.row) if mark else found

    facts = {name: value for _, part in parts for name, value in part.facts.items()}
    return Split(where, parts[0][1].columns, sum(part.total for _, part in parts), read, facts)


def numbered(rows: Iterable[Row], name: str) -> Iterator[Found]:
    return (Found(f"{name}-{number}", f"row {number}", row) for number, row in enumerate(rows, 1))


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a plain or gzipped file; what is wrong with them becomes a DataError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(IO[bytes], file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"{path} is no whole gzip file: {str(error).rstrip('.')}."
        raise DataError(problem, "It may have been cut off or renamed; copy or compress it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions and its disk.") from None


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    with reading(path) as file:
        for number, line in enumerate(file, 1):
            line = line.removeprefix(BOM) if number == 1 else line
            if line.strip():
                yield number, line


def jsonl_file(path: Path, name: str, used: Collection[str]) -> Split:
    """Two passes: the first finds columns and the type that most values of a column have."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    total = 0
    for _, line in lines(path):
        if not total and (line.lstrip().startswith(b"[") or line.strip() == b"{"):
            made = path.with_name(f"{path.name.split('.')[0]}.jsonl")
            raise DataError(
                f"{path} is one JSON document, not one object a line.", f"Convert a list of objects: jq -c '.[]' {path} > {made}"
            )
        total += 1
        row = json_row(line)
        for column, value in row.items() if isinstance(row, dict) else ():
            kinds[column][kind_of(value)] += value is not None
    usual = {column: kinds[column].most_common(1)[0][0] for column in used if column in kinds}

    def read() -> Iterator[Found]:
        for number, line in lines(path):
            row = json_row(line)
            yield Found(f"{name}-{number}", f"line {number}", row if isinstance(row, Bad) else typed(row, usual))

    return Split(str(path), tuple(kinds), total, read, {"file": str(path)})


def json_row(line: bytes) -> Row | Bad:
    try:
        row = DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Bad("malformed", f"not UTF-8 text from byte {error.start + 1} on: {short(line.decode('utf-8', 'replace'))}")
    except json.JSONDecodeError as error:
        return Bad("malformed", f"not JSON ({error.msg} at character {error.pos + 1}): {short(line.decode())}")
    except (ValueError, RecursionError) as error:
        return Bad("malformed", f"not JSON ({error}): {short(line.decode())}")
    return row if isinstance(row, dict) else Bad("malformed", f"{kind_of(row)} instead of an object: {short(line.decode())}")


def refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON value")


DECODER = json.JSONDecoder(parse_constant=refuse)
KIND_NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}


def kind_of(value: Any) -> str:
    return KIND_NAMES[type(value)]


def typed(row: Row, usual: dict[str, str]) -> Row | Bad:
    """The row, unless a column holds another kind of value than it usually does."""
    for column, kind in usual.items():
        value = row.get(column)
        if value is not None and kind_of(value) != kind:
            return Bad(
                "wrong type", f"{column} is {kind_of(value)}, where most rows have {kind}: {short(json.dumps(value, ensure_ascii=False))}"
            )
    return row


def csv_file(path: Path, name: str, used: Collection[str]) -> Split:
    del used  # every value of a CSV file is text
    records = csv_records(path)
    _, header = next(records, (1, []))
    columns, total = tuple(header), sum(1 for _ in records)
    if len(set(columns)) < len(columns) or not all(column.strip() for column in columns):
        raise DataError(
            f"{path} has equal or empty names in its header: {', '.join(map(repr, columns))}.", "Its first line must name every column."
        )
    if len(columns) == 1 and any(sign in columns[0] for sign in ";\t|"):
        raise DataError(f"{path} is not separated by commas: its header is {columns[0]!r}.", "Save it with commas.")

    def read() -> Iterator[Found]:
        for number, fields in islice(csv_records(path), 1, None):
            yield Found(f"{name}-{number}", f"line {number}", csv_row(columns, fields))

    return Split(str(path), columns, total, read, {"file": str(path)})


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the number of the line where it begins, from 1; the header is the first.

    Raises:
        DataError: a quote is out of place. What follows cannot be told apart, so nothing of the file is used.
    """
    csv.field_size_limit(1 << 24)
    with reading(path) as file, io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader, start = csv.reader(text, strict=True), 1
        try:
            for fields in reader:
                if fields:
                    yield start, fields
                start = reader.line_num + 1
        except csv.Error as error:
            remedy = 'Put a value that holds a comma, a quote or a line break in "quotes", and write a quote in it as "".'
            raise DataError(f"{path} line {start} is not CSV: {error}.", remedy) from None


def csv_row(columns: tuple[str, ...], fields: list[str]) -> Row | Bad:
    said = ",".join(fields)
    try:
        said.encode("utf-8")
    except UnicodeEncodeError as error:
        return Bad("malformed", f"not UTF-8 text from character {error.start + 1} on: {short(said.encode('utf-8', 'replace').decode())}")
    if len(fields) != len(columns):
        return Bad("malformed", f"the header has {len(columns)} columns, this row {len(fields)}: {short(said)}")
    return dict(zip(columns, fields, strict=True))


def parquet(path: Path, name: str, used: Collection[str]) -> Split:
    from pyarrow import ArrowException
    from pyarrow import parquet as files

    def fault(error: Exception) -> DataError:
        return DataError(
            f"{path} is no whole Parquet file: {first_line(error)}", "It may have been cut off or renamed; copy or write it again."
        )

    try:
        footer = files.read_metadata(path)
    except (ArrowException, OSError) as error:
        raise fault(error) from None
    columns = tuple(footer.schema.to_arrow_schema().names)

    def rows() -> Iterator[Row]:
        try:
            with files.ParquetFile(path) as file:
                for batch in file.iter_batches(1000, columns=[column for column in columns if column in used] if used else None):
                    yield from batch.to_pylist()
        except (ArrowException, OSError) as error:
            raise fault(error) from None

    return Split(str(path), columns, footer.num_rows, lambda: numbered(rows(), name), {"file": str(path)})


def saved(path: Path, name: str, used: Collection[str]) -> Split:
    import datasets

    try:
        held = datasets.load_from_disk(path)
    except Exception as error:
        raise DataError(f"{path} does not load as a saved data set: {first_line(error)}", "Save it again with save_to_disk.") from None
    return columnar(held, str(path), name, used)


def columnar(held: Any, where: str, name: str, used: Collection[str]) -> Split:
    """A split from a datasets.Dataset, read from its memory-mapped file."""
    columns = tuple(held.column_names)
    chosen = held.select_columns([column for column in columns if column in used]) if used else held
    return Split(where, columns, len(held), lambda: numbered(chosen, name), {"fingerprint": held._fingerprint})


def short(said: str, length: int = 80) -> str:
    """Text as it stands in a message: one line, and not too much of it."""
    said = " ".join(said.split())
    return said if len(said) <= length else f"{said[: length - 3]}..."


def first_line(error: BaseException) -> str:
    """What went wrong in the first place, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return short((str(error).splitlines() or [type(error).__name__])[0], 200)
