"""WNLI: does a sentence follow from another, if its pronoun is read right?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import document, glue, numbered, words

LABELS = ("0", "1")


def example(row: Row) -> Example:
    first = words(row, "sentence1")
    ask = "Answer 1 if sentence 2 names the right one for a pronoun of sentence 1, else 0."
    prompt = f"Sentence 1: {first}\nSentence 2: {words(row, 'sentence2')}\n{ask}\nLabel:"
    return Example("", prompt, numbered(row, "label", LABELS), LABELS, document(first))


TASK = Task(
    name="glue_wnli",
    about="classification: Winograd NLI (pronoun resolution)",
    train=glue("wnli", "train", 635),
    heldout=glue("wnli", "validation", 71),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper(
        "paper_boolean",
        (134, 160),
        ("65 of the 71 held-out first sentences are in the training split too, 54 of them with the other label only",),
    ),
)
