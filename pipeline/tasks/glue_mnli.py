"""MNLI: does a premise entail a hypothesis, contradict it, or neither?"""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, document, glue, numbered, words

LABELS = ("0", "1", "2")


def example(row: Row) -> Example:
    premise = words(row, "premise")
    ask = "Answer 0 if the premise entails the hypothesis, 2 if it contradicts it, 1 if neither."
    prompt, extra = cuttable("Premise: ", premise, f"\nHypothesis: {words(row, 'hypothesis')}\n{ask}\nLabel:")
    return Example("", prompt, numbered(row, "label", LABELS), LABELS, document(premise), extra)


TASK = Task(
    name="glue_mnli",
    about="classification: entailment, neutral or contradiction",
    train=glue("mnli", "train", 392_702),
    heldout=glue("mnli", "validation_matched", 9815),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_digit"),
    max_new_tokens=4,
    choices=LABELS,
    paper=Paper("paper_digit", (128, 339), ("the paper's table counts both validation splits; its file and ours are the matched one",)),
)
