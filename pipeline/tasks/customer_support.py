"""Harper Valley: why does a customer call the bank?"""

from pipeline.data.task import ManualFile, Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks import _readers
from pipeline.tasks._shared import cuttable, one_of, words

REASONS = (
    "replace card", "transfer money", "check balance", "order checks", "pay bill", "reset password", "schedule appointment",
    "get branch hours", "none of the above",
)  # fmt: skip
PAGE = "https://github.com/cricketclub/gridspace-stanford-harper-valley"
CALLS = ManualFile(
    path="customer_support",
    page=PAGE,
    how=f"git clone --depth 1 --filter=blob:none --sparse {PAGE} {{place}} && "
    "git -C {place} sparse-checkout set data/metadata data/transcript",
    read=_readers.calls,
)


def example(row: Row) -> Example:
    listed = "\n".join(f"- {reason}" for reason in REASONS)
    before = f"The task type of a call is the reason why the caller rings up the bank. It is one of these:\n{listed}\n\nTranscript:\n"
    prompt, extra = cuttable(before, words(row, "text"), "\n\nTask type:")
    return Example(str(row.get("sid") or ""), prompt, one_of(row, "task", REASONS), REASONS, extra=extra)


TASK = Task(
    name="customer_support",
    about="classification: the reason of a call, nine kinds",
    train=(Source("train", manual_file=CALLS),),
    heldout=(Source("test", manual_file=CALLS),),
    example=example,
    answer=parsers.choice,
    metrics=("accuracy", "paper_contains"),
    max_new_tokens=8,
    choices=REASONS,
    paper=Paper(
        "paper_contains",
        (377, 679),
        (
            "the split of the paper was never published; ours holds out a fifth of the calls, by the hash of their ids",
            "the paper's rows are more than there are calls; ours has one row a call",
            "each line of the transcript begins with agent or caller",
        ),
    ),
)
