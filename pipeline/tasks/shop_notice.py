"""Embedded task: a record written out as a dispatch notice."""

from pipeline.data.task import Row, Slot, Source, Task
from pipeline.quickstart import rows
from pipeline.scoring import parsers
from pipeline.store.records import Example

FIELDS = "customer: {person} | product: {item} | quantity: {count} | color: {color} | city: {city} | day: {day}"
NOTICE = "A delivery of {count} {color} {item}s will arrive in {city} on {day}; {person} is expecting it."


def example(row: Row) -> Example:
    return Example("", f"{FIELDS.format(**row)}\nDispatch notice:", NOTICE.format(**row))


def slots(example: Example) -> list[Slot]:
    fields = (field.partition(": ") for field in example.text.partition("\n")[0].split(" | "))
    return [Slot(name, value) for name, _, value in fields if value]


TASK = Task(
    name="shop_notice",
    about="generation: a record as a sentence",
    train=(Source("train", make=rows.records),),
    heldout=(Source("heldout", make=rows.records),),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf", "exact_match"),
    max_new_tokens=64,
    stop=("\n",),
    grounded="slots",
    slots=slots,
)
