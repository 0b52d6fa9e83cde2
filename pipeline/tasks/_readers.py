"""Readers of manual files whose suffix does not tell their format: CSV in other encodings, folders of several files."""

import csv
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.data.task import Row
from pipeline.errors import DataError

HELDOUT_TENTHS = 2
"""Held-out calls of Harper Valley, out of ten."""
CSV = (".csv", ".csv.gz")
MARKS = re.compile(r"\[noise\]|<unk>")
"""What transcribers write for noise and for what they did not understand."""


def table(path: Path, columns: Collection[str], encoding: str = "utf-8-sig") -> Iterator[Row]:
    """The rows of a CSV file, gzipped or not.

    Raises:
        DataError: the file is missing, is not CSV, or lacks one of the columns.
    """
    open_text = gzip.open if path.suffix == ".gz" else open
    try:
        with open_text(path, "rt", encoding=encoding, newline="") as file:
            rows = csv.DictReader(file)
            present = rows.fieldnames or ()
            if missing := [column for column in columns if column not in present]:
                problem = f"{path} has no column {' and '.join(missing)}, only {', '.join(present)}."
                raise DataError(problem, "It may be another file of that name.")
            yield from rows
    except FileNotFoundError:
        raise DataError(f"there is no {path}.", f"Put {path.name} there; it comes with the other files of that folder.") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", "Fetch it again; it may have been cut off or changed.") from None


def tweets(path: Path, split: str) -> Iterator[Row]:
    """The rows of a file of Coronavirus tweets. Copies differ in their encoding, so each value is read as UTF-8, else as cp1252."""
    del split
    for row in table(path, ("OriginalTweet", "Sentiment", "Location", "TweetAt"), "latin-1"):  # which keeps every byte
        yield {name: decoded(text) if isinstance(text, str) else text for name, text in row.items()}


def decoded(text: str) -> str:
    """Text that was read as latin-1, in the encoding that it has."""
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            return text.encode("latin-1").decode(encoding)
    return text


def clauses(folder: Path, split: str) -> Iterator[Row]:
    """One split of the only table of legal clauses in the folder; its column `split` is 0, 1 or 2: train, validation, test."""
    files = [file for file in sorted(folder.iterdir()) if file.name.endswith(CSV)] if folder.is_dir() else [folder]
    if len(files) != 1:
        raise DataError(f"{folder} holds {len(files)} csv files, where one is expected.", "Leave the table of the clauses there.")
    code = {"train": "0", "validation": "1", "test": "2"}[split]
    return (row for row in table(files[0], ("clause_text", "clause_type", "split")) if row["split"] == code)


def comments(folder: Path, split: str) -> Iterator[Row]:
    """The labelled comments of the Jigsaw challenge of 2018. Labels of the test set are in a separate file; -1 means unknown."""
    if split == "train":
        yield from table(folder / "train.csv", ("id", "comment_text", "toxic"))
        return
    labels = {row["id"]: row["toxic"] for row in table(folder / "test_labels.csv", ("id", "toxic"))}
    for row in table(folder / "test.csv", ("id", "comment_text")):
        if labels.get(row["id"]) not in (None, "-1"):
            yield row | {"toxic": labels[row["id"]]}


def calls(folder: Path, split: str) -> Iterator[Row]:
    """The calls of the Harper Valley bank, {sid, text, task}, in the order of their ids.

    No split was published. Ours hashes the call's id, so it does not change when calls are missing; two tenths are held out.
    """
    base = folder / "data" if (folder / "data").is_dir() else folder
    files = sorted((base / "metadata").glob("*.json"))
    if not files:
        raise DataError(f"{base / 'metadata'} holds no call.", "It needs the folders metadata and transcript of the repository.")
    for file in files:
        if is_heldout(file.stem) == (split != "train"):
            yield call(file, base / "transcript" / file.name)


def is_heldout(sid: str) -> bool:
    return int(hashlib.sha256(sid.encode()).hexdigest(), 16) % 10 < HELDOUT_TENTHS


def call(metadata: Path, transcript: Path) -> Row:
    """One call as a row; a missing field is null, so that it is counted and reported."""
    tasks = document(metadata).get("tasks") or [{}]
    segments = document(transcript) if transcript.exists() else []
    spoken = [(segment["speaker_role"], " ".join(MARKS.sub(" ", segment["human_transcript"]).split())) for segment in segments]
    text = "\n".join(f"{role}: {words}" for role, words in spoken if words)
    return {"sid": metadata.stem, "text": text or None, "task": tasks[0].get("task_type")}


def document(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON document: {error}", "Fetch it again; it may have been cut off.") from None
