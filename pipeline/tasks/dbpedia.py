"""DBpedia: what is an encyclopedia article about, one of 14 kinds?"""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, numbered, words

KINDS = (
    "Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder", "MeanOfTransportation", "Building", "NaturalPlace",
    "Village", "Animal", "Plant", "Album", "Film", "WrittenWork",
)  # fmt: skip
"""In the order of the labels, counted from 0."""


def example(row: Row) -> Example:
    after = f"\n\nWhich of these types is the article about: {', '.join(KINDS)}?\nType:"
    prompt, extra = cuttable(f"Title: {words(row, 'title')}\nArticle: ", words(row, "content"), after)
    return Example("", prompt, numbered(row, "label", KINDS), KINDS, extra=extra)


def sources(split: str, rows: int) -> tuple[Source, ...]:
    """The commit is that which mteb pins."""
    return (Source(split, hub="fancyzhx/dbpedia_14", revision="9abd46cf7fc8b4c64290f26993c540b92aa145ac", rows=rows),)


TASK = Task(
    name="dbpedia",
    about="classification: the kind of thing an article is about, 14 kinds",
    train=sources("train", 560_000),
    heldout=sources("test", 70_000),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_class_name"),
    max_new_tokens=8,
    choices=KINDS,
    paper=Paper(
        "paper_class_name",
        (211, 387),
        ("the published preparation moves every label to the class before it; here label 0 is Company, as in the data set",),
    ),
)
