"""Reads rows of local data files, each with its location (line or row number).

Text files are read line by line here and not by `datasets`, which turns dates into timestamps and the CSV values 007 and NA into 7.0
and null, pads short CSV rows, accepts mixed types, and reports no line numbers. Parquet files and saved data sets carry their own
types and are read by pyarrow and `datasets`.
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
from pipeline.store.records import reject_constant

FILE_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: the reason it is counted under, and the offending value."""

    reason: str
    value: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a split. Its id and location depend on the data alone."""

    id: str
    location: str
    row: Row | BadRow


@dataclass(frozen=True)
class Split:
    """One split of a data set, opened: its columns and size, before its rows are read."""

    location: str
    columns: tuple[str, ...]
    total: int
    """Number of rows, bad ones included."""
    read: Callable[[], Iterator[SourceRow]]
    facts: dict[str, Any] = field(default_factory=dict)
    """Identifies the bytes: revision and fingerprint of a hub data set, path of a file."""


def open_file(path: Path, name: str, used: Collection[str] = ()) -> Split:
    """A file, or a folder that `Dataset.save_to_disk` wrote.

    Args:
        name: prefix of its row ids.
        used: the columns that matter; their types are checked, and others need not be decoded. Empty: all, unchecked.

    Raises:
        DataError: the file cannot be read. A single unusable row becomes a BadRow instead.
    """
    if path.is_dir():
        return open_saved(path, name, used)
    suffix = path.name.removesuffix(".gz").rpartition(".")[2]
    return {"parquet": open_parquet, "csv": open_csv}.get(suffix, open_jsonl)(path, name, used)


def concatenate(location: str, parts: list[tuple[str, Split]]) -> Split:
    """Several splits read in sequence; the row ids of a part begin with its mark, unless that is empty."""

    def read() -> Iterator[SourceRow]:
        for mark, part in parts:
            for row in part.read():
                yield SourceRow(f"{mark}-{row.id}", f"{mark} {row.location}", row.row) if mark else row

    facts = {name: value for _, part in parts for name, value in part.facts.items()}
    return Split(location, parts[0][1].columns, sum(part.total for _, part in parts), read, facts)


def numbered_rows(rows: Iterable[Row], name: str) -> Iterator[SourceRow]:
    return (SourceRow(f"{name}-{number}", f"row {number}", row) for number, row in enumerate(rows, 1))


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or gzipped file; read errors become a DataError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(IO[bytes], file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"{path} is no whole gzip file: {str(error).rstrip('.')}."
        raise DataError(problem, "It may have been cut off or renamed; copy or compress it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions and its disk.") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, numbered from 1."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            line = line.removeprefix(BOM) if number == 1 else line
            if line.strip():
                yield number, line


def open_jsonl(path: Path, name: str, used: Collection[str]) -> Split:
    """Two passes: the first collects the columns and the usual type of their values."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    total = 0
    for _, line in numbered_lines(path):
        if not total and (line.lstrip().startswith(b"[") or line.strip() == b"{"):
            converted = path.with_name(f"{path.name.split('.')[0]}.jsonl")
            raise DataError(
                f"{path} is one JSON document, not one object a line.", f"Convert a list of objects: jq -c '.[]' {path} > {converted}"
            )
        total += 1
        row = parse_json_row(line)
        for column, value in row.items() if isinstance(row, dict) else ():
            types[column][type_name(value)] += value is not None
    usual_types = {column: types[column].most_common(1)[0][0] for column in used if column in types}

    def read() -> Iterator[SourceRow]:
        for number, line in numbered_lines(path):
            row = parse_json_row(line)
            yield SourceRow(f"{name}-{number}", f"line {number}", row if isinstance(row, BadRow) else check_types(row, usual_types))

    return Split(str(path), tuple(types), total, read, {"file": str(path)})


def parse_json_row(line: bytes) -> Row | BadRow:
    try:
        row = DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRow("malformed", f"not UTF-8 text from byte {error.start + 1} on: {shorten(line.decode('utf-8', 'replace'))}")
    except json.JSONDecodeError as error:
        return BadRow("malformed", f"not JSON ({error.msg} at character {error.pos + 1}): {shorten(line.decode())}")
    except (ValueError, RecursionError) as error:
        return BadRow("malformed", f"not JSON ({error}): {shorten(line.decode())}")
    return row if isinstance(row, dict) else BadRow("malformed", f"{type_name(row)} instead of an object: {shorten(line.decode())}")


DECODER = json.JSONDecoder(parse_constant=reject_constant)
TYPE_NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}


def type_name(value: Any) -> str:
    return TYPE_NAMES[type(value)]


def check_types(row: Row, usual_types: dict[str, str]) -> Row | BadRow:
    """The row, or a BadRow if a column holds another type than it usually does."""
    for column, expected in usual_types.items():
        value = row.get(column)
        if value is not None and type_name(value) != expected:
            return BadRow(
                "wrong type",
                f"{column} is {type_name(value)}, where most rows have {expected}: {shorten(json.dumps(value, ensure_ascii=False))}",
            )
    return row


def open_csv(path: Path, name: str, used: Collection[str]) -> Split:
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

    def read() -> Iterator[SourceRow]:
        for number, fields in islice(csv_records(path), 1, None):
            yield SourceRow(f"{name}-{number}", f"line {number}", parse_csv_row(columns, fields))

    return Split(str(path), columns, total, read, {"file": str(path)})


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, header first, each with the number of its first line, from 1.

    Raises:
        DataError: a quote is out of place. No record after it can be trusted, so the whole file is refused.
    """
    csv.field_size_limit(1 << 24)
    with open_bytes(path) as file, io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader, start = csv.reader(text, strict=True), 1
        try:
            for fields in reader:
                if fields:
                    yield start, fields
                start = reader.line_num + 1
        except csv.Error as error:
            remedy = 'Put a value that holds a comma, a quote or a line break in "quotes", and write a quote in it as "".'
            raise DataError(f"{path} line {start} is not CSV: {error}.", remedy) from None


def parse_csv_row(columns: tuple[str, ...], fields: list[str]) -> Row | BadRow:
    text = ",".join(fields)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return BadRow(
            "malformed", f"not UTF-8 text from character {error.start + 1} on: {shorten(text.encode('utf-8', 'replace').decode())}"
        )
    if len(fields) != len(columns):
        return BadRow("malformed", f"the header has {len(columns)} columns, this row {len(fields)}: {shorten(text)}")
    return dict(zip(columns, fields, strict=True))


def open_parquet(path: Path, name: str, used: Collection[str]) -> Split:
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

    return Split(str(path), columns, footer.num_rows, lambda: numbered_rows(rows(), name), {"file": str(path)})


def open_saved(path: Path, name: str, used: Collection[str]) -> Split:
    import datasets

    try:
        dataset = datasets.load_from_disk(path)
    except Exception as error:
        raise DataError(f"{path} does not load as a saved data set: {first_line(error)}", "Save it again with save_to_disk.") from None
    return from_dataset(dataset, str(path), name, used)


def from_dataset(dataset: Any, location: str, name: str, used: Collection[str]) -> Split:
    """A split from a datasets.Dataset, read from its memory-mapped file."""
    columns = tuple(dataset.column_names)
    chosen = dataset.select_columns([column for column in columns if column in used]) if used else dataset
    return Split(location, columns, len(dataset), lambda: numbered_rows(chosen, name), {"fingerprint": dataset._fingerprint})


def shorten(text: str, length: int = 80) -> str:
    """Text for a message: on one line, cut to `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def first_line(error: BaseException) -> str:
    """The root cause of an error, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return shorten((str(error).splitlines() or [type(error).__name__])[0], 200)
