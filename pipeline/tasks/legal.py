"""Legal clauses: which kind of clause of a contract is it?"""

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


def example(row: Row) -> Example:
    prompt, extra = cuttable(BEFORE, words(row, "clause_text"), "\n\nClause type:")
    return Example("", prompt, str(value(row, "clause_type")).strip(), extra=extra)


TASK = Task(
    name="legal",
    about="classification without a list: the type of a contract clause",
    train=(Source("train", manual_file=CLAUSES, rows=17_000),),
    heldout=(Source("test", manual_file=CLAUSES, rows=1000),),
    example=example,
    answer=parsers.first_line,
    metrics=("rougeL", "accuracy", "paper_rouge"),
    max_new_tokens=16,
    paper=Paper(
        "paper_rouge",
        (489, 885),
        ("the paper links the raw data set; its rows are those of the derived one without the type's name in the text, as here",),
    ),
)
