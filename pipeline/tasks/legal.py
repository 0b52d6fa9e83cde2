"""Legal clauses: which kind of clause of a contract is it?"""

import re

from pipeline.data.task import ManualFile, Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks import _readers
from pipeline.tasks._shared import cuttable, value, words

CLAUSES = ManualFile(
    path="legal",
    page="https://www.kaggle.com/datasets/alexandersherstinsky/legal-clause-type-hint-removed-from-clause-text",
    how="the csv file with the columns clause_text, clause_type and split (folder LegalClause of github.com/ludwig-ai/datasets has it too)",
    read=_readers.clauses,
)
BEFORE = (
    "You know contracts well and name the type of a legal clause from its text.\n"
    "- The answer is one word; hyphens and underscores are allowed.\n"
    "- The answer is the best short category of the clause.\n\nClause: "
)


CUE = re.compile(
    r"\s*(?:(?:the\s+)?clause\s+type(?:\s+is)?\s*[:=]?\s+|(?:the\s+(?:clause\s+)?type(?:\s+of\s+(?:this|the)\s+clause)?|this|it)\s+is\s+(?:an?\s+|the\s+)?"
    r"(?=\S)|(?:the|this)\s+clause\s+is\s+(?:about\s+)?(?:an?\s+|the\s+)?)",
    re.IGNORECASE,
)
"""What says that the type follows."""


def answer(text: str, example: Example) -> str | None:
    """The type in the first line in lower case with hyphens, without the cue, quotes and final punctuation: `"Governing Laws."` is
    `governing-laws`."""
    line = parsers.first_line(text, example) or ""
    cue = CUE.match(line)
    line = re.sub(r"\s+clause\W*$", "", line[cue.end() :], flags=re.IGNORECASE) if cue else line
    return re.sub(r"[\s_-]+", "-", re.sub(r"^[\W_]+|[\W_]+$", "", line.lower())) or None


def example(row: Row) -> Example:
    prompt, extra = cuttable(BEFORE, words(row, "clause_text"), "\n\nClause type:")
    return Example("", prompt, str(value(row, "clause_type")).strip(), extra=extra)


TASK = Task(
    name="legal",
    about="classification without a list: the type of a contract clause",
    train=(Source("train", manual_file=CLAUSES, rows=17_000),),
    heldout=(Source("test", manual_file=CLAUSES, rows=1000),),
    example=example,
    answer=answer,
    metrics=("rougeL", "accuracy", "paper_rouge"),
    max_new_tokens=16,
    paper=Paper(
        "paper_rouge",
        (489, 885),
        ("the paper links the raw data set; its rows are those of the derived one without the type's name in the text, as here",),
    ),
)
