"""TLDR News: a passage's headline."""

from pipeline.data.task import Paper, Row, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, tldr, words


def example(row: Row) -> Example:
    headline, content = words(row, "headline"), words(row, "content")
    task = "Sum up this passage of a newsletter in one sentence at most.\n\nPassage: "
    prompt, extra = cuttable(task, content, "\nSummary:")
    return Example("", prompt, headline, extra=extra)


TASK = Task(
    name="tldr_headline_gen",
    about="generation: the headline of a passage",
    train=(tldr("train", "0", 7138),),
    heldout=(tldr("test", "2", 794),),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf"),
    max_new_tokens=32,
    grounded="text",
    paper=Paper(metric="rougeL", tokens=(199, 420)),
)
