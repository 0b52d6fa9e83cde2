"""Reads files of predictions that other tools or runs wrote: a table with a column of answers, one answer a line, or our own JSONL."""

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.data import files, inspect_logs, lm_eval_samples
from pipeline.data.files import BadRow, Split, is_known, shorten
from pipeline.data.task import Row
from pipeline.errors import DataError, suggest
from pipeline.store.artifact import file_hash
from pipeline.store.folders import PredictionsFolder
from pipeline.store.records import UNKNOWN, Prediction, is_number

ANSWER_COLUMNS = (
    "text", "answer", "prediction", "response", "output", "completion", "generation", "generated_text", "model_output", "predicted",
    "pred", "preds", "predictions", "y_pred", "predicted_answer", "predicted_label", "model_answer", "model_prediction", "model_response",
    "model_completion", "generated", "generated_answer",
)  # fmt: skip
"""Names of columns that hold answers, where the recipe names none."""
LINE_SUFFIXES = (".txt", ".text", ".out", ".pred")
"""Ends of the names of files with one answer a line."""
OWN_COLUMNS = ("example", "text", "tokens", "stopped")
"""Columns of our own predictions.jsonl."""
TABLE, LINES, OWN, LM_EVAL, INSPECT_LOG = "table", "lines", "loralift", "lm-eval samples", "Inspect log"
KNOWN = f"{files.KNOWN_KINDS}, and {', '.join(LINE_SUFFIXES)} with one answer a line"
NO_ANSWER = 'Write "" where the model gave none.'


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """One answer of a file."""

    location: str
    """In the file: `line 7`."""
    prediction: Prediction
    """Its `example` is empty unless the file is our own; tokens are 0 and `stopped` is UNKNOWN where the file does not say."""
    row: Row = field(default_factory=dict)
    """All columns of the row."""


@dataclass(frozen=True)
class PredictionFile:
    """A file of predictions, read."""

    path: Path
    """As the recipe names it: a folder of ours, or a file."""
    format: str
    columns: tuple[str, ...]
    answer_column: str
    """Empty for a file of lines."""
    answers: list[FileAnswer]
    failed: tuple[str, ...] = ()
    """Errors of samples that ended without an answer, in a log of Inspect."""


def locate(path: str) -> Path:
    """The file of a path; of a folder that `generate` or another stage of ours wrote, its predictions.

    Raises:
        DataError: there is none, or nothing is known of such files.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        inside = place / PredictionsFolder.PREDICTIONS
        if not inside.is_file():
            matches = sorted([*place.rglob(lm_eval_samples.MANY), *place.rglob(inspect_logs.MANY)])
            if len(matches) == 1:
                return matches[0]
            if matches:
                names = ", ".join(str(path.relative_to(place)) for path in matches[:3])
                kind = "logs" if all(inspect_logs.is_log(path) for path in matches) else "files of samples"
                more = ", ..." if matches[3:] else ""
                raise DataError(f"{place} has {len(matches)} {kind}: {names}{more}.", "Name one of them.")
            raise DataError(f"{place} is a folder without {inside.name}.", "Name a file of predictions.")
        return inside
    if not place.is_file():
        if os.path.lexists(place):
            raise DataError(f"{place} is no file: a link that leads nowhere, a pipe or a device.", "Name a file of predictions.")
        raise DataError(f"there is no file of predictions {place}.", nearest(place))
    if not (is_known(place.name) or place.suffix.lower() in LINE_SUFFIXES or inspect_logs.is_log(place)):
        raise DataError(f"{place} is no known kind of file for predictions.", f"Known: {KNOWN}.")
    return place


def nearest(place: Path) -> str:
    """A remedy that names the files beside a path."""
    if not place.parent.is_dir():
        return f"Nor is there a folder {place.parent}."
    suffixes = (*LINE_SUFFIXES, inspect_logs.SUFFIX)
    names = sorted(entry.name for entry in place.parent.iterdir() if is_known(entry.name) or entry.suffix.lower() in suffixes)
    return suggest(place.name, names) if names else f"Its folder has no such files ({KNOWN})."


def hashes(paths: list[str]) -> dict[str, str]:
    """By path as written, the sha256 of each file. Raises DataError as locate."""
    return {path: file_hash(locate(path)) for path in paths}


def check(planned: dict[str, str]) -> None:
    """Raise DataError if a file was changed since its hash was taken.

    Args:
        planned: as hashes() gave it.
    """
    for path, sha256 in planned.items():
        if file_hash(locate(path)) != sha256:
            raise DataError(f"{path} was changed after this run was planned.", "Run the same command again.")


def read(path: str, answer_column: str | None = None) -> PredictionFile:
    """The predictions of a file.

    Args:
        answer_column: where the answers are; None: the only column with such a name.

    Raises:
        DataError: it cannot be read whole, holds none, or does not say which column holds the answers.
    """
    place = locate(path)
    name = Path(path)
    if place.suffix.lower() in LINE_SUFFIXES:
        return read_lines(place, answer_column)
    if answer_column is None and inspect_logs.is_log(place):
        return inspect_log(name, place)
    split = files.open_file(place, place.name.split(".")[0])
    rows = list(whole_rows(split, place))
    if not rows:
        raise DataError(f"{place} holds no predictions.", "Check that it was written to its end.")
    if answer_column is None and set(OWN_COLUMNS) <= set(split.columns):
        answers = read_answers(place, rows, own_prediction)
        return PredictionFile(name, OWN, split.columns, "text", answers)
    if answer_column is None and lm_eval_samples.is_samples(split.columns):
        return samples(name, rows)
    column = answer_column or only_answer_column(place, split.columns)
    if column not in split.columns:
        raise DataError(f"{place} has no column '{column}'.", suggest(column, split.columns))
    answers = read_answers(place, rows, lambda row: Prediction("", answer_text(row.get(column)), 0, UNKNOWN))
    return PredictionFile(place, TABLE, split.columns, column, answers)


def samples(path: Path, rows: list[tuple[str, Row]]) -> PredictionFile:
    """The answers of a file of lm-evaluation-harness, in the order of the documents; its columns are those of the documents, but for
    those that samples have too."""
    lm_eval_samples.check_rows(path, rows)
    several = len({row["filter"] for _, row in rows}) > 1
    documents = sorted(lm_eval_samples.of_documents(rows), key=lambda pair: str(pair[1]["doc_id"]).zfill(12))
    answers = read_answers(path, documents, lambda row: lm_eval_samples.merged_prediction(row, several))
    flat = [replace(one, row={**document_of(one.row), **one.row}) for one in answers]
    columns = dict.fromkeys(column for _, row in documents for column in document_of(row) if column not in row)
    return PredictionFile(path, LM_EVAL, tuple(columns), "", flat)


def document_of(row: Row) -> Row:
    """The columns of the document of a sample; none where it is no object."""
    return row["doc"] if isinstance(row["doc"], dict) else {}


def inspect_log(path: Path, place: Path) -> PredictionFile:
    """The answers of a log of Inspect; its columns are id, input, target and those of the samples' metadata."""
    rows = [(f"sample {row['id']}", row) for row in inspect_logs.read_rows(place)]
    answered = [pair for pair in rows if not pair[1]["error"]]
    failed = tuple(row["error"] for _, row in rows if row["error"])
    answers = [replace(one, row={**one.row["metadata"], **one.row}) for one in read_answers(path, answered, inspect_logs.prediction)]
    columns = tuple(dict.fromkeys(("id", "input", "target", *(column for _, row in rows for column in row["metadata"]))))
    return PredictionFile(path, INSPECT_LOG, columns, "", answers, failed)


def whole_rows(split: Split, place: Path) -> Iterator[tuple[str, Row]]:
    """Location and values of every row. Raises DataError if one cannot be read: an answer that is left out would shift others."""
    bad: list[tuple[str, BadRow]] = []
    for source_row in split.read():
        if isinstance(source_row.row, BadRow):
            bad.append((source_row.location, source_row.row))
        elif not bad:
            yield source_row.location, source_row.row
    if bad:
        location, fault = bad[0]
        raise DataError(f"{place}: {len(bad)} of {split.total} rows cannot be read; {location}: {fault.value}.", "Mend or remove them.")


def only_answer_column(place: Path, columns: tuple[str, ...]) -> str:
    """The column that holds the answers. Raises DataError if that is not certain."""
    named = [column for column in columns if column.lower() in ANSWER_COLUMNS]
    if len(named) == 1 or len(columns) == 1:
        return (named or list(columns))[0]
    problem = (
        f"{place} has several columns that may hold the answers: {', '.join(named)}."
        if named
        else f"{place} has no column that is called as answers are; its columns: {', '.join(columns)}."
    )
    raise DataError(problem, "Name it: --answers COLUMN, or pairing.answers in a recipe.")


def read_answers(place: Path, rows: list[tuple[str, Row]], read_row: Callable[[Row], Prediction]) -> list[FileAnswer]:
    """The answer of each row. Raises DataError with the number of rows that have none, and the first of them."""
    answers: list[FileAnswer] = []
    faults: list[str] = []
    for location, row in rows:
        try:
            prediction = read_row(row)
            prediction.text.encode()
        except UnicodeEncodeError:
            faults.append(f"{location}: half of a character pair, which no file can hold")
        except (ValueError, TypeError) as error:
            faults.append(f"{location}: {error}")
        else:
            answers.append(FileAnswer(location, prediction, row))
    if faults:
        raise DataError(f"{place}: {len(faults)} of {len(rows)} rows have no answer to compare; {faults[0]}.", NO_ANSWER)
    return answers


def answer_text(value: Any) -> str:
    """An answer as text; of a number or a structure as JSON writes it. Raises ValueError for no value."""
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError("the answer is null")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"the answer is {value}")
    return json.dumps(value, ensure_ascii=False, default=str)


def own_prediction(row: Row) -> Prediction:
    """A row of our own predictions.jsonl. Raises ValueError if a field is of another type."""
    for name, kind in (("example", str), ("text", str), ("tokens", int), ("stopped", str)):
        if not isinstance(row.get(name), kind):
            raise ValueError(f"{name} is {shorten(json.dumps(row.get(name), default=str))}")
    logprobs, samples, greedy = (row.get(name) or () for name in ("logprobs", "samples", "greedy"))
    if not all(map(is_number, logprobs)) or not all(isinstance(text, str) for text in samples):
        raise ValueError("logprobs must be numbers, and samples texts")
    return Prediction(row["example"], row["text"], row["tokens"], row["stopped"], tuple(logprobs), tuple(samples), tuple(map(bool, greedy)))


def read_lines(place: Path, answer_column: str | None) -> PredictionFile:
    """A file with one answer a line; a blank line is an empty answer. Raises DataError if it has no lines, or a column is asked of it."""
    if answer_column is not None:
        raise DataError(f"{place} holds one answer a line, and so no column '{answer_column}'.", "Leave --answers out.")
    with files.open_text(place, "\n") as file:
        text = file.read()
    lines = text.removesuffix("\n").split("\n") if text else []
    rows: list[tuple[str, Row]] = [(f"line {number}", {"text": line.removesuffix("\r")}) for number, line in enumerate(lines, 1)]
    if not rows:
        raise DataError(f"{place} holds no predictions.", "Check that it was written to its end.")
    for location, row in rows:
        if fault := files.not_utf8(row["text"]):
            raise DataError(f"{place} {location}: {fault.value}.", "Save it as UTF-8.")
    return PredictionFile(place, LINES, (), "", read_answers(place, rows, lambda row: Prediction("", row["text"], 0, UNKNOWN)))
