"""Magicoder: programming problems in several languages to learn from, HumanEval to be scored on."""

import json

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import value, words

# inspect_evals (UKGovernmentBEIS) pins this commit; its files are Parquet.
REVISION = "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"


def example(row: Row) -> Example:
    return problem_of_humaneval(row) if "canonical_solution" in row else problem_of_magicoder(row)


def problem_of_magicoder(row: Row) -> Example:
    return Example("", prompt_of(words(row, "problem"), words(row, "lang")), words(row, "solution"))


def problem_of_humaneval(row: Row) -> Example:
    """The target is the whole function; the metrics put its head before a body that comes without."""
    head, body, test, name = (value(row, column) for column in ("prompt", "canonical_solution", "test", "entry_point"))
    tests = {"prefix": head, "check": f"{test}\ncheck({name})\n", "entry_point": name}
    return Example("", prompt_of(head, "python"), (head + body).strip(), extra={"tests": json.dumps(tests)})


def prompt_of(problem: str, language: str) -> str:
    return f"Solve a programming problem in the language that is named.\n\nProblem:\n{problem.strip()}\n\nLanguage: {language}\nSolution:"


TASK = Task(
    name="magicoder",
    about="code: problems in several languages; scored on HumanEval",
    train=(
        Source("train", hub="ise-uiuc/Magicoder-OSS-Instruct-75K", files=("data-oss_instruct-decontaminated.jsonl",), rows=75197),
        Source("train", hub="ise-uiuc/Magicoder-OSS-Instruct-75K", rows=75197),
    ),
    heldout=(Source("test", hub="openai/openai_humaneval", config="openai_humaneval", revision=REVISION, rows=164),),
    example=example,
    answer=parsers.code,
    metrics=("pass_at_1",),
    max_new_tokens=512,
    paper=Paper(
        metric="pass_at_1",
        tokens=(805, 1661),
        differs=("the paper's code for running the tests is not published; ours takes the fenced block if there is one, else the text",),
    ),
)
