"""MRPC: do two sentences of the news say the same?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import glue, numbered, words

LABELS = ("0", "1")


def example(row: Row) -> Example:
    pair = f"Sentence 1: {words(row, 'sentence1')}\nSentence 2: {words(row, 'sentence2')}"
    return Example("", f"{pair}\nAnswer 1 if both mean the same, else 0.\nLabel:", numbered(row, "label", LABELS), LABELS)


TASK = Task(
    name="glue_mrpc",
    about="classification: do two sentences mean the same",
    train=glue("mrpc", "train", 3668),
    heldout=glue("mrpc", "validation", 408),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_mrpc"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper("paper_mrpc", (123, 157)),
)
