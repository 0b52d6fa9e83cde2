"""The debugging loop, for many programs at once: visible tests, trace of a failing one, verdicts, repaired program, and again.

The hidden tests are never run here. What comes out is the program that passes the most visible tests, the earliest of equals: a program
that is right by the prompt's tests is never changed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Protocol

from pipeline.config.debugging import Level
from pipeline.debugging.queries import Failure
from pipeline.debugging.traces import run_traced
from pipeline.debugging.visible_tests import assertions, visible_tests
from pipeline.scoring import parsers
from pipeline.store.folders import RoundRow
from pipeline.store.records import Example, Prediction

TESTS = "tests"
"""Key in `extra` of an example whose answer is a program: its tests, as metrics.pass_at_1 reads them."""


@dataclass(frozen=True)
class Settings:
    """How programs are debugged."""

    level: Level
    """What a step of a trace is."""
    rounds: int
    """Repairs of one program, at most."""
    seed: int
    """Of the choice among failing tests."""
    unsafe: bool = False
    """Run programs even where there is no sandbox."""


@dataclass(frozen=True)
class Query:
    """A query about the program of one example."""

    example: str
    text: str


@dataclass(frozen=True)
class Answer:
    text: str
    prompt_tokens: int
    tokens: int


class Debugger(Protocol):
    """The model that judges and repairs: the one that wrote the programs, or another."""

    def fits(self, text: str) -> bool:
        """Whether a query and its answer fit into the context window, with room for the verdicts."""
        ...

    def ask(self, name: str, queries: Sequence[Query]) -> list[Answer]:
        """The answers, in their order. No query is sent again that was answered under that name before a kill."""
        ...


@dataclass
class Session:
    """The debugging of one program."""

    example: Example
    answer: Prediction
    tests: list[str]
    program: str
    """That of the last round."""
    failing: list[str] = field(default_factory=list)
    best: str | None = None
    """The program that passes the most visible tests; None: the answer itself."""
    best_passed: int = 0
    passed_before: int = 0
    history: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of program and test that were shown to the model: a greedy model would answer the same again."""
    rounds: list[RoundRow] = field(default_factory=list)
    """What each round did, for the file of rounds."""
    too_long: bool = False
    """Whether it was not debugged since no query fits into the context window."""
    prompt_tokens: int = 0
    tokens: int = 0

    @property
    def shows_hidden_tests(self) -> bool:
        """Whether the prompt shows every hidden test, as those of MBPP do: then passing the visible ones is passing the task."""
        hidden = list(assertions(json.loads(self.example.extra[TESTS])["check"].splitlines()))
        return bool(hidden) and set(hidden) <= set(self.tests)

    @property
    def prediction(self) -> Prediction:
        """The repaired program as an answer, or the answer as it was. Tokens are those of all queries and the answer."""
        text = self.answer.text if self.best is None else f"```python\n{self.best}\n```"
        stopped = self.answer.stopped if self.best is None else "eos"
        return Prediction(self.example.id, text, self.answer.tokens + self.tokens, stopped)

    def next_test(self, number: int, seed: int) -> str | None:
        """A failing test that was not shown with this program yet, drawn by example and round; None: there is none."""
        new = [test for test in self.failing if (self.program, test) not in self.history]
        return Random(f"{seed} {number} {self.example.id}").choice(new) if new else None


def debug(examples: Sequence[Example], answers: Sequence[Prediction], debugger: Debugger, settings: Settings) -> list[Session]:
    """Debug every program that fails a visible test.

    Raises:
        MachineError: this machine has no sandbox, and `settings.unsafe` is not set.
    """
    run_tests = VisibleTestRunner(settings.unsafe)
    sessions = [session_of(example, answer) for example, answer in zip(examples, answers, strict=True)]
    run_tests.judge(sessions)
    for session in sessions:
        session.passed_before = session.best_passed = len(session.tests) - len(session.failing)
    for number in range(1, settings.rounds + 1):
        failures = open_failures(sessions, number, settings, debugger.fits)
        if not failures:
            break
        repair(failures, debugger, number)
        attempts = [session for session, _, _ in failures]
        run_tests.judge(attempts)
        for session in attempts:
            keep_best(session)
    return sessions


def session_of(example: Example, answer: Prediction) -> Session:
    """A session without tests is over before it begins: there is no program, or the prompt shows no test."""
    reference = json.loads(example.extra[TESTS])
    code = parsers.code(answer.text, example)
    text = f"{example.text}\n{reference['prefix']}"
    tests = visible_tests(text, reference["entry_point"]) if code else []
    return Session(example, answer, tests, whole_program(code, example) if code else "")


def whole_program(code: str, example: Example) -> str:
    """The code with what the task puts before it."""
    from pipeline.metrics.pass_at_1.pass_at_1 import code_of  # loads evaluate

    return code_of(code, example.extra[TESTS])


Failing = tuple[Session, Failure, int]
"""A session, its failing test, and the number of steps of the trace that fit into a query."""


def open_failures(sessions: Sequence[Session], number: int, settings: Settings, fits: Callable[[str], bool]) -> list[Failing]:
    """The failures to debug in a round: one test of every program that fails one, traced."""
    failures = []
    for session in sessions:
        test = session.next_test(number, settings.seed)
        if test is None:
            continue
        trace = run_traced(session.program, test, settings.level, settings.unsafe)
        failure = Failure(session.example.text, session.program, test, trace, settings.level)
        steps = failure.steps_that_fit(fits)
        session.history.add((session.program, test))
        session.too_long = steps is None and not session.rounds
        if steps is not None:
            failures.append((session, failure, steps))
    return failures


def repair(failures: Sequence[Failing], debugger: Debugger, number: int) -> None:
    """Ask for verdicts, then for corrected programs; an answer without a program leaves the program as it was."""
    queries = [Query(session.example.id, failure.verdict_query(steps)) for session, failure, steps in failures]
    verdicts = debugger.ask(log_name(f"round{number}-verdicts", queries), queries)
    queries = [
        Query(session.example.id, failure.repair_query(steps, verdict.text))
        for (session, failure, steps), verdict in zip(failures, verdicts, strict=True)
    ]
    programs = debugger.ask(log_name(f"round{number}-programs", queries), queries)
    for (session, failure, _), verdict, program in zip(failures, verdicts, programs, strict=True):
        session.prompt_tokens += verdict.prompt_tokens + program.prompt_tokens
        session.tokens += verdict.tokens + program.tokens
        code = parsers.code(program.text, session.example)
        session.program = whole_program(code, session.example) if code else session.program
        session.rounds.append(
            {
                "example": session.example.id,
                "round": number,
                "test": failure.test,
                "outcome": failure.trace.outcome,
                "verdicts": verdict.text,
                "program": session.program,
                "passed": 0,  # counted once its tests have run
                "tests": len(session.tests),
            }
        )


def log_name(step: str, queries: Sequence[Query]) -> str:
    """The name under which answers are kept: other queries have another one, as after a kill a test may run into its time limit, or not."""
    text = json.dumps([[query.example, query.text] for query in queries])
    return f"{step}-{sha256(text.encode()).hexdigest()[:12]}"


def keep_best(session: Session) -> None:
    passed = len(session.tests) - len(session.failing)
    session.rounds[-1]["passed"] = passed
    if passed > session.best_passed:
        session.best, session.best_passed = session.program, passed


class VisibleTestRunner:
    """Runs the visible tests of programs in the sandbox; equal runs are done once."""

    def __init__(self, unsafe: bool) -> None:
        from pipeline.metrics.pass_at_1.pass_at_1 import PassAt1  # loads evaluate

        self.metric = PassAt1(unsafe=unsafe)

    def judge(self, sessions: Sequence[Session]) -> None:
        """Set the failing tests of every session."""
        pairs = [(session.program, reference(test)) for session in sessions for test in session.tests]
        self.metric.run(pairs)
        for session in sessions:
            session.failing = [test for test in session.tests if not self.metric.ran[session.program, reference(test)].passed]


def reference(test: str) -> str:
    """One visible test as metrics.pass_at_1 reads tests; the program is whole, so nothing comes before it."""
    return json.dumps({"prefix": "", "check": f"{test}\n", "entry_point": ""})
