"""The tests that a prompt shows, in every form that HumanEval, MBPP and people write them in."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.debugging.visible_tests import visible_tests
from pipeline.sandbox import sandbox

DATA = Path(__file__).parents[2] / "shared" / "data"
NO_SANDBOX = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox: {sandbox.available()}")

CASES = {
    "session": (
        'def f(x):\n    """Doubles.\n    >>> f(2)\n    4\n    >>> f(3)\n    6\n    """\n',
        ["assert f(2) == 4", "assert f(3) == 6"],
    ),
    "end of the docstring on the line": ('def f(x):\n    """ >>> f(2)\n    4"""\n', ["assert f(2) == 4"]),
    "over lines": (">>> f([1,\n...    2])\n[2, 4]\n", ["assert f([1, 2]) == [2, 4]"]),
    "comment behind the call": (">>> round(f(2), 2) # as 2 x 2\n4\n", ["assert round(f(2), 2) == 4"]),
    "arrows": ("f(1) => 2\nf(2) ➞ 4\nf(3) -> 6\nf(4) == 8\nf(5) = 10\n", [f"assert f({n}) == {2 * n}" for n in range(1, 6)]),
    "words": ("f(2) returns 4, f(3) should return 6.\n", ["assert f(2) == 4", "assert f(3) == 6"]),
    "truth": ("f(2) ➞ True # yes\n>>> f(3)\nNone\n", ["assert f(3) is None", "assert f(2) is True"]),
    "calculation": ("f(2) = 1 + 3 = 4\n", []),
    "names that nothing defines": ("f(abc) => 1\n", []),
    "helper of the prompt": ("def g(x):\n    return x\nf(g(2)) => 4\n", ["assert f(g(2)) == 4"]),
    "brackets in quotes": ("f(')', [\"(\"]) => 'a)'\n", ["assert f(')', ['(']) == 'a)'"]),
    "asserts": ("Tests:\nassert f(1) == 2\nassert set(f([\n  1])) == {2}\n", ["assert f(1) == 2", "assert set(f([\n  1])) == {2}"]),
    "twice": ("f(1) => 2\n>>> f(1)\n2\n", ["assert f(1) == 2"]),
    "another function": ("fg(1) => 2\nx.f(1) => 2\n", []),
    "prose after the value": (">>> f(1)\n2\nThat is twice one.\n", ["assert f(1) == 2"]),
    "error": (">>> f('a')\nTraceback (most recent call last):\n", []),
    "open bracket": ("f(1, => 2\n", []),
}


@pytest.mark.parametrize("name", CASES)
def test_each_form(name):
    text, tests = CASES[name]
    assert visible_tests(text, "f") == tests


def test_without_a_name_only_code_is_read():
    assert visible_tests("f(1) => 2\nassert other(1) == 3\n", "") == ["assert other(1) == 3"]


def rows(name):
    path = DATA / name / "test.jsonl.gz"
    if not path.exists():
        pytest.skip("real data is not here")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@NO_SANDBOX
def test_humaneval_shows_tests_that_its_own_solutions_pass():
    problems = rows("humaneval")
    visible = [(row, test) for row in problems for test in visible_tests(row["prompt"], row["entry_point"])]
    assert (len(visible), len({row["task_id"] for row, _ in visible})) == (388, 137)
    results = sandbox.run_all([f"{row['prompt']}{row['canonical_solution']}\n{test}\n" for row, test in visible])
    wrong = {row["task_id"] for (row, _), result in zip(visible, results, strict=True) if not result.passed}
    assert wrong == {f"HumanEval/{number}" for number in (47, 116, 130, 148)}, "these docstrings contradict their own solutions"


def test_mbpp_shows_all_its_tests():
    from pipeline.tasks import mbpp

    examples = [mbpp.example(row) for row in rows("mbpp")]
    visible = [visible_tests(example.text, "") for example in examples]
    hidden = [json.loads(example.extra["tests"])["check"] for example in examples]
    assert all(tests and all(test in check for test in tests) for tests, check in zip(visible, hidden, strict=True))
