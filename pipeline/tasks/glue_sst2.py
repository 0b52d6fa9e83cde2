"""SST-2: is a sentence of a film review positive?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import glue, numbered, words

LABELS = ("0", "1")


def example(row: Row) -> Example:
    prompt = f'Sentence: "{words(row, "sentence")}"\nIs its sentiment negative or positive? Answer 0 for negative, 1 for positive.'
    return Example("", prompt, numbered(row, "label", LABELS), LABELS)


TASK = Task(
    name="glue_sst2",
    about="classification: sentiment of a sentence",
    train=glue("sst2", "train", 67349),
    heldout=glue("sst2", "validation", 872),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper("paper_boolean", (63, 91)),
)
