"""HellaSwag without its choices: the end of an unfinished passage."""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import value, words

# inspect_evals (UKGovernmentBEIS) pins this commit; its files are Parquet.
REVISION = "218ec52e09a7e7462a5400043bb9a69a41d06b76"
TASK_TEXT = """Finish a passage that breaks off.

Passage: A boy sets a kettle on the stove and lights the flame under it. When it whistles, he
Ending: pours the water over a bag of tea and waits for it to cool.

Passage: """


def example(row: Row) -> Example:
    """The passage is never cut: the ending goes on where it stops."""
    passage, endings, label = words(row, "ctx"), value(row, "endings"), value(row, "label")
    if str(label) not in [str(place) for place in range(len(endings))]:
        raise ValueError(f"label {label!r} is none of the {len(endings)} endings")
    return Example("", f"{TASK_TEXT}{passage}\nEnding:", endings[int(label)].strip(), group=str(row.get("source_id") or ""))


TASK = Task(
    name="hellaswag_processed",
    about="generation: the end of an unfinished passage",
    train=(Source("train", hub="Rowan/hellaswag", revision=REVISION, rows=39905),),
    heldout=(Source("validation", hub="Rowan/hellaswag", revision=REVISION, rows=10042),),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf"),
    max_new_tokens=96,
    paper=Paper(
        metric="rougeL",
        tokens=(185, 205),
        differs=(
            "the validation split is scored, as in the paper, whose Figure 2 swaps its size with that of the unlabelled test split",
            "each passage keeps its own ending; the paper's script took endings from other rows",
            "the worked example, invented as in the paper, is another",
        ),
    ),
)
