"""Basic blocks, and traces of failing tests in the sandbox."""

import pytest

from pipeline.debugging.blocks import block_of_line
from pipeline.debugging.queries import Failure, first_and_last
from pipeline.debugging.traces import MAX_STEPS, WHOLE_CALL, Step, run_traced
from pipeline.sandbox import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox: {sandbox.available()}")

COUNT = """def count_up(n):
    total = 0
    for i in range(n):
        if i % 2:
            total += i
        else:
            total -= 1
    return total
"""


def test_blocks_end_where_control_may_go_elsewhere():
    program = """def f(x):
    a = x
    b = (a +
         1)
    if b:
        a = 2
        return a
    elif a:
        a = 3
    try:
        c = 1
    except ValueError:
        c = 2
    finally:
        d = 3
    while c: c -= 1
    with open(a) as g:
        e = 5
    match e:
        case 1:
            h = 1
    return c
"""
    of_line = block_of_line(program)
    assert of_line[2] == of_line[3] == of_line[4] == of_line[5] == (2, 5)
    assert of_line[6] == of_line[7] == (6, 7)
    assert of_line[9] == (9, 9)
    assert [of_line[line] for line in (11, 13, 15)] == [(11, 11), (13, 13), (15, 15)]
    assert of_line[16] == (16, 16), "the head of a loop stands alone"
    assert of_line[22] == (22, 22)
    assert block_of_line("def f(:") == {}


def test_a_trace_has_the_values_around_every_block():
    trace = run_traced(COUNT, "assert count_up(3) == 3", "block")
    assert trace.outcome == "count_up(3) gave -1"
    assert [step.lines for step in trace.steps] == [
        (2, 2),
        (3, 3),
        (4, 4),
        (7, 7),
        (3, 3),
        (4, 4),
        (5, 5),
        (3, 3),
        (4, 4),
        (7, 7),
        (3, 3),
        (8, 8),
    ]
    assert trace.steps[3] == Step("count_up", (7, 7), {"n": "3", "total": "0", "i": "0"}, {"n": "3", "total": "-1", "i": "0"})
    assert trace.steps[-1].result == "returned -1"


def test_a_block_of_several_lines_is_one_step_and_a_loop_of_one_block_several():
    program = "def f(n):\n    a = n\n    b = a + 1\n    while a:\n        a -= 1\n    return b\n"
    steps = run_traced(program, "assert f(2) == 0", "block").steps
    assert [step.lines for step in steps] == [(2, 3), (4, 4), (5, 5), (4, 4), (5, 5), (4, 4), (6, 6)]
    assert steps[0].after == {"n": "2", "a": "2", "b": "3"}


def test_lines_and_calls_are_steps_too():
    program = "def g(x):\n    return x + 1\n\ndef f(n):\n    y = g(n)\n    return y * 2\n"
    lines = run_traced(program, "assert f(1) == 0", "line").steps
    assert [(step.function, step.lines) for step in lines] == [("f", (5, 5)), ("g", (2, 2)), ("f", (6, 6))]
    calls = run_traced(program, "assert f(1) == 0", "function").steps
    assert [(step.function, step.lines, step.before, step.result) for step in calls] == [
        ("f", WHOLE_CALL, {"n": "1"}, "returned 4"),
        ("g", WHOLE_CALL, {"x": "1"}, "returned 2"),
    ]


def test_exceptions_are_shown_where_they_were_raised_and_where_they_were_caught():
    program = "def g(x):\n    return 1 // x\n\n"
    program += "def f(n):\n    try:\n        return g(n)\n    except ZeroDivisionError:\n        n = 5\n    return n\n"
    trace = run_traced(program, "assert f(0) == 1", "block")
    assert trace.outcome == "f(0) gave 5"
    assert "raised ZeroDivisionError" in next(step for step in trace.steps if step.function == "g").result
    assert run_traced(program, "assert g(0) == 1", "block").outcome.startswith("it raised ZeroDivisionError")


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("def f(n):\n    while True:\n        n += 1\n", f"it had not ended after {MAX_STEPS:,} steps"),
        (
            "def f(n):\n    while True:\n        try:\n            n += 1\n        except Exception:\n            pass\n",
            "it had not ended after",
        ),
        ("import os\ndef f(n):\n    os._exit(0)\n", "it ended by: early exit"),
        ("def f(n):\n    return [0] * (1 << 40)\n", "it raised MemoryError"),
        ("def f(n):\n    print('loralift-trace:{}')\n    return 2\n", "f(1) gave 2"),
        ("class A:\n    def __repr__(self):\n        raise ValueError\ndef f(n):\n    return A()\n", "f(1) gave <"),
        ("def f(n):\n    return f(n)\n", "it raised RecursionError"),
        ("def f(n:\n    return 1\n", "it raised SyntaxError"),
        ("raise KeyError('k')\ndef f(n):\n    return 1\n", "it raised KeyError: 'k'"),
    ],
)
def test_programs_that_do_not_end_well(program, outcome):
    trace = run_traced(program, "assert f(1) == 3", "block")
    assert trace.outcome.startswith(outcome), trace.outcome
    assert len(trace.steps) <= 400


def test_queries_show_the_first_and_last_steps_that_fit():
    trace = run_traced(COUNT, "assert count_up(3) == 3", "block")
    failure = Failure("Sum the odd numbers.", COUNT, "assert count_up(3) == 3", trace, "block")
    assert [number for number, _ in first_and_last(trace.steps, 5)] == [1, 2, 3, 11, 12]
    assert failure.steps_that_fit(lambda text: True) == 10
    assert failure.steps_that_fit(lambda text: text.count("[BLOCK-") <= 5) == 3, "two more name the form of the verdicts"
    assert failure.steps_that_fit(lambda text: False) is None
    text = failure.verdict_query(3)
    assert "[BLOCK-12] in count_up" in text
    assert "[BLOCK-3]" not in text
    assert "# before: n=3\n    total = 0\n    # after: total=0" in text
    assert "9 steps from the middle are left out" in text
    assert "[BLOCK-1] incorrect: it" in failure.repair_query(3, "[BLOCK-1] incorrect: it")
