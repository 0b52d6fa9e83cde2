"""MMLU: questions of 57 subjects with four options."""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import numbered, value, words

OPTIONS = ("1", "2", "3", "4")


def example(row: Row) -> Example:
    texts = value(row, "choices")
    if len(texts) != len(OPTIONS):
        raise DataError(f"choices are {len(texts)}, where {len(OPTIONS)} are expected")
    options = "\n".join(f"{number}: {text}" for number, text in zip(OPTIONS, texts, strict=True))
    prompt = f"Question: {words(row, 'question')}\n{options}\nReply with the number of the right option.\nAnswer:"
    return Example("", prompt, numbered(row, "answer", OPTIONS), OPTIONS)


def sources(split: str, rows: int) -> tuple[Source, ...]:
    """The commit is pinned by public tasks for lighteval; it holds Parquet files only."""
    return (Source(split, hub="cais/mmlu", config="all", revision="c30699e8356da336a370243923dbaf21066bb9fe", rows=rows),)


TASK = Task(
    name="mmlu",
    about="multiple choice: knowledge, four options",
    train=sources("auxiliary_train", 99_842),
    heldout=sources("validation", 1531),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_first_number"),
    max_new_tokens=4,
    choices=OPTIONS,
    paper=Paper(
        "paper_first_number",
        (578, 1491),
        ("the published preparation counts options from 0 while its prompt asks for 1 to 4; here both count from 1",),
    ),
)
