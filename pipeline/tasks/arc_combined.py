"""ARC, easy and challenge: school questions of science with a few options."""

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import one_of, value, words

HUB, REVISION = "allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453"
"""The commit is pinned by portallib and others; it holds Parquet files only."""


def example(row: Row) -> Example:
    labels, texts = tuple(value(row, "choices")["label"]), value(row, "choices")["text"]
    if len(set(labels)) < 2 or len(set(labels)) < len(labels) or len(labels) != len(texts):
        raise DataError(f"choices are labelled {', '.join(labels)} for {len(texts)} texts")
    options = "\n".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))
    prompt = f"Question: {words(row, 'question')}\nOptions:\n{options}\nReply with one of these labels only: {', '.join(labels)}.\nAnswer:"
    return Example("", prompt, one_of(row, "answerKey", labels), labels)


def both(split: str, easy: int, challenge: int) -> tuple[Source, ...]:
    """The easy questions first, as the paper has them; the ids of the examples say which kind they are of."""
    counts = {"ARC-Easy": easy, "ARC-Challenge": challenge}
    parts = tuple(Source(split, hub=HUB, config=config, revision=REVISION, rows=rows) for config, rows in counts.items())
    return (Source(split, parts=parts, rows=easy + challenge),)


TASK = Task(
    name="arc_combined",
    about="multiple choice: science questions of school, three to five options",
    train=both("train", 2251, 1119),
    heldout=both("test", 2376, 1172),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy",),
    max_new_tokens=4,
    paper=Paper(
        "accuracy",
        (143, 232),
        (
            "the paper scored the first 1,000 rows, which are ARC-Easy alone; which part an example is of stands in its id",
            "the paper names its rule but no code of it is known; ours takes the first label in the output",
        ),
    ),
)
