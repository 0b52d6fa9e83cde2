"""CoLA: is a sentence acceptable English?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import glue, numbered, words

LABELS = ("0", "1")


def example(row: Row) -> Example:
    ask = "Answer 1 if the sentence is correct in both syntax and meaning, else 0."
    return Example("", f"Sentence: {words(row, 'sentence')}\n{ask}\nLabel:", numbered(row, "label", LABELS), LABELS)


TASK = Task(
    name="glue_cola",
    about="classification: is a sentence acceptable",
    train=glue("cola", "train", 8551),
    heldout=glue("cola", "validation", 1043),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper("paper_boolean", (59, 87)),
)
