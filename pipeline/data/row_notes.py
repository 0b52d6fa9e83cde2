"""Counts the rows of an inline task that use a default, lack a group, or have turns that no template names; and how rows are read."""

from collections import Counter
from typing import TypedDict

from pipeline.config.schema import InlineTask
from pipeline.data import inline, inline_fields, row_formats, thoughts
from pipeline.data.files import BadRow
from pipeline.data.rows_used import SPLIT_NAMES
from pipeline.data.task import Row
from pipeline.data.templates import Field, Template, is_blank
from pipeline.errors import DataError
from pipeline.progress import say


class RowNote(TypedDict):
    """How many rows of a split are used otherwise than most."""

    kind: str
    """`default`, `no group`, `other turns`; of rows without templates `format`, `later turns` or `not read`."""
    count: int
    rows: int
    """Usable rows of the source."""
    sentence: str


class RowNotes:
    """Counts over the rows of a split; nothing is counted for a shipped task."""

    def __init__(self, spec: inline.Spec) -> None:
        self.rows = self.without_group = self.with_other_turns = 0
        self.defaults: Counter[str] = Counter()
        self.roles: Counter[str] = Counter()
        self.fields: list[Field] = []
        self.group: list[Field] = []
        self.optional: list[Field] = []
        self.formats: Counter[str] = Counter()
        self.with_later_turns = self.with_unread = 0
        self.unread: Counter[str] = Counter()
        self.entry = entry = inline.entry_of(spec)
        if entry:
            self.fields = [field for text in (entry.prompt, entry.target) for field in Template(text, {}).fields]
            self.group = Template(entry.group, {}).fields
            self.optional = [Field.parse(name) for name in entry.defaults]

    def count_row(self, row: Row | BadRow) -> None:
        if isinstance(row, BadRow) or self.entry is None:
            return
        self.rows += 1
        if not inline_fields.has_templates(self.entry):
            self.count_format(inline.renamed(row, self.entry), self.entry)
        self.without_group += any(field.value(row) is None for field in self.group)
        self.defaults.update(field.name for field in self.optional if is_blank(field.value(row)))
        others = self.other_turns(row)
        self.with_other_turns += bool(others)
        self.roles.update(others)

    def count_format(self, row: Row, entry: InlineTask) -> None:
        name = row_formats.format_of(row, entry.format)
        self.formats[name] += 1
        unread = [item for item in row_formats.unread(row, name) if item not in inline_fields.used_columns(entry)]
        self.unread.update(unread)
        self.with_unread += bool(unread)
        dialogue = row_formats.read(row, name)
        self.with_later_turns += dialogue.last_answer + 1 < len(dialogue.turns)

    def other_turns(self, row: Row) -> list[str]:
        """The roles of the turns of a conversation that no template names."""
        others: list[str] = []
        for column in dict.fromkeys(field.column for field in self.fields):
            picked = [field for field in self.fields if field.column == column]
            roles = picked[0].turns(row)
            named = {int(field.turn) % len(roles) for field in picked if field.turn is not None} if roles else set()
            others += [role for turn, role in enumerate(roles) if turn not in named]
        return others

    def summary(self, location: str) -> list[RowNote]:
        """The counts that are not zero.

        Raises:
            DataError: no row at all has the group that the recipe names.
        """
        if self.rows and self.without_group == self.rows:
            name = next(field.name for field in self.group)
            raise DataError(f"{location}: no row has the group {{{name}}}.", "Name another column as group, or leave it out.")
        roles = ", ".join(self.roles)
        target = "the last assistant turn is the target, and what stands before it the prompt"
        notes = [self.note("format", count, f"are read as {name}: {target}") for name, count in self.formats.items()]
        notes.append(self.note("later turns", self.with_later_turns, "go on after their last answer; those turns are left out"))
        remedy = "; thinking: true reads thoughts" if any(name.rpartition(".")[2] in thoughts.FIELDS for name in self.unread) else ""
        notes.append(self.note("not read", self.with_unread, f"hold more than the format reads ({', '.join(self.unread)}){remedy}"))
        notes += [self.note("default", count, f"have no {{{name}}}; its default is used") for name, count in self.defaults.items()]
        notes.append(self.note("no group", self.without_group, "name no group; each is a group of its own"))
        notes.append(
            self.note("other turns", self.with_other_turns, f"have turns that no template names ({roles}); the model never sees them")
        )
        return [note for note in notes if note["count"]]

    def note(self, kind: str, count: int, problem: str) -> RowNote:
        return {"kind": kind, "count": count, "rows": self.rows, "sentence": f"{count} of {self.rows} rows {problem}"}


def print_notes(split: str, notes: list[RowNote]) -> None:
    name = SPLIT_NAMES.get(split, split)
    for note in notes:
        warning = "warning: " if note["kind"] == "other turns" else ""
        say(f"  {name}: {warning}{note['sentence']}")
