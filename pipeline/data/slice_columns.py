"""Reads columns of the source of a test set that are part of no example, and pairs their values with the examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.data import inline, make_examples, source
from pipeline.data.files import BadRow
from pipeline.data.task import Row
from pipeline.data.templates import Field, TemplateError
from pipeline.errors import DataError
from pipeline.store.records import HARNESS_EXTRA, Example


@dataclass(frozen=True)
class SourceRows:
    """The rows that the test examples were made of."""

    location: str
    columns: tuple[str, ...]
    by_example: Mapping[str, Row]
    """Of the columns that are wanted, by the id of an example."""

    def has(self, name: str) -> bool:
        """Whether there is a column of this name, or one whose entries `column[key]` names."""
        return field_of(name, self.columns).column in self.columns

    def values(self, name: str) -> dict[str, Any]:
        """The values of a column by the id of an example; None where a row has none."""
        field = field_of(name, self.columns)
        return {example: field.value(row) for example, row in self.by_example.items()}


def field_of(name: str, columns: Sequence[str]) -> Field:
    """A column, or an entry of it, as `meta[topic]`; a column may be called so too."""
    try:
        return Field(name) if name in columns else Field.parse(name)
    except TemplateError:
        return Field(name)


def read(spec: inline.Spec, examples: Sequence[Example], names: Sequence[str], offline: bool) -> SourceRows:
    """The rows of the test examples of a task; of lm-evaluation-harness they are its documents, which the examples hold.

    Args:
        names: of the columns that are wanted.

    Raises:
        DataError: the source cannot be read, or has other rows than it had.
    """
    if all(HARNESS_EXTRA in example.extra for example in examples):
        documents = {example.id: example.extra[HARNESS_EXTRA]["document"] for example in examples}
        columns = tuple(dict.fromkeys(column for row in documents.values() for column in row))
        return SourceRows("the documents of its test set", columns, documents)
    return read_source(spec, {example.id for example in examples}, names, offline)


def read_source(spec: inline.Spec, wanted: set[str], names: Sequence[str], offline: bool) -> SourceRows:
    task = inline.from_spec(spec)
    used = inline.columns(spec)
    split = source.open_first(task.heldout, offline, {*used, *names, *(field_of(name, ()).column for name in names)} if used else ())
    columns = {field_of(name, split.columns).column for name in names}
    maker = make_examples.example_maker(task, offline)
    rows: dict[str, Row] = {}
    fault = ""
    for source_row in split.read():
        example = maker.example(source_row)
        if isinstance(example, BadRow):
            fault = fault or f"{source_row.location}: {example.value}"
        elif example.id in wanted and example.id not in rows and not isinstance(source_row.row, BadRow):  # of equal ids the first is used
            rows[example.id] = {column: value for column, value in source_row.row.items() if column in columns}
    if missing := len(wanted) - len(rows):
        problem = (
            f"{split.location}: {missing:,} of {len(wanted):,} test examples cannot be read with the columns {', '.join(sorted(columns))}"
        )
        raise DataError(f"{problem}{f' ({fault})' if fault else ''}.", "Give every column values of one type.")
    return SourceRows(split.location, split.columns, {example: rows[example] for example in wanted})
