"""BoolQ: is the answer to a question yes, by a passage of Wikipedia?"""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, document, value, words

YES_NO = ("no", "yes")
COPY = (("label", "answer"),)


def example(row: Row) -> Example:
    passage, question, right = words(row, "passage"), words(row, "question"), value(row, "answer")
    if right not in (0, 1):  # true and false in the data set itself, 1 and 0 in its copy
        raise DataError(f"answer is {right!r}, where true or false is expected")
    after = f"\n\nQuestion: {question.rstrip('?').rstrip()}?\nAnswer by the passage, with yes or no only.\nAnswer:"
    prompt, extra = cuttable("Passage: ", passage, after)
    return Example("", prompt, YES_NO[int(right)], YES_NO, document(passage), extra)


def sources(split: str, rows: int) -> tuple[Source, ...]:
    """Both commits are pinned by portallib and others and hold Parquet files only."""
    return (
        Source(split, hub="google/boolq", revision="35b264d03638db9f4ce671b711558bf7ff0f80d5", rows=rows),
        Source(split, hub="aps/super_glue", config="boolq", revision="3de24cf8022e94f4ee4b9d55a6f539891524d646", rename=COPY, rows=rows),
    )


TASK = Task(
    name="boolq",
    about="classification: yes or no, by a passage",
    train=sources("train", 9427),
    heldout=sources("validation", 3270),
    example=example,
    answer=parsers.boolean,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=YES_NO,
    paper=Paper("paper_boolean", (271, 898)),
)
