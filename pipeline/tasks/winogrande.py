"""WinoGrande: which of two options fills the gap of a sentence?"""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import document, one_of, words

OPTIONS = ("1", "2")


def example(row: Row) -> Example:
    sentence, first, second = (words(row, column) for column in ("sentence", "option1", "option2"))
    options = f"1: {first}\n2: {second}\nWhich option fits the gap _? Answer 1 or 2."
    # twins share their options and differ in a word that is seldom at the start
    twins = document(*sorted((first.lower(), second.lower())), *sentence.lower().split()[:3])
    return Example("", f"Sentence: {sentence}\n{options}\nAnswer:", one_of(row, "answer", OPTIONS), OPTIONS, twins)


def sources(split: str, rows: int) -> tuple[Source, ...]:
    """The commit is pinned by portallib and others; it holds Parquet files only."""
    revision = "01e74176c63542e6b0bcb004dcdea22d94fb67b5"
    return (Source(split, hub="allenai/winogrande", config="winogrande_debiased", revision=revision, rows=rows),)


TASK = Task(
    name="winogrande",
    about="multiple choice: the word that fits the gap, of two",
    train=sources("train", 9248),
    heldout=sources("validation", 1267),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_first_number"),
    max_new_tokens=4,
    choices=OPTIONS,
    paper=Paper(
        "paper_first_number",
        (63, 75),
        (
            "the paper's table swaps validation and test; the split with 1,267 labelled rows was scored and is held out here",
            "the paper names its rule but no code of it is known; ours takes the first number of the output",
        ),
    ),
)
