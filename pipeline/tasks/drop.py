"""DROP: a question about a passage that takes counting, sorting or reckoning."""

import json

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, value, words

# Two public lists of pinned data sets name this commit, with the rows below; its files are Parquet.
REVISION = "95cda593fae71b60b5b19f82de3fcf3298c1239c"


def example(row: Row) -> Example:
    passage, question = words(row, "passage"), words(row, "question")
    answers = value(row, "answers_spans")
    if not answers["spans"] or not answers["spans"][0].strip():
        raise ValueError("no answer")
    prompt, extra = cuttable("Passage: ", passage, f"\nQuestion: {question}\nAnswer briefly, in words of the passage.\nAnswer:")
    tests = json.dumps(annotated(answers["spans"], answers["types"]), ensure_ascii=False)
    return Example("", prompt, answers["spans"][0], group=row.get("section_id") or passage, extra={**extra, "tests": tests})


def annotated(spans: list[str], types: list[str]) -> list[list[str]]:
    """The annotated answers, each a list of spans, as far as they can be separated.

    The data set lists the spans of all annotators together. If the list repeats one block, that block is the answer.
    Otherwise every span is an answer, and so are all of them together if they are words rather than numbers or dates.
    """
    for size in range(1, len(spans) // 2 + 1):
        if spans == spans[:size] * (len(spans) // size):
            return [spans[:size]]
    several = [spans] if len(spans) > 1 and set(types) == {"span"} else []
    return [[span] for span in dict.fromkeys(spans)] + several


def accepted(example: Example) -> list[str]:
    """The spans of all annotated answers."""
    return [span for spans in json.loads(example.extra["tests"]) for span in spans]


TASK = Task(
    name="drop",
    about="question answering: reckoning over a passage",
    train=(Source("train", hub="ucinlp/drop", revision=REVISION, rows=77400),),
    heldout=(Source("validation", hub="ucinlp/drop", revision=REVISION, rows=9535),),
    example=example,
    answer=parsers.first_line,
    metrics=("drop_f1", "drop_em", "paper_rouge"),
    max_new_tokens=32,
    grounded="text",
    accepted=accepted,
    paper=Paper(
        metric="paper_rouge",
        tokens=(571, 2275),
        differs=(
            "rows whose answer is a number or a date stay in; the paper's script lost them",
            "each question keeps its own answer; the paper's script took answers from other rows",
            "the target is the first annotated span, as in the paper; drop_f1 and drop_em know all of them",
        ),
    ),
)
