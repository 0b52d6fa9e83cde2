"""QQP: do two questions ask the same?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import glue, numbered, words

LABELS = ("0", "1")


def example(row: Row) -> Example:
    pair = f"Question 1: {words(row, 'question1')}\nQuestion 2: {words(row, 'question2')}"
    return Example("", f"{pair}\nAnswer 1 if both ask the same, else 0.\nLabel:", numbered(row, "label", LABELS), LABELS)


TASK = Task(
    name="glue_qqp",
    about="classification: do two questions ask the same",
    train=glue("qqp", "train", 363_846),
    heldout=glue("qqp", "validation", 40_430),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper("paper_boolean", (102, 351)),
)
