"""Compares the columns that a file of predictions has of its test rows: other values are other rows, and a copied column is no answer."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.data.prediction_files import TABLE, FileAnswer, PredictionFile
from pipeline.data.task import Row
from pipeline.errors import DataError

Pairs = Sequence[tuple[FileAnswer, Row]]
"""Answers, each with the test row that it is paired with."""
WORD = re.compile(r"\w+")
MISSING = ("", "nan", "none", "null")
"""How tables spell that there is no value."""
CLOSE = 1e-5
"""The relative difference of equal numbers, of which one was stored in 32 bit."""


def key_text(value: Any) -> str:
    """A value of a column as text, the same from JSON and from CSV."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def check_same_rows(file: PredictionFile, columns: Sequence[str], location: str, paired_by: str, pairs: Pairs) -> None:
    """Raise DataError where answers that are paired by a key repeat columns of the test rows with the values of other rows.

    Args:
        columns: of the test rows, which are at `location`.
        paired_by: the key, in words.
    """
    for column in file.columns:
        if column not in columns or column in (file.answer_column, paired_by):
            continue
        other = [answer.location for answer, row in pairs if not may_be_same(answer.row.get(column), row.get(column))]
        if other:
            problem = f"{file.path}: {len(other):,} of {len(pairs):,} answers have another {column} than their row of {location}"
            remedy = f"Name the predictions for these rows; if they are, take {column} out of the file."
            raise DataError(f"{problem} (first: {other[0]}), so they answer other rows of the same {paired_by}.", remedy)


def may_be_same(own: Any, other: Any) -> bool:
    """Whether two values may be one that a tool wrote in a form of its own: rounded, as Python prints it, or inside a rendered prompt."""
    texts = key_text(own).casefold().strip(), key_text(other).casefold().strip()
    if texts[0] == texts[1] or any(text in MISSING for text in texts):
        return True
    try:
        return math.isclose(float(texts[0]), float(texts[1]), rel_tol=CLOSE)
    except ValueError:
        words = Counter(WORD.findall(texts[0])), Counter(WORD.findall(texts[1]))
        return bool(words[0] and words[1]) and (words[0] <= words[1] or words[1] <= words[0])


def check_answers(file: PredictionFile, columns: Sequence[str], location: str, pairs: Sequence[tuple[FileAnswer, Row, str]]) -> None:
    """Raise DataError where the column that is called as answers are may be a copy of the targets or of another column of the test rows.

    So it may be where all values are equal, and another column of the file may hold the answers or all columns are those of the test rows.

    Args:
        columns: of the test rows, which are at `location`.
        pairs: answers, each with its test row and its target.
    """
    column = file.answer_column
    own = [key_text(answer.row.get(column)).strip() for answer, _, _ in pairs]
    if file.format != TABLE or len(set(own)) < 2:  # what is the same in all rows is equal by chance
        return
    names = sorted(columns, key=lambda name: name != column)
    originals = {name: [key_text(row.get(name)).strip() for _, row, _ in pairs] for name in names}
    originals["the targets"] = [target.strip() for _, _, target in pairs]
    original = next((name for name, values in originals.items() if values == own), None)
    answers = [answer for answer, _, _ in pairs]
    others = [name for name in file.columns if name not in columns and name != column and may_hold_answers(answers, name, own)]
    if original is None or not (others or set(file.columns) >= set(columns)):
        return
    problem = f"{file.path}: {column} equals {original} of {location} in all {len(pairs):,} rows"
    if others:
        remedy = f"Name the column: --answers {others[0]}, or --answers {column} if a model wrote it (pairing.answers in a recipe)."
        raise DataError(f"{problem}, and the answers may be in {', '.join(others)}.", remedy)
    remedy = f"Name a file with answers of a model; if these are, say so: --answers {column} (pairing.answers in a recipe)."
    raise DataError(f"{problem}, and every column of the test rows is there: the file may be these rows.", remedy)


def may_hold_answers(answers: Sequence[FileAnswer], column: str, targets: Sequence[str]) -> bool:
    """Whether a column holds different texts, or numbers of which one is right."""
    values = [key_text(answer.row.get(column)).strip() for answer in answers]
    has_letters = any(character.isalpha() for value in values for character in value)
    return len(set(values)) > 1 and (has_letters or any(value == target for value, target in zip(values, targets, strict=True)))
