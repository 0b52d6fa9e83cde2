"""Jigsaw: is a comment on a Wikipedia talk page toxic?"""

from pipeline.data.task import ManualFile, Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks import _readers
from pipeline.tasks._shared import cuttable, numbered, words

YES_NO = ("no", "yes")
CHALLENGE = "jigsaw-toxic-comment-classification-challenge"
FILES = ManualFile(
    path="jigsaw",
    page=f"https://www.kaggle.com/c/{CHALLENGE}/data",
    how="train.csv, test.csv and test_labels.csv, each unzipped,",
    read=_readers.comments,
)
BEFORE = """You are a careful moderator and decide whether a comment is toxic. A comment is toxic if it does any of these:
1. repeats stereotypes of a group
2. belittles somebody for their gender
3. uses slurs
4. is racist
5. makes light of another culture or takes it as a costume
6. mocks people, for a disability or otherwise
7. treats people as objects
8. is hostile to homosexual people
9. is careless about suffering in history
10. attacks a religion or its followers
11. denies the worth of a person
12. makes light of illness of body or mind
Reply with yes or no only, and never with nothing. The reply is right if it is the label that people gave to the comment.

Comment: """


def example(row: Row) -> Example:
    prompt, extra = cuttable(BEFORE, words(row, "comment_text"), "\n\nIs the comment toxic, yes or no?\nAnswer:")
    return Example(str(row.get("id") or ""), prompt, numbered(row, "toxic", YES_NO), YES_NO, extra=extra)


def is_labelled(row: Row) -> bool:
    return row.get("toxic") not in (-1, "-1")


TRAIN = Source("train", hub=f"thesofakillers/{CHALLENGE}", files=("train.csv",), rows=159_571)
TEST = Source(
    "test",
    hub=f"tcapelle/{CHALLENGE}",
    revision="2bf801de1b879f287943ecfc81fdca8690d9fc61",  # a copy as Parquet; a public study of activation steering pins it
    keep=is_labelled,
    rows=63_978,
)

TASK = Task(
    name="jigsaw",
    about="classification: is a comment toxic, yes or no",
    train=(TRAIN, Source("train", manual_file=FILES, rows=159_571)),
    heldout=(TEST, Source("test", manual_file=FILES, rows=63_978)),
    example=example,
    answer=parsers.boolean,
    metrics=("accuracy", "paper_boolean"),
    max_new_tokens=4,
    choices=YES_NO,
    paper=Paper(
        "paper_boolean",
        (601, 715),
        (
            "how the paper made one label of six is not published; here a comment is toxic if its label toxic is 1",
            "the paper's link leads to another competition than its row counts; test comments without a label are left out here",
        ),
    ),
)
