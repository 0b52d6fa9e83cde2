"""MBPP, not of the paper: short Python problems, our small stand-in for training on code."""

import json

from pipeline.data.task import Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import value, words

# inspect_evals (UKGovernmentBEIS) pins this commit; its files are Parquet.
REVISION = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"


def example(row: Row) -> Example:
    text, code = (words(row, column).replace("\r\n", "\n") for column in ("text", "code"))
    asserts = [line.replace("\r\n", "\n").strip() for line in value(row, "test_list")]
    if not asserts:
        raise ValueError("no tests")
    setup = (row.get("test_setup_code") or "").replace("\r\n", "\n").strip()
    check = "\n".join([setup, *asserts] if setup else asserts) + "\n"
    prompt = f"Solve a programming problem.\n\nProblem: {text}\nTests:\n" + "\n".join(asserts) + "\n\nLanguage: python\nSolution:"
    return Example("", prompt, code, extra={"tests": json.dumps({"prefix": "", "check": check, "entry_point": ""})})


TASK = Task(
    name="mbpp",
    about="code: short Python problems; not of the paper, our small stand-in for training code",
    train=(Source("train", hub="google-research-datasets/mbpp", config="full", revision=REVISION, rows=374),),
    heldout=(Source("test", hub="google-research-datasets/mbpp", config="full", revision=REVISION, rows=500),),
    example=example,
    answer=parsers.code,
    metrics=("pass_at_1",),
    max_new_tokens=384,
)
