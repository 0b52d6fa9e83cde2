"""Embedded task: a record written out as a dispatch notice."""

from pipeline import answers
from pipeline.quickstart import rows
from pipeline.records import Example
from pipeline.task import Row, Source, Task


def example(row: Row) -> Example:
    fields = f"customer: {row['person']} | product: {row['item']} | quantity: {row['count']} | color: {row['color']} | city: {row['city']} | day: {row['day']}"
    notice = f"A delivery of {row['count']} {row['color']} {row['item']}s will arrive in {row['city']} on {row['day']}; {row['person']} is expecting it."
    return Example("", f"{fields}\nDispatch notice:", notice)


TASK = Task(
    name="quickstart_notice",
    about="generation: a record as a sentence",
    source=Source(make=rows.records),
    example=example,
    answer=answers.text,
    metrics=("rougeL", "chrf", "exact_match"),
    max_new_tokens=64,
    stop=("\n",),
)
