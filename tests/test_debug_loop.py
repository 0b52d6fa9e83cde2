"""The debugging loop over real problems with with_bug bugs, with debuggers that follow a script."""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.debugging import loop
from pipeline.debugging.loop import Answer, Settings
from pipeline.metrics import load
from pipeline.sandbox import sandbox
from pipeline.store.records import Example, Prediction
from pipeline.tasks import magicoder

HUMANEVAL = Path(__file__).parents[2] / "shared" / "data" / "humaneval" / "test.jsonl.gz"
pytestmark = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox: {sandbox.available()}")
BLOCKS = Settings("block", 10, 0)

DOUBLE = 'def double(x):\n    """Twice x.\n    >>> double(2)\n    4\n    >>> double(5)\n    10\n    """\n'
TESTS = {"prefix": DOUBLE, "check": "assert double(2) == 4\nassert double(7) == 14\n", "entry_point": "double"}
EXAMPLE = Example("d", f"Problem:\n{DOUBLE}", "", extra={"tests": json.dumps(TESTS)})


@dataclass
class Script:
    """A debugger that gives prepared programs round by round, and remembers what it was queries."""

    programs: list[str]
    room: int = 100_000
    queries: list[tuple[str, str]] = field(default_factory=list)

    def fits(self, text):
        return len(text) <= self.room

    def ask(self, name, queries):
        self.queries += [(name, query.text) for query in queries]
        number = int(name.removeprefix("round").partition("-")[0])
        text = "[BLOCK-1] incorrect: it adds" if "verdicts" in name else self.programs[min(number, len(self.programs)) - 1]
        return [Answer(text, len(query.text), len(text)) for query in queries]


def fenced(body):
    return f"```python\ndef double(x):\n    return {body}\n```"


def debug(answer, script, settings=BLOCKS):
    [session] = loop.debug([EXAMPLE], [Prediction("d", answer, 9, "eos")], script, settings)
    return session


def test_a_program_that_passes_stays_as_it_is_and_nobody_is_asked():
    script = Script([fenced("x * 3")])
    session = debug("    return x + x\n", script)
    assert session.prediction == Prediction("d", "    return x + x\n", 9, "eos")
    assert (script.queries, session.rounds, session.passed_before) == ([], [], 2)


def test_a_failing_program_is_traced_judged_and_repaired():
    script = Script([fenced("2 * x")])
    session = debug(fenced("x * x"), script)
    assert [name.rpartition("-")[0] for name, _ in script.queries] == ["round1-verdicts", "round1-programs"]
    assert "double(5) gave 25" in script.queries[0][1], "5 is the test that fails, as 2 * 2 is 4"
    assert "[BLOCK-1] incorrect: it adds" in script.queries[1][1]
    assert session.prediction.text == "```python\ndef double(x):\n    return 2 * x\n```"
    assert session.prediction.tokens == 9 + session.tokens
    assert session.tokens == len("[BLOCK-1] incorrect: it adds") + len(fenced("2 * x"))
    assert session.rounds == [
        {
            "example": "d", "round": 1, "test": "assert double(5) == 10", "outcome": "double(5) gave 25",
            "verdicts": "[BLOCK-1] incorrect: it adds", "program": session.best, "passed": 2, "tests": 2,
        }
    ]  # fmt: skip


def test_it_goes_on_from_the_last_program_and_keeps_the_best_one():
    script = Script([fenced("x * x"), fenced("x + 3"), fenced("x + 4")])
    session = debug(fenced("0"), script, Settings("block", 3, 0))
    assert [row["passed"] for row in session.rounds] == [1, 0, 0]
    assert session.prediction.text == fenced("x * x"), "it passes one visible test, the others none"
    assert "return x + 3" in script.queries[-1][1]


def test_of_equal_programs_the_first_stays():
    session = debug(fenced("x * x"), Script([fenced("x + 5")]), Settings("block", 1, 0))
    assert session.best is None
    assert session.prediction.text == fenced("x * x")


def test_what_was_shown_is_not_shown_again():
    script = Script([fenced("0")])
    session = debug(fenced("0"), script)
    assert sorted(row["test"] for row in session.rounds) == ["assert double(2) == 4", "assert double(5) == 10"]
    assert len(script.queries) == 4, "two queries for each of two failing tests: a greedy model would repeat its answers to any further one"


def test_answers_to_other_queries_are_kept_under_another_name():
    names = [loop.log_name("round1-verdicts", [loop.Query(example, text)]) for example, text in (("d", "a"), ("d", "b"), ("e", "a"))]
    assert len(set(names)) == 3
    assert names[0] == loop.log_name("round1-verdicts", [loop.Query("d", "a")])


def test_rounds_are_bounded():
    script = Script([fenced(f"x * 100 + {n}") for n in range(20)])
    assert len(debug(fenced("0"), script, Settings("block", 4, 0)).rounds) == 4


def test_a_query_that_does_not_fit_shows_fewer_steps_or_is_not_asked():
    whole = Script([fenced("2 * x")])
    debug(fenced("0"), whole)
    room = min(len(text) for _, text in whole.queries) - 10
    short = Script([fenced("2 * x")], room)
    assert debug(fenced("0"), short).rounds == [] or max(len(text) for _, text in short.queries) <= room
    assert debug(fenced("0"), Script([fenced("2 * x")], 10)).rounds == []


def test_an_empty_answer_stays():
    script = Script([fenced("2 * x")])
    assert debug("", script).prediction == Prediction("d", "", 9, "eos")
    assert script.queries == []


def test_what_is_no_python_is_a_program_with_an_error():
    script = Script([fenced("2 * x")])
    assert debug("I cannot help with that.", script).best_passed == 2
    assert "SyntaxError" in script.queries[0][1]


def test_a_repair_may_be_a_body_alone_or_have_imports():
    session = debug(fenced("0"), Script(["```python\nimport math\n\ndef double(x):\n    return math.floor(2 * x)\n```"]))
    assert session.best_passed == 2
    assert debug(fenced("0"), Script(["    return 2 * x\n"])).best_passed == 2


@pytest.mark.parametrize("level", ["block", "line", "function"])
def test_levels_differ_in_what_is_judged(level):
    script = Script([fenced("2 * x")])
    debug(fenced("0"), script, Settings(level, 1, 0))
    assert {"block": "[BLOCK-1] in double", "line": "[LINE-1] in double", "function": "[CALL-1] double(x="}[level] in script.queries[0][1]


BUGS = (
    (" + ", " - "),
    (" < ", " >= "),
    (" == ", " != "),
    ("return ", "return not "),
    (" - ", " + "),
    ("range(", "range(1 + "),
    ("True", "False"),
)
"""Text of a right program, and what makes a wrong one of it."""


def with_bug(row):
    """The solution with one bug, for every kind of bug that it can have."""
    for right, wrong in BUGS:
        body = row["canonical_solution"].replace(right, wrong, 1)
        if body != row["canonical_solution"]:
            yield row["prompt"] + body


@dataclass
class Repairer:
    """A debugger that knows the right programs, gives a wrong one first, and the right one from round 2 on."""

    solutions: dict[str, str]

    def fits(self, text):
        return True

    def ask(self, name, queries):
        if "verdicts" in name:
            return [Answer("[BLOCK-1] incorrect", 1, 1) for _ in queries]
        right = int(name.removeprefix("round").partition("-")[0]) > 1
        return [Answer(self.solutions[query.example] if right else "```python\nraise ValueError\n```", 1, 1) for query in queries]


def test_planted_bugs_in_humaneval_are_repaired_and_pass_the_hidden_tests():
    if not HUMANEVAL.exists():
        pytest.skip("real data is not here")
    with gzip.open(HUMANEVAL, "rt", encoding="utf-8") as file:
        problems = [json.loads(line) for line in file][:14]
    rows = [(row, program) for row in problems for program in list(with_bug(row))[:1]]
    examples = [Example(row["task_id"], e.prompt, e.target, extra=e.extra) for row, _ in rows for e in [magicoder.example(row)]]
    answers = [Prediction(row["task_id"], f"```python\n{program}\n```", 1, "eos") for row, program in rows]
    solutions = {row["task_id"]: f"```python\n{row['prompt']}{row['canonical_solution']}\n```" for row, _ in rows}
    sessions = loop.debug(examples, answers, Repairer(solutions), BLOCKS)
    metric = load("pass_at_1")
    tests = [example.extra["tests"] for example in examples]

    def passes(texts):
        codes = [loop.parsers.code(text, example) for text, example in zip(texts, examples, strict=True)]
        return metric.compute(predictions=codes, references=tests, per_example=True)["pass_at_1_per_example"]

    before = passes([answer.text for answer in answers])
    after = passes([session.prediction.text for session in sessions])
    broken = [session for session, passed in zip(sessions, before, strict=True) if not passed]
    visibly_broken = [session for session in broken if session.rounds]
    assert len(visibly_broken) >= 8, "else the bugs test nothing"
    assert all(len(session.rounds) == 2 for session in visibly_broken)
    repaired = [passed for session, passed in zip(sessions, after, strict=True) if session.rounds]
    assert repaired == [1.0] * len(repaired)
    unseen = [passed for session, passed in zip(sessions, after, strict=True) if session in broken and not session.rounds]
    assert not any(unseen), "a bug that no visible test shows stays"
