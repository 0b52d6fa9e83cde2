"""QNLI: does a sentence answer a question?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, glue, numbered, words

LABELS = ("0", "1")
"""0 is the sentence that answers."""


def example(row: Row) -> Example:
    before = f"Question: {words(row, 'question')}\nResponse: "
    prompt, extra = cuttable(before, words(row, "sentence"), "\nAnswer 0 if the response answers the question, else 1.\nLabel:")
    return Example("", prompt, numbered(row, "label", LABELS), LABELS, extra=extra)


TASK = Task(
    name="glue_qnli",
    about="classification: does a sentence answer a question",
    train=glue("qnli", "train", 104_743),
    heldout=glue("qnli", "validation", 5463),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper("paper_boolean", (123, 350)),
)
