"""Pairs answers of a file with test rows: by ids of examples, by a column that both have, or by order; and counts what does not pair."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product, takewhile
from typing import Any

from pipeline.data import copied_columns, inline, inspect_logs, lm_eval_samples, make_examples, source
from pipeline.data.copied_columns import key_text
from pipeline.data.files import BadRow, shorten
from pipeline.data.prediction_files import INSPECT_LOG, LINES, LM_EVAL, OWN, FileAnswer, PredictionFile
from pipeline.data.task import Row
from pipeline.errors import DataError, suggest
from pipeline.store.records import JsonObject, Prediction

ID_COLUMNS = ("id", "example_id", "uid", "uuid", "idx", "index", "question_id", "qid", "doc_id", "sample_id", "custom_id", "key")
"""Names of columns that tell rows apart, where the recipe names none."""
EXAMPLE = "example"
"""The column of our own files that holds the id of an example."""
BY_ORDER, BY_EXAMPLE, BY_DOCUMENT, BY_SAMPLE = NO_COLUMNS = "order", "ids of examples", "hashes of documents", "ids of samples"
MAX_NAMED = 3
REMEDY = "Give every file one answer to each test row; or compare those that all files answer once: --common-rows."

UNPAIRED_REMEDY = "Write the values of the test rows there, or name another column that both have: --id COLUMN."


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row of the source of the test set."""

    example: str | None
    """The id of its example; None if it makes none."""
    location: str
    row: Row


@dataclass(frozen=True)
class RowIndex:
    """All rows of the source of a test set, in its order; a test set may hold fewer."""

    location: str
    columns: tuple[str, ...]
    rows: list[IndexedRow]

    @classmethod
    def of(cls, spec: inline.Spec, offline: bool) -> "RowIndex":
        """The rows of a task by its spec. Raises DataError if they cannot be read."""
        task = inline.from_spec(spec)
        split = source.open_first(task.heldout, offline, inline.columns(spec))
        maker = make_examples.example_maker(task, offline)

        def rows() -> Iterator[IndexedRow]:
            for source_row in split.read():
                example = maker.example(source_row)
                row = {} if isinstance(source_row.row, BadRow) else source_row.row
                yield IndexedRow(None if isinstance(example, BadRow) else example.id, source_row.location, row)

        return cls(split.location, split.columns, list(rows()))

    @cached_property
    def ids(self) -> set[str]:
        return {row.example for row in self.rows if row.example is not None}


@dataclass(frozen=True)
class Paired:
    """The answers of a file by the test row that they answer."""

    file: PredictionFile
    paired_by: str
    """BY_ORDER, BY_EXAMPLE, or the name of a column."""
    answers: dict[str, list[FileAnswer]]
    """By the id of an example; more than one where a row is answered again."""
    unused: int
    """Answers to rows of the source that make no example."""
    unknown: list[str]
    """What answers name that is no test row."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What answers call an example, by its id; empty by order."""

    @property
    def once(self) -> set[str]:
        """The examples that are answered once."""
        return {name for name, answers in self.answers.items() if len(answers) == 1}

    def predictions(self, examples: Collection[str], common_rows: bool) -> list[Prediction]:
        """The prediction for each example, in their order.

        Args:
            common_rows: other answers are none of the comparison, and no fault.

        Raises:
            DataError: counts examples without an answer, with several, and answers to nothing.
        """
        unanswered = [self.keys.get(name, name) for name in examples if name not in self.answers]
        repeated = [self.keys.get(name, name) for name in examples if len(self.answers.get(name, ())) > 1]
        faults = [
            counted(unanswered, "test row without an answer", "test rows without an answer") + (self.failures if unanswered else ""),
            counted(repeated, "test row with several answers", "test rows with several answers"),
            "" if common_rows else counted(self.unknown, "answer to no test row", "answers to no test row"),
        ]
        if any(faults):
            remedy = REMEDY if self.answers or self.paired_by in NO_COLUMNS else UNPAIRED_REMEDY
            raise DataError(f"{self.file.path}: {', '.join(filter(None, faults))}; paired by {self.described}.", remedy)
        return [replace(self.answers[name][0].prediction, example=name) for name in examples]

    @property
    def failures(self) -> str:
        """How many samples of a log ended without an answer, in brackets; empty without any."""
        failed = self.file.failed
        first = shorten(" ".join(failed[0].split())) if failed else ""
        return f" ({len(failed):,} of its samples ended with an error, the first with: {first})" if failed else ""

    def pairs(self, test: RowIndex) -> list[tuple[FileAnswer, Row]]:
        """Every answer with its test row."""
        return [(answer, row.row) for row in test.rows if row.example for answer in self.answers.get(row.example, ())]

    def check_answers(self, test: RowIndex, targets: Mapping[str, str]) -> None:
        """Raise DataError where the column of answers, which nobody named, may be a copy of the targets or of a column of the test rows.

        Args:
            targets: by the id of an example.
        """
        rows = {row.example: row.row for row in test.rows if row.example in targets}
        pairs = [(answer, row, targets[name]) for name, row in rows.items() if name for answer in self.answers.get(name, ())]
        copied_columns.check_answers(self.file, test.columns, test.location, pairs)

    def check_structures(self, targets: Mapping[str, str]) -> None:
        """Raise DataError where an answer is a list or an object and the target is plain text, as which it would be wrong unseen.

        Args:
            targets: by the id of an example.
        """
        column = self.file.answer_column
        answers = [(answer, targets[name]) for name, rows in self.answers.items() if name in targets for answer in rows]
        wrong = [one.location for one, target in answers if isinstance(one.row.get(column), list | dict) and not is_structure(target)]
        if wrong:
            problem = (
                f"{self.file.path}: {len(wrong):,} of {len(answers):,} answers in {column} are a list or an object where the target is text"
            )
            raise DataError(f"{problem} (first: {wrong[0]}).", "Write each answer as text, in the form of the targets.")

    @property
    def described(self) -> str:
        return self.paired_by if self.paired_by in NO_COLUMNS else f"the column {self.paired_by}"


def is_structure(text: str) -> bool:
    """Whether a text is a list or an object in JSON."""
    try:
        return isinstance(json.loads(text), list | dict)
    except ValueError:
        return False


def counted(names: list[str], one: str, many: str) -> str:
    """How many names there are, and the first of them; empty without any."""
    return f"{len(names):,} {one if len(names) == 1 else many} (first: {', '.join(names[:MAX_NAMED])})" if names else ""


def answer_column(options: Mapping[str, Any], path: str) -> str | None:
    """The column that holds the answers of a file; None: the one that is called so.

    Args:
        options: the parameter `pairing` of a stage, with one column for all files, or columns by path.
    """
    answers = options["answers"]
    return answers.get(path) if isinstance(answers, dict) else answers


def pair(file: PredictionFile, test: RowIndex, id_column: str | None) -> Paired:
    """Pair a file with test rows.

    Args:
        id_column: the column that both have; None: as the columns say, else by order.

    Raises:
        DataError: the column is missing or tells no rows apart; the file repeats columns of the test rows with other values; or by order,
            the numbers of rows differ.
    """
    column = id_column or column_of(file, test)
    if column == BY_ORDER:
        return by_order(file, test)
    if column == BY_DOCUMENT:
        return by_document(file, test)
    if column == BY_SAMPLE:
        return by_sample(file, test)
    paired = by_column(file, test, column)
    if file.format != OWN:
        copied_columns.check_same_rows(file, test.columns, test.location, paired.paired_by, paired.pairs(test))
    return paired


def by_column(file: PredictionFile, test: RowIndex, column: str) -> Paired:
    """Answers by the value of a column, or by the id of an example. Raises DataError if one of both has no such column."""
    if column == BY_EXAMPLE:
        examples = {name: name for name in test.ids}
        return by_key(file, column, [answer.prediction.example or key_text(answer.row[EXAMPLE]) for answer in file.answers], examples)
    for columns, location in ((file.columns, str(file.path)), (test.columns, test.location)):
        if column not in columns:
            remedy = suggest(column, columns) if columns else "It has no columns: leave --id out, and its order counts."
            raise DataError(f"{location} has no column '{column}' to pair by.", remedy)
    keys = keys_of_rows(test, column)
    return by_key(file, column, [key_text(answer.row.get(column)) for answer in file.answers], keys)


def column_of(file: PredictionFile, test: RowIndex) -> str:
    """How a file says which rows it answers."""
    if file.format == OWN:
        return BY_EXAMPLE
    if file.format == LM_EVAL and {"doc", "document"} & set(test.columns):
        return BY_DOCUMENT
    if file.format == INSPECT_LOG and inspect_logs.TASK in test.columns:
        return BY_SAMPLE
    if (
        EXAMPLE in file.columns
        and file.answer_column != EXAMPLE
        and any(key_text(one.row.get(EXAMPLE)) in test.ids for one in file.answers)
    ):
        return BY_EXAMPLE
    shared = [name for name in ID_COLUMNS if name in file.columns and name in test.columns and name != file.answer_column]
    return shared[0] if shared else BY_ORDER


def keys_of_rows(test: RowIndex, column: str) -> dict[str, str | None]:
    """By the value of a column, the id of the example. Raises DataError if two rows have one value."""
    keys = [key_text(row.row.get(column)) for row in test.rows]
    if twice := [key for key, count in Counter(keys).items() if count > 1]:
        problem = f"{test.location}: {len(twice)} of {len(set(keys))} values of {column} stand in several rows (first: {twice[0]})."
        raise DataError(problem, "Name another column: --id COLUMN.")
    return dict(zip(keys, (row.example for row in test.rows), strict=True))


def by_key(file: PredictionFile, column: str, keys: list[str], examples: dict[str, str | None] | dict[str, str]) -> Paired:
    """Answers by the key that each names."""
    answers: dict[str, list[FileAnswer]] = {}
    unused, unknown = 0, []
    for key, answer in zip(keys, file.answers, strict=True):
        if key not in examples:
            unknown.append(key or f"{answer.location} without a value")
        elif (name := examples[key]) is None:
            unused += 1
        else:
            answers.setdefault(name, []).append(answer)
    names = {name: key for key, name in examples.items() if name is not None}
    return Paired(file, column, answers, unused, unknown, names)


def by_document(file: PredictionFile, test: RowIndex) -> Paired:
    """Answers by the hash of their document; where documents are equal, with its number in front."""
    hashes = [lm_eval_samples.document_key(row.row) for row in test.rows]
    counts = Counter(hashes)

    def key(name: str, number: object) -> str:
        return name[:12] if counts[name] < 2 else f"{number}: {name[:12]}"

    numbers = [row.row.get("doc_id", place) for place, row in enumerate(test.rows)]
    own = [key(name, number) for name, number in zip(hashes, numbers, strict=True)]
    keys = [key(lm_eval_samples.document_key(answer.row), answer.row.get("doc_id")) for answer in file.answers]
    check_targets(file, test, dict(zip(own, test.rows, strict=True)), keys)
    examples = {name: row.example for name, row in zip(own, test.rows, strict=True)}
    return by_key(file, BY_DOCUMENT, keys, examples)


def check_targets(file: PredictionFile, test: RowIndex, rows: Mapping[str, IndexedRow], keys: Sequence[str]) -> None:
    """Raise DataError where answers of another tool were judged against another target than those of the test rows.

    Args:
        rows: of the test set, by key.
        keys: of the answers.
    """
    pairs = [(answer, rows[key].row) for key, answer in zip(keys, file.answers, strict=True) if key in rows and "target" in rows[key].row]
    if other := [answer.location for answer, row in pairs if key_text(answer.row["target"]) != key_text(row["target"])]:
        what = "samples" if file.format == INSPECT_LOG else "documents"
        problem = f"{file.path}: {len(other):,} of {len(pairs):,} {what} have another target than in {test.location} (first: {other[0]})"
        raise DataError(f"{problem}, so their scores are of another task.", "Name samples of one task.")


def by_sample(file: PredictionFile, test: RowIndex) -> Paired:
    """Answers by the id of their sample in a log of the same task. Raises DataError for a log of another one, or for other inputs."""
    rows = {key_text(row.row.get("id")): row for row in test.rows}
    for answer in file.answers[:1]:
        task, other = answer.row[inspect_logs.TASK], test.rows[0].row[inspect_logs.TASK]
        if task != other:
            raise DataError(f"{file.path} is a log of the task {task}, and {test.location} of {other}.", "Name logs of one task.")
    keys = [key_text(answer.row["id"]) for answer in file.answers]
    shared = [(key, answer.row["input"], rows[key].row["input"]) for key, answer in zip(keys, file.answers, strict=True) if key in rows]
    if changed := [key for key, own, other in shared if own != other]:
        problem = f"{file.path}: {len(changed):,} of {len(shared):,} samples have another input than in {test.location}"
        raise DataError(f"{problem} (first: {changed[0]}).", "Run both on one version of the data set.")
    check_targets(file, test, rows, keys)
    return by_key(file, BY_SAMPLE, keys, {key: row.example for key, row in rows.items()})


def by_order(file: PredictionFile, test: RowIndex) -> Paired:
    """The first answer with the first row, and so on."""
    if len(file.answers) != len(test.rows):
        blank = blank_at_end(file.answers) if file.format == LINES else 0
        of_them = f" ({blank:,} of them blank lines at its end)" if blank else ""
        problem = f"{file.path} has {len(file.answers):,} answers{of_them}, and {test.location} has {len(test.rows):,} rows"
        raise DataError(f"{problem}: without an id column they are paired by order.", "Give both an id column, or the same rows.")
    check_shared_columns(file, test)
    check_order(file, test)
    answers = {row.example: [answer] for row, answer in zip(test.rows, file.answers, strict=True) if row.example is not None}
    return Paired(file, BY_ORDER, answers, len(test.rows) - len(answers), [])


def blank_at_end(answers: Sequence[FileAnswer]) -> int:
    """How many answers at the end are blank."""
    return len(list(takewhile(lambda answer: not answer.prediction.text.strip(), reversed(answers))))


def check_shared_columns(file: PredictionFile, test: RowIndex) -> None:
    """Raise DataError where rows of a file repeat columns of the test rows with other values: they are in another order."""
    for column in file.columns:
        if column not in test.columns or column == file.answer_column:
            continue
        pairs = [
            (answer.location, answer.row.get(column), row.row.get(column)) for row, answer in zip(test.rows, file.answers, strict=True)
        ]
        differing = [location for location, own, other in pairs if key_text(own) != key_text(other)]
        if differing:
            problem = f"{file.path}: {len(differing):,} of {len(pairs):,} rows have another {column} than the test row of their place"
            remedy = "Bring them into its order, give both an id column (--id), or take the column out."
            raise DataError(f"{problem} (first: {differing[0]}), and without an id column they are paired by order.", remedy)


def check_order(file: PredictionFile, test: RowIndex) -> None:
    """Raise DataError where a column of a file has the values of a column of the test rows, each once and in another order."""
    own = distinct_values(file.columns, [answer.row for answer in file.answers], file.answer_column)
    others = distinct_values(test.columns, [row.row for row in test.rows])
    for (column, keys), (other, values) in product(own.items(), others.items()):
        if keys != values and set(keys) == set(values):
            problem = f"{file.path}: {column} has the values of {other} in {test.location} in another order"
            remedy = "Give both columns one name (then --id pairs by it), or take the column out."
            raise DataError(f"{problem}, and without an id column they are paired by order.", remedy)


def distinct_values(columns: Sequence[str], rows: Sequence[Row], answer_column: str = "") -> dict[str, list[str]]:
    """By column, the values of those columns that tell several rows apart."""
    values = {column: [key_text(row.get(column)) for row in rows] for column in columns if column != answer_column}
    return {column: keys for column, keys in values.items() if len(keys) == len(set(keys)) > 1}


def facts(paired: Paired, count: int) -> JsonObject:
    """What a manifest says of the pairing.

    Args:
        count: examples of the comparison.
    """
    answered = sum(len(answers) for answers in paired.answers.values())
    return {
        "examples": count,
        "format": paired.file.format,
        "answer_column": paired.file.answer_column,
        "paired_by": paired.paired_by,
        "unused": paired.unused + answered - count,
        "unknown": len(paired.unknown),
    }
