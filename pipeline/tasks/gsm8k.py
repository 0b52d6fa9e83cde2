"""GSM8K: a word problem of grade school, with the way to its answer."""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import words

# inspect_evals (UKGovernmentBEIS) pins this commit; its files are Parquet.
REVISION = "cc7b047b6e5bb11b4f1af84efc572db110a51b3c"


def example(row: Row) -> Example:
    question, rationale = words(row, "question"), words(row, "answer")
    if "####" not in rationale:
        raise ValueError("the answer has no number behind ####")
    return Example("", f"Answer the question.\n\nQuestion: {question}\nAnswer:", rationale)


TASK = Task(
    name="gsm8k",
    about="math: grade-school word problems",
    train=(Source("train", hub="openai/gsm8k", config="main", revision=REVISION, rows=7473),),
    heldout=(Source("test", hub="openai/gsm8k", config="main", revision=REVISION, rows=1319),),
    example=example,
    answer=parsers.number_in("."),
    metrics=("exact_match", "paper_last_number"),
    max_new_tokens=400,
    paper=Paper(
        metric="paper_last_number",
        tokens=(276, 465),
        differs=("up to 400 new tokens; under a lower cap long rationales end before their number",),
    ),
)
