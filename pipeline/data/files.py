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

from pipeline.data import arrow_rows, repeated_keys
from pipeline.data.task import Row
from pipeline.errors import DataError
from pipeline.store.records import RepeatedKeyError, reject_constant, unrepeated

TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
FILE_SUFFIXES = (*TEXT_SUFFIXES, ".parquet", *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES))
KNOWN_KINDS = ".jsonl, .ndjson, .json, .csv, .tsv, each also with .gz, and .parquet"
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: the reason it is counted under, the offending value, and a remedy where there is a special one."""

    reason: str
    value: str
    remedy: str = ""


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
        used: the columns that are needed; their types are checked, and others need not be decoded. Empty: all, unchecked.

    Raises:
        DataError: the file cannot be read. A single unusable row becomes a BadRow instead.
    """
    from pipeline.data import inspect_logs  # which itself needs this file

    if path.is_dir():
        return open_saved(path, name, used)
    if inspect_logs.is_log(path):
        return inspect_logs.open_log(path, name)
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    return {"parquet": open_parquet, "csv": open_csv, "tsv": open_csv}.get(suffix, open_jsonl)(path, name, used)


def is_known(name: str) -> bool:
    """Whether a file's name ends as one of the kinds that can be read here, in capitals or not."""
    return name.lower().endswith(FILE_SUFFIXES)


def concatenate(location: str, parts: list[tuple[str, Split]]) -> Split:
    """Several splits read in sequence; parts are (prefix of the row ids, split), an empty prefix leaves the ids as they are."""

    def read() -> Iterator[SourceRow]:
        for prefix, part in parts:
            for row in part.read():
                yield SourceRow(f"{prefix}-{row.id}", f"{prefix} {row.location}", row.row) if prefix else row

    facts = {name: value for _, part in parts for name, value in part.facts.items()}
    columns = tuple(dict.fromkeys(column for _, part in parts for column in part.columns))
    return Split(location, columns, sum(part.total for _, part in parts), read, facts)


def numbered_rows(rows: Iterable[Row], name: str) -> Iterator[SourceRow]:
    return (SourceRow(f"{name}-{number}", f"row {number}", row) for number, row in enumerate(rows, 1))


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or gzipped file, whatever its name says; read errors become a DataError."""
    try:
        with path.open("rb") as file:
            is_gzip = path.suffix.lower() == ".gz" or file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            yield cast(IO[bytes], file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"{path} is not a complete gzip file: {str(error).rstrip('.')}."
        raise DataError(problem, "It may be truncated or renamed; copy or compress it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions and its disk.") from None


@contextmanager
def open_text(path: Path, newline: str) -> Iterator[IO[str]]:
    """Open a file as text: UTF-16 and UTF-32 where its first bytes say so, else UTF-8, in which other bytes become surrogates.

    Args:
        newline: as `open` takes it.
    """
    with open_bytes(path) as file:
        encoding = json.detect_encoding(file.read(4))
        file.seek(0)
        encoding = "utf-8-sig" if encoding == "utf-8" else encoding  # a mark of the byte order is no part of the text
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        try:
            with io.TextIOWrapper(file, encoding, errors, newline) as text:
                yield text
        except UnicodeDecodeError as error:
            problem = f"{path} is not valid {encoding.upper()}: {error.reason} at byte {error.start + 1}."
            raise DataError(problem, "Save it as UTF-8.") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1. A file without any line feed may end its lines by carriage returns."""
    with open_text(path, "\n") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and not line.endswith("\n") and "\r" in line.strip():
                yield from ((place, part) for place, part in enumerate(line.split("\r"), 1) if part.strip())
            elif line.strip():
                yield number, line


def open_jsonl(path: Path, name: str, used: Collection[str]) -> Split:
    """Reads the file twice: first to find the columns and the most common type of their values, then for the rows."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    total = usable = 0
    first = remedy = ""
    row: Row | BadRow = {}
    for location, row in json_rows(path):
        total += 1
        if isinstance(row, BadRow):
            first, remedy = (first, remedy) if first else (f"{location}: {row.value}", row.remedy)
            continue
        usable += 1
        for column, value in row.items():
            types[column][type_name(value)] += value is not None
    if total and not usable:
        python = "Python wrote these rows as its own; write each with json.dumps." if "{'" in first else ""
        remedy = remedy or python or "Write one JSON object a line."
        raise DataError(f"{path}: none of its {total} {first.split()[0]}s is a JSON object; {first}.", remedy)
    if total == 1 and isinstance(row, dict) and is_by_column(row):
        remedy = 'pandas writes it so; write the rows: df.to_json(path, orient="records", lines=True).'
        raise DataError(f"{path} is one JSON object that holds the values of each column, not one object a row.", remedy)
    expected_types = {column: types[column].most_common(1)[0][0] for column in used if column in types}

    def read() -> Iterator[SourceRow]:
        for location, row in json_rows(path):
            number = location.split()[1]
            yield SourceRow(f"{name}-{number}", location, row if isinstance(row, BadRow) else check_types(row, expected_types))

    return Split(str(path), tuple(types), total, read, {"file": str(path)})


def is_by_column(row: Row) -> bool:
    """Whether an object is a whole table: all its values are objects with the same numbers of rows as keys."""
    keys = {tuple(value) if isinstance(value, dict) else () for value in row.values()}
    return len(row) > 1 and len(keys) == 1 and keys != {()} and all(key.isdecimal() for key in keys.pop())


def json_rows(path: Path) -> Iterator[tuple[str, Row | BadRow]]:
    """The rows of a file with one JSON object a line, or with one list of objects, each with its location: `line 7`, `item 7`.

    Raises:
        DataError: the file is one JSON document, but no list.
    """
    for position, (number, line) in enumerate(numbered_lines(path)):
        if not position and line.lstrip().startswith("["):
            yield from ((f"item {item}", row) for item, row in enumerate(listed_rows(path), 1))
            return
        if not position and line.strip() == "{":
            convert = f"jq -c '.data[]' {path} > {path.with_name(path.name.split('.')[0])}.jsonl"
            raise DataError(f"{path} is one JSON object, not one a line.", f"Name the list in it that holds the rows, as in: {convert}")
        yield f"line {number}", parse_json_row(line)


def listed_rows(path: Path) -> Iterator[Row | BadRow]:
    """The rows of a file that is one list of objects. Raises DataError if it is not whole."""
    with open_text(path, "\n") as file:
        text = file.read()
    try:
        entries = MARKING_DECODER.decode(text.strip())
    except (ValueError, RecursionError) as error:
        remedy = "Mend it there; it may be truncated." if text.rstrip().endswith("]") else "Copy or download it again."
        raise DataError(f"{path} begins as a JSON list, and is none: {error}.", remedy) from None
    for entry in entries:
        written = json.dumps(entry, ensure_ascii=False)
        if repeated := repeated_keys.first(entry):
            yield BadRow("malformed", f"{repeated}: {shorten(written)}", "Write each key once.")
        elif fault := not_utf8(written):
            yield fault
        else:
            yield entry if isinstance(entry, dict) else BadRow("malformed", f"{type_name(entry)} instead of an object: {shorten(written)}")


def parse_json_row(line: str) -> Row | BadRow:
    if fault := not_utf8(line):
        return fault
    try:
        row = DECODER.decode(line)
    except json.JSONDecodeError as error:
        return BadRow("malformed", f"not JSON ({error.msg} at character {error.pos + 1}): {shorten(line)}")
    except RepeatedKeyError as error:
        return BadRow("malformed", f"{error}: {shorten(line)}", "Write each key once.")
    except (ValueError, RecursionError) as error:
        return BadRow("malformed", f"not JSON ({error}): {shorten(line)}")
    return row if isinstance(row, dict) else BadRow("malformed", f"{type_name(row)} instead of an object: {shorten(line)}")


def not_utf8(text: str) -> BadRow | None:
    """The fault of a text that holds bytes which are not UTF-8, read as surrogates; None if there are none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode()) + 1
        readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return BadRow(
            "malformed",
            f"not UTF-8 text from byte {place} on (Latin-1? iconv -f latin1 -t utf-8 converts it): {shorten(readable)}",
            "Save the file as UTF-8.",
        )
    return None


DECODER = json.JSONDecoder(parse_constant=reject_constant, object_pairs_hook=unrepeated)
MARKING_DECODER = json.JSONDecoder(parse_constant=reject_constant, object_pairs_hook=repeated_keys.marked)
TYPE_NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}


def type_name(value: Any) -> str:
    return TYPE_NAMES[type(value)]


def check_types(row: Row, expected_types: dict[str, str]) -> Row | BadRow:
    """The row, or a BadRow if a column does not hold its most common type."""
    for column, expected in expected_types.items():
        value = row.get(column)
        if value is not None and type_name(value) != expected:
            return BadRow(
                "wrong type",
                f"{column} is {type_name(value)}, where most rows have {expected}: {shorten(json.dumps(value, ensure_ascii=False))}",
            )
    return row


def open_csv(path: Path, name: str, used: Collection[str]) -> Split:
    """A file of values separated by commas, or by tabs where its name ends in .tsv. Columns without a name are left out."""
    records = csv_records(path)
    _, header = next(records, (1, []))
    if fault := not_utf8(",".join(header)):
        raise DataError(f"{path}: its header is {fault.value}.", "Save it as UTF-8.")
    if any("\0" in column for column in header):
        raise DataError(f"{path} is not text: its header contains zero bytes.", "Save it as CSV in UTF-8.")
    columns = tuple(column for column in header if column.strip())
    total = sum(1 for _ in records)
    twice = [column for column in dict.fromkeys(columns) if columns.count(column) > 1 and (column in used or not used)]
    if twice or (header and not columns):
        problem = f"{path} has equal or empty names in its header: {', '.join(map(repr, header))}."
        raise DataError(problem, "Its first line must name every column.")
    if len(columns) == 1 and any(sign in columns[0] for sign in (",;|" if is_tsv(path) else ";\t|")):
        remedy = "Rename it to .tsv." if "\t" in columns[0] else f"Save it with {'tabs' if is_tsv(path) else 'commas'}."
        raise DataError(f"{path} is not separated by {'tabs' if is_tsv(path) else 'commas'}: its header is {columns[0]!r}.", remedy)

    def read() -> Iterator[SourceRow]:
        for number, fields in islice(csv_records(path), 1, None):
            yield SourceRow(f"{name}-{number}", f"line {number}", parse_csv_row(header, fields))

    return Split(str(path), columns, total, read, {"file": str(path)})


def is_tsv(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".tsv")


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, header first, each with the number of its first line, from 1.

    Raises:
        DataError: a quote is out of place. No record after it can be trusted, so the whole file is refused.
    """
    csv.field_size_limit(1 << 24)
    separator = "\t" if is_tsv(path) else ","
    with open_text(path, "") as text:
        reader = csv.reader(text, strict=True, delimiter=separator)
        start = 1
        try:
            for fields in reader:
                if fields:
                    if separator == "\t" and any("\n" in value and separator in value for value in fields):
                        raise csv.Error("a value in quotes holds tabs and line breaks, as where a quote that is not closed swallows rows")
                    yield start, fields
                start = reader.line_num + 1
        except csv.Error as error:
            sign = "tab" if separator == "\t" else "comma"
            remedy = f'Put a value that holds a {sign}, a quote or a line break in "quotes", and write a quote in it as "".'
            raise DataError(f"{path} line {start} is not {sign[0].upper()}SV: {error}.", remedy) from None


def parse_csv_row(header: list[str], fields: list[str]) -> Row | BadRow:
    text = ",".join(fields)
    if fault := not_utf8(text):
        return fault
    if len(fields) != len(header):
        return BadRow("malformed", f"the header has {len(header)} columns, this row {len(fields)}: {shorten(text)}")
    return {column: value for column, value in zip(header, fields, strict=True) if column.strip()}


def open_parquet(path: Path, name: str, used: Collection[str]) -> Split:
    from pyarrow import ArrowException
    from pyarrow import parquet as files

    def fault(error: Exception) -> DataError:
        return DataError(
            f"{path} is not a complete Parquet file: {first_line(error)}", "It may be truncated or renamed; copy or write it again."
        )

    try:
        footer = files.read_metadata(path)
    except (ArrowException, OSError) as error:
        raise fault(error) from None
    columns = tuple(footer.schema.to_arrow_schema().names)
    if twice := [column for column in dict.fromkeys(columns) if columns.count(column) > 1 and (column in used or not used)]:
        raise DataError(f"{path} has several columns of one name: {', '.join(map(repr, twice))}.", "Rename all but one of them.")

    def rows() -> Iterator[Row]:
        try:
            with files.ParquetFile(path) as file:
                for batch in file.iter_batches(1000, columns=[column for column in columns if column in used] if used else None):
                    yield from arrow_rows.rows(batch)
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

    def rows() -> Iterator[Row]:
        for table in chosen.with_format("arrow").iter(1000):
            yield from arrow_rows.rows(table)

    return Split(location, columns, len(dataset), lambda: numbered_rows(rows(), name), {"fingerprint": dataset._fingerprint})


def shorten(text: str, length: int = 80) -> str:
    """Text for a message: on one line, cut to `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def first_line(error: BaseException) -> str:
    """The root cause of an error, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return shorten((str(error).splitlines() or [type(error).__name__])[0], 200)
