"""STS-B: how alike are two sentences, from 0 to 5?"""

import re

from pipeline.data.task import Paper, Row, Task
from pipeline.errors import DataError
from pipeline.metrics import numbers
from pipeline.scoring import number_reader, parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import glue, value, words

HIGHEST = 5
NAMES = re.compile(r"\bsentences?\s+[12](?:\s*(?:and|&)\s*2)?\b", re.IGNORECASE)
"""What the prompt calls the sentences."""


def example(row: Row) -> Example:
    score = value(row, "label")
    if not isinstance(score, int | float) or not 0 <= score <= HIGHEST:
        raise DataError(f"label is {score!r}, and likeness is 0 to {HIGHEST}")
    pair = f"Sentence 1: {words(row, 'sentence1')}\nSentence 2: {words(row, 'sentence2')}"
    ask = "How alike are they in meaning? Answer with a number from 0 (not at all) to 5 (the same)."
    return Example("", f"{pair}\n{ask}\nScore:", str(round(float(score), 3)))


@parsers.after_thoughts
def answer(text: str, example: Example) -> str | None:
    """The first number that names neither scale nor sentence, if it lies on the scale; `4/5` is 4, and what follows may be chatter."""
    part = NAMES.sub("", number_reader.without_scale(numbers.plain(text), example))
    number = next((match.value for match in numbers.find(part, ".")), None)
    value = numbers.as_float(number, ".")
    return number if value is not None and 0 <= value <= HIGHEST else None


TASK = Task(
    name="glue_stsb",
    about="regression: likeness of two sentences, 0 to 5",
    train=glue("stsb", "train", 5749),
    heldout=glue("stsb", "validation", 1500),
    example=example,
    answer=answer,
    metrics=("mae_similarity", "paper_similarity"),
    max_new_tokens=6,
    paper=Paper(
        "paper_similarity", (124, 187), ("a lone number far off the scale scores 0 here; the published rule lets it score below 0",)
    ),
)
