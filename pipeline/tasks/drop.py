"""DROP: a question about a passage that takes counting, sorting or reckoning."""

import json
import re
from itertools import pairwise

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.metrics.drop import joined
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import cuttable, value, words

# Two public lists of pinned data sets name this commit, with the rows below; its files are Parquet.
REVISION = "95cda593fae71b60b5b19f82de3fcf3298c1239c"

COMMON = {"the", "a", "an", "of", "and", "in", "to"}
"""Words that say nothing of whether two spans mean one thing."""
ALL_ANNOTATORS = "annotations"
"""Column of the held-out rows: the spans of several annotators in one list. Those of a training row are one annotator's."""


def example(row: Row) -> Example:
    passage, question = words(row, "passage"), words(row, "question")
    read = told_apart if ALL_ANNOTATORS in row else annotated
    spans = value(row, ALL_ANNOTATORS if ALL_ANNOTATORS in row else "answers_spans")
    if not spans["spans"] or not spans["spans"][0].strip():
        raise ValueError("no answer")
    answers = read(spans["spans"], spans["types"])
    prompt, extra = cuttable("Passage: ", passage, f"\nQuestion: {question}\nAnswer briefly, in words of the passage.\nAnswer:")
    tests = json.dumps(answers, ensure_ascii=False)
    return Example("", prompt, joined(answers[0]), group=row.get("section_id") or passage, extra={**extra, "tests": tests})


def annotated(spans: list[str], types: list[str]) -> list[list[str]]:
    """The right answers of a training row, each a list of spans; the first, which is trained, is the target."""
    if block := repeated(spans):
        return [block]
    alone = [[span] for span in dict.fromkeys(spans)]
    return [spans, *alone] if len(spans) > 1 and set(types) == {"span"} and not share_words(spans) else alone


def told_apart(spans: list[str], types: list[str]) -> list[list[str]]:
    """The right answers of a held-out row, each a list of spans, of which no part is an answer; the first is the target.

    If the list consists of blocks with the same spans, in whatever order, a block is the answer of every annotator. A number or a date is
    always an annotator's whole answer, and so are spans that say one thing in more and fewer words.

    Raises:
        ValueError: other spans may be one annotator's answer of several, or answers of several annotators.
    """
    if block := repeated(spans):
        return [block]
    texts = [span for span, kind in zip(spans, types, strict=True) if kind == "span"]
    block = repeated(texts)
    if not block and not one_thing(texts):
        raise ValueError(f"it cannot be told which spans one annotator gave: {', '.join(texts)}")
    if block and len(block) > 1:
        return [block, *([span] for span in dict.fromkeys(spans) if span not in texts)]
    return [[span] for span in dict.fromkeys(spans)]


def repeated(spans: list[str]) -> list[str] | None:
    """The first of at least two blocks with the same spans of which the list consists; None if it does not."""
    for size in range(1, len(spans) // 2 + 1):
        blocks = [sorted(span.casefold() for span in spans[start : start + size]) for start in range(0, len(spans), size)]
        if all(block == blocks[0] for block in blocks):
            return spans[:size]
    return None


def one_thing(spans: list[str]) -> bool:
    """Whether of any two spans one has all words of the other, as `Bears` and `the Chicago Bears`."""
    words = sorted(({*re.findall(r"\w+", span.casefold())} - COMMON for span in spans), key=len)
    return all(short and short <= long for short, long in pairwise(words))


def share_words(spans: list[str]) -> bool:
    """Whether two spans have a word in common, as two annotators' ways of saying one thing do."""
    words = [set(re.findall(r"\w+", span.casefold())) - COMMON for span in spans]
    return sum(map(len, words)) > len(set().union(*words))


def accepted(example: Example) -> list[str]:
    """The spans of all annotated answers."""
    return [span for spans in json.loads(example.extra["tests"]) for span in spans]


TASK = Task(
    name="drop",
    about="question answering: discrete reasoning over paragraphs",
    train=(Source("train", hub="ucinlp/drop", revision=REVISION, rows=77400),),
    heldout=(Source("validation", hub="ucinlp/drop", revision=REVISION, rename=(("answers_spans", ALL_ANNOTATORS),), rows=9535),),
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
            "rows are left out where the spans of several annotators cannot be told apart",
            "the target is the first annotated answer with all its spans, of which the paper took the first; drop_f1 and drop_em know all",
        ),
    ),
)
