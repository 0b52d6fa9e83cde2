"""HellaSwag: which of four endings goes on with a passage?"""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, one_of, value, words

NUMBERS = ("0", "1", "2", "3")


def example(row: Row) -> Example:
    endings = value(row, "endings")
    if len(endings) != len(NUMBERS):
        raise DataError(f"endings are {len(endings)}, where {len(NUMBERS)} are expected")
    listed = "\n".join(f'{number}: "{ending.strip()}"' for number, ending in zip(NUMBERS, endings, strict=True))
    after = f"\n\nEndings:\n{listed}\nWhich ending goes on best with the passage? Answer with its number.\nNumber:"
    prompt, extra = cuttable("Unfinished passage: ", words(row, "ctx"), after)
    return Example("", prompt, one_of(row, "label", NUMBERS), NUMBERS, str(row.get("source_id") or ""), extra)


def sources(split: str, rows: int) -> tuple[Source, ...]:
    """The commit is pinned by portallib and others; it holds Parquet files only."""
    return (Source(split, hub="Rowan/hellaswag", revision="218ec52e09a7e7462a5400043bb9a69a41d06b76", rows=rows),)


TASK = Task(
    name="hellaswag",
    about="multiple choice: the ending of a passage, of four",
    train=sources("train", 39_905),
    heldout=sources("validation", 10_042),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_digit"),
    max_new_tokens=4,
    choices=NUMBERS,
    paper=Paper(
        "paper_digit",
        (341, 407),
        (
            "the paper's table swaps validation and test; the labelled split of 10,042 rows was scored and is held out here",
            "the endings are listed one a line, each with its number",
        ),
    ),
)
