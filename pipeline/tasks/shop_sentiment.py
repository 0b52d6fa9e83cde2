"""Embedded task: is the writer of a review pleased, displeased, or both?"""

from pipeline.data.task import Row, Source, Task
from pipeline.quickstart import rows
from pipeline.scoring import parsers
from pipeline.store.records import Example

LABELS = ("positive", "negative", "mixed")


def example(row: Row) -> Example:
    return Example("", f"Review of a {row['item']}: {row['text']}\nThe sentiment is", row["label"], LABELS)


TASK = Task(
    name="shop_sentiment",
    about="classification: positive, negative or mixed review",
    train=(Source("train", make=rows.reviews),),
    heldout=(Source("heldout", make=rows.reviews),),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy",),
    max_new_tokens=6,
    choices=LABELS,
    stop=("\n",),
)
