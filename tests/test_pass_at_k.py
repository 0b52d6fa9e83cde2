"""pass@1 and pass@k: how a program is put together, what passes, and the estimator; canonical solutions of real data."""

import gzip
import itertools
import json
import random
from fractions import Fraction
from math import comb

import numpy as np
import pytest

from pipeline import metrics
from pipeline.errors import DataError
from pipeline.metrics.base import MeanMetric
from pipeline.metrics.pass_at_1.pass_at_1 import program, unmeetable, with_tests
from pipeline.metrics.pass_at_k.pass_at_k import estimate
from pipeline.sandbox import sandbox
from tests.tiny import SHARED

needs_walls = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox on this machine: {sandbox.available()}")
pytestmark = needs_walls

PREFIX = '''from typing import List


def half(x: int) -> int:
    return x // 2


def middle(xs: List[int]) -> int:
    """The element in the middle.

    >>> middle([1, 2, 3])
    2
    """
'''
CHECK = "def check(candidate):\n    assert candidate([1, 2, 3]) == 2\n    assert candidate([7]) == 7 and half(4) == 2\n\ncheck(middle)\n"
PROBLEM = json.dumps({"prefix": PREFIX, "check": CHECK, "entry_point": "middle"})
STATEMENTS = json.dumps({"prefix": "", "check": "xs = [1, 2, 3]\nassert middle(xs) == 2\nassert middle([7]) == 7\n", "entry_point": ""})
BODY = "    return xs[half(len(xs))]\n"
WHOLE = "def middle(xs):\n    return xs[len(xs) // 2]"
RIGHT = {
    "body": BODY,
    "body without a line end": BODY.rstrip("\n"),
    "body and another function": BODY + "\n\ndef other():\n    return 1\n",
    "body and a check of its own": BODY + "\n\ndef check(candidate):\n    assert False\n",
    "body and a main block": BODY + "\n\nif __name__ == '__main__':\n    import doctest\n    doctest.testmod()\n    raise SystemExit(1)\n",
    "body and a right test": BODY + "\nassert middle([1]) == 1\nprint(middle([1]))",
    "body and a use of it": BODY + "\nmiddle([1])\nmiddle == middle\n",
    "function": WHOLE,
    "function and imports": f"import math\n\n\n{WHOLE}\n",
    "function with the hints of the prefix": "def middle(xs: List[int]) -> int:\n" + BODY,
    "the prompt again": PREFIX + BODY,
    "function after a helper": "def third(x):\n    return x\n\n" + WHOLE,
    "lambda": "middle = lambda xs: xs[len(xs) // 2]",
    "import from the future": f"from __future__ import annotations\n{WHOLE}",
    "windows": WHOLE.replace("\n", "\r\n"),
    "nested": "    def inner(ys):\n        return ys[len(ys) // 2]\n    return inner(xs)",
    "name in a comparison": "    if half == 3:\n        return 0\n" + BODY,
}
WRONG = {
    "nothing": ("", "assertion failed"),
    "wrong body": ("    return xs[0]", "assertion failed"),
    "wrong function": ("def middle(xs):\n    return xs[-1]", "assertion failed"),
    "other name": ("def center(xs):\n    return xs[len(xs) // 2]", "assertion failed"),
    "chatter": ("Here is the function you want.", "syntax error"),
    "exit": ("    import sys; sys.exit(0)", "early exit"),
    "exit at the top": (f"{WHOLE}\nimport os\nos._exit(0)", "early exit"),
    "cut off": ("def middle(xs):\n    '''The mid", "syntax error"),
    "cut off in a block": ("def middle(xs):\n    if xs:", "syntax error"),
    "unknown name": ("    return math.floor(xs)", "error: NameError: name 'math' is not defined"),
}


def compute(name, predictions, references, **options):
    return metrics.load(name, **options).compute(predictions=predictions, references=references, per_example=True, statistics=True)


def test_right_code_passes_in_every_form():
    result = compute("pass_at_1", list(RIGHT.values()), [PROBLEM] * len(RIGHT))
    assert dict(zip(RIGHT, result["pass_at_1_reasons"], strict=True)) == dict.fromkeys(RIGHT, "passed")
    assert result["pass_at_1"] == 1
    assert result["pass_at_1_statistics"] == [[1, 1]] * len(RIGHT)


def test_wrong_code_fails_with_its_reason():
    codes, reasons = zip(*WRONG.values(), strict=True)
    result = compute("pass_at_1", list(codes), [PROBLEM] * len(WRONG))
    assert dict(zip(WRONG, result["pass_at_1_reasons"], strict=True)) == dict(zip(WRONG, reasons, strict=True))
    assert result["pass_at_1"] == 0


def together(reference):
    """The same tests with a use of what a process has for itself, so that they run in the program's."""
    return json.dumps({**json.loads(reference), "check": "import io\n" + json.loads(reference)["check"]})


EQUAL = "class Anything:\n    def __eq__(self, other):\n        return True\n\n\n"
FAKED = """
def middle(xs):
    import sys
    frame = sys._getframe()
    while "report_write" not in frame.f_locals:
        frame = frame.f_back
    harness = frame.f_locals
    harness["write"](harness["report_write"], harness["read"](harness["token_read"], 32))
    harness["leave"](0)
"""
NUMBERS = """
def middle(xs):
    import os
    for ask in range(3, 64):
        try:
            os.set_blocking(ask, False)
            word = os.read(ask, 32)
        except OSError:
            continue
        for tell in range(3, 64):
            try: os.write(tell, word)
            except OSError: pass
    os._exit(0)
"""
FAKES = {
    "equal to everything": EQUAL + "def middle(xs):\n    return Anything()",
    "equal to everything, from the library": "from unittest.mock import ANY\n\n\ndef middle(xs):\n    return ANY",
    "the frames of the harness": FAKED,
    "the file numbers of the harness": NUMBERS,
}
CHECKS = {
    "a function": PROBLEM,
    "statements": STATEMENTS,
    "the right answer first": json.dumps({"prefix": "", "check": "assert 2 == middle([1, 2, 3])\n", "entry_point": ""}),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", FAKES)
def test_a_program_that_passes_whatever_is_expected_does_not_pass(name, check):
    result = compute("pass_at_1", [FAKES[name], WHOLE], [together(CHECKS[check])] * 2)
    reasons = {"passes any test", "early exit"} if name == "the file numbers of the harness" else {"passes any test"}  # it exits at once
    assert result["pass_at_1_reasons"][0] in reasons
    assert result["pass_at_1_reasons"][1] == "passed"
    assert result["pass_at_1_per_example"] == [0, 1]


@pytest.mark.parametrize(
    ("check", "altered"),
    [
        ("assert f(1) == 2", "assert f(1) == [['no answer is this']]"),
        ("assert 2 == f(1)", "assert [['no answer is this']] == f(1)"),
        ("assert f(1) == 2 and g(1)\nassert g(2)", "assert f(1) == [['no answer is this']] and g(1)\nassert g(2)"),
        ("assert abs(f(1) - 2) < 1e-6\nassert True", "assert not abs(f(1) - 2) < 1e-06\nassert True"),
    ],
)
def test_tests_that_no_answer_meets(check, altered):
    assert json.loads(unmeetable(json.dumps({"prefix": "p", "check": check, "entry_point": "f"})))["check"] == f"{altered}\n"


@pytest.mark.parametrize("check", ["", "print(f(1))", "assert True", "assert ("])
def test_without_a_test_there_is_nothing_to_alter(check):
    assert unmeetable(json.dumps({"prefix": "", "check": check, "entry_point": ""})) == ""


def test_check_of_plain_statements():
    result = compute("pass_at_1", [WHOLE, WHOLE.replace("2", "9"), ""], [STATEMENTS] * 3)
    assert result["pass_at_1_reasons"] == ["passed", "assertion failed", "error: NameError: name 'middle' is not defined"]
    assert result["pass_at_1"] == pytest.approx(1 / 3)
    assert result["pass_at_1_per_example"] == [1, 0, 0]


def test_a_whole_function_keeps_imports_and_helpers_of_the_prefix_but_not_its_stub():
    text = program(WHOLE, PROBLEM)
    assert text.count("def middle(") == 1
    assert text.startswith("from typing import List\n\n\ndef half(x: int)")
    assert program(BODY, PROBLEM) == PREFIX + BODY + "\n" + CHECK


@pytest.mark.parametrize("reference", ["", "[]", "{}", '{"prefix": "", "check": ""}', '{"prefix": "", "check": 1, "entry_point": ""}'])
def test_tests_that_cannot_be_read_are_an_error(reference):
    with pytest.raises(DataError, match="tests of a programming example"):
        compute("pass_at_1", [WHOLE], [reference])


def test_equal_programs_run_once(monkeypatch):
    ran, run_all = [], sandbox.run_all
    monkeypatch.setattr(sandbox, "run_all", lambda programs, **options: ran.extend(programs) or run_all(programs, **options))
    metric = metrics.load("pass_at_1", workers=2)
    metric.compute(predictions=[WHOLE, WHOLE, BODY], references=[PROBLEM] * 3, per_example=True)
    assert metric.statistics(WHOLE, PROBLEM) == [1, 1]
    assert ran == [with_tests(WHOLE, PROBLEM), with_tests(BODY, PROBLEM)]


def test_tests_in_the_process_of_a_program_run_once_and_once_more_altered(monkeypatch):
    ran, run_all = [], sandbox.run_all
    monkeypatch.setattr(sandbox, "run_all", lambda programs, **options: ran.extend(programs) or run_all(programs, **options))
    shared = together(PROBLEM)
    metric = metrics.load("pass_at_1", workers=2)
    metric.compute(predictions=[WHOLE, WHOLE, BODY], references=[shared] * 3, per_example=True)
    control = unmeetable(shared)
    assert ran == [program(WHOLE, shared), program(BODY, shared), program(WHOLE, control), program(BODY, control)]


def test_properties_that_other_parts_rely_on():
    one, many = metrics.load("pass_at_1"), metrics.load("pass_at_k")
    assert (one.name, one.reads, one.zero_one, isinstance(one, MeanMetric)) == ("pass_at_1", "tests", True, True)
    assert (many.name, many.reads, many.zero_one, isinstance(many, MeanMetric), many.k) == ("pass_at_k", "samples", False, True, 10)


@pytest.mark.parametrize(("n", "c", "k"), [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)])
def test_estimate_is_the_share_of_draws_with_a_pass(n, c, k):
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert estimate(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


def test_estimate_is_exact_for_many_samples():
    for n, c, k in [(200, 1, 1), (200, 3, 100), (10_000, 1, 10), (10_000, 5_000, 3), (1_000, 999, 1), (200, 101, 100)]:
        assert estimate(n, c, k) == pytest.approx(float(1 - Fraction(comb(n - c, k), comb(n, k))), rel=1e-11)


def test_estimate_is_unbiased():
    rng = np.random.default_rng(0)
    estimates = [estimate(12, int(c), 4) for c in rng.binomial(12, 0.2, 40_000)]
    assert np.mean(estimates) == pytest.approx(1 - 0.8**4, abs=0.005)


def test_fewer_samples_than_k():
    assert estimate(3, 0, 10) == 0
    assert estimate(3, 1, 10) == 1


def test_pass_at_k_counts_the_samples_that_pass():
    wrong = WRONG["wrong body"][0]
    predictions = [json.dumps([WHOLE, BODY, wrong, wrong]), json.dumps([wrong, wrong, WRONG["exit"][0], wrong]), json.dumps([BODY])]
    result = compute("pass_at_k", predictions, [PROBLEM] * 3, k=2)
    assert result["pass_at_k_per_example"] == pytest.approx([1 - 1 / 6, 0, 1])
    assert result["pass_at_k"] == pytest.approx((2 - 1 / 6) / 3)
    assert result["pass_at_k_reasons"] == ["2 passed, 2 assertion failed", "3 assertion failed, 1 early exit", "1 passed"]


@pytest.mark.parametrize("prediction", ["", "[]", "[1]", '"x"', WHOLE])
def test_samples_that_are_no_list_are_an_error(prediction):
    with pytest.raises(DataError, match="JSON list"):
        compute("pass_at_k", [prediction], [PROBLEM])


def test_k_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        metrics.load("pass_at_k", k=0)


def rows(name: str) -> list[dict]:
    path = SHARED / "data" / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip("no shared data beside the repository")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def humaneval() -> tuple[list[dict], list[str]]:
    problems = rows("humaneval/test")
    checks = [f"{row['test']}\ncheck({row['entry_point']})\n" for row in problems]
    tests = [
        {"prefix": row["prompt"], "check": check, "entry_point": row["entry_point"]} for row, check in zip(problems, checks, strict=True)
    ]
    return problems, [json.dumps(test) for test in tests]


def test_all_real_tests_run_in_a_process_of_their_own():
    _, references = humaneval()
    mbpp = [
        "\n".join([row["test_setup_code"], *row["test_list"]]) for split in ("train", "validation", "test") for row in rows(f"mbpp/{split}")
    ]
    references += [json.dumps({"prefix": "", "check": check, "entry_point": ""}) for check in mbpp]
    assert len(references) == 1128
    assert all(with_tests("", reference) for reference in references)


def failed(predictions: list[str], references: list[str], ids: list[str]) -> dict[str, str]:
    result = compute("pass_at_1", predictions, references)
    return {name: reason for name, reason in zip(ids, result["pass_at_1_reasons"], strict=True) if reason != "passed"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["body", "whole function", "function without the prompt's imports and helpers"])
def test_canonical_solutions_of_humaneval_pass(form):
    problems, references = humaneval()
    forms = {"body": lambda head, row: "", "whole function": lambda head, row: head}
    cut = lambda head, row: head[head.rindex(f"def {row['entry_point']}(") :]  # noqa: E731
    codes = [forms.get(form, cut)(row["prompt"], row) + row["canonical_solution"] for row in problems]
    assert failed(codes, references, [row["task_id"] for row in problems]) == {}
    assert len(codes) == 164


@pytest.mark.slow
def test_wrong_solutions_of_humaneval_fail():
    """Each problem gets the body of another one."""
    problems, references = humaneval()
    codes = [row["canonical_solution"] for row in problems[1:] + problems[:1]]
    failures = failed(codes, references, [row["task_id"] for row in problems])
    assert len(failures) == 164
    assert {reason.split(":")[0] for reason in failures.values()} <= {"assertion failed", "error"}


@pytest.mark.slow
@pytest.mark.parametrize(("split", "count"), [("train", 374), ("validation", 90), ("test", 500)])
def test_canonical_solutions_of_mbpp_pass(split, count):
    problems = rows(f"mbpp/{split}")
    tests = [{"prefix": "", "check": "\n".join([row["test_setup_code"], *row["test_list"]]), "entry_point": ""} for row in problems]
    assert failed([row["code"] for row in problems], [json.dumps(test) for test in tests], [row["task_id"] for row in problems]) == {}
    assert len(problems) == count


@pytest.mark.slow
def test_pass_at_k_over_real_samples():
    problems, references = humaneval()
    rng = random.Random(0)
    right = [rng.randrange(4) for _ in range(20)]
    samples = [[row["canonical_solution"]] * c + ["    return None"] * (3 - c) for row, c in zip(problems, right, strict=False)]
    result = compute("pass_at_k", [json.dumps(texts) for texts in samples], references[:20], k=2)
    assert result["pass_at_k_per_example"] == pytest.approx([[0, 2 / 3, 1, 1][c] for c in right])
