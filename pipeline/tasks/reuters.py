"""Reuters-21578: which topics does a news item have?"""

from collections.abc import Iterable

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import CONVERTED, cuttable, value


def example(row: Row) -> Example:
    """A brief has a title and no body, and some rows have no title."""
    topics: Iterable[str] = value(row, "topics")
    title, body = (str(row.get(column) or "").strip() for column in ("title", "text"))
    if not title and not body:
        raise DataError("neither title nor text")
    prompt, extra = cuttable(f"Title: {title}\nBody: ", body, "\n\nWhat is the topic of this news item?\nTopics:")
    return Example("", prompt, ", ".join(topics), extra=extra if body else {})


def has_topic(row: Row) -> bool:
    return bool(row.get("topics"))


def sources(split: str, rows: int) -> tuple[Source, ...]:
    """The ModLewis split in the hub's Parquet copies of two repositories with a loading script.

    rows: those with a topic; of all, 13,625 are for training and 6,188 for the test.
    """
    files = (f"ModLewis/{split}/*.parquet",)
    hubs = ("ucirvine/reuters21578", "rjjan/reuters21578")
    return tuple(Source(split, hub=hub, revision=CONVERTED, files=files, keep=has_topic, rows=rows) for hub in hubs)


TASK = Task(
    name="reuters",
    about="classification without a list: topics of a news item",
    train=sources("train", 7780),
    heldout=sources("test", 3022),
    example=example,
    answer=parsers.topics,
    metrics=("set_f1", "paper_rouge"),
    max_new_tokens=32,
    paper=Paper(
        "paper_rouge",
        (637, 2056),
        (
            "only rows with a topic are used; about half the rows that the paper scored have none and score 0 whatever is said, "
            "so its best possible score is about 0.5 and ours is 1",
        ),
        incomparable_reason="other rows: about half of the paper's have no topic and score 0 whatever is said, and none of ours",
    ),
)
