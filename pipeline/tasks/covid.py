"""Coronavirus tweets: what is the sentiment of a tweet, in five classes?"""

from pipeline.data.task import ManualFile, Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks import _readers
from pipeline.tasks._shared import cuttable, one_of, words

CLASSES = ("Extremely Positive", "Positive", "Neutral", "Negative", "Extremely Negative")
PAGE = "https://www.kaggle.com/datasets/datatattle/covid-19-nlp-text-classification"
BEFORE = (
    f"These tweets were written in the corona pandemic. Their sentiment is one of {len(CLASSES)} classes: {', '.join(CLASSES)}.\n"
    "Judge by the text, the time and the place of the tweet, and name exactly one class.\n\nTweet: "
)


def example(row: Row) -> Example:
    time, place = (str(row.get(column) or "").strip() or "unknown" for column in ("TweetAt", "Location"))
    prompt, extra = cuttable(BEFORE, words(row, "OriginalTweet"), f"\nTime: {time}\nPlace: {place}\nSentiment:")
    return Example("", prompt, one_of(row, "Sentiment", CLASSES), CLASSES, extra=extra)


def source(split: str, rows: int) -> tuple[Source, ...]:
    name = f"Corona_NLP_{split}.csv"
    return (Source(split, manual_file=ManualFile(f"covid/{name}", PAGE, name, read=_readers.tweets), rows=rows),)


TASK = Task(
    name="covid",
    about="classification: sentiment of a tweet, five classes",
    train=source("train", 41_157),
    heldout=source("test", 3798),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_accuracy"),
    max_new_tokens=8,
    choices=CLASSES,
    paper=Paper(
        "paper_accuracy",
        (223, 292),
        (
            "the paper trained on 37,361 rows, probably the whole training file less as many as the test has; ours draws from all of it",
            "the paper names its rule but no code of it is known; ours takes the paper's plain accuracy",
        ),
    ),
)
