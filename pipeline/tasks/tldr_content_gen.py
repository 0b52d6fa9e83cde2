"""TLDR News: a headline's passage."""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import tldr, words


def example(row: Row) -> Example:
    headline, content = words(row, "headline"), words(row, "content")
    return Example("", f"Write the passage of a newsletter that stands under this headline.\n\nHeadline: {headline}\nContent:", content)


TASK = Task(
    name="tldr_content_gen",
    about="generation: the passage under a headline",
    train=(tldr("train", "0", 7138),),
    heldout=(tldr("test", "2", 794),),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf"),
    max_new_tokens=256,
    grounded="text",
    paper=Paper(metric="rougeL", tokens=(204, 425)),
)
