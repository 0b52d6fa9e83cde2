"""Embedded task: the order in a letter as a JSON record."""

import json

from pipeline.data.task import Row, Source, Task
from pipeline.quickstart import rows
from pipeline.scoring import parsers
from pipeline.store.records import Example


def example(row: Row) -> Example:
    record = {"customer": row["person"], "product": row["item"], "quantity": row["count"], "city": row["city"], "day": row["day"]}
    return Example("", f"Message: {row['text']}\nRecord:", json.dumps(record, sort_keys=True))


TASK = Task(
    name="shop_extraction",
    about="structured output: a letter's order as JSON",
    train=(Source("train", make=rows.letters),),
    heldout=(Source("heldout", make=rows.letters),),
    example=example,
    answer=parsers.json,
    metrics=("json_field_f1", "exact_match"),
    max_new_tokens=80,
    stop=("\n",),
    grounded="text",
)
