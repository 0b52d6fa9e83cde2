"""pass@1: the share of programs that pass their tests, each run in the sandbox."""

import abc
import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import DataError
from pipeline.metrics.base import MeanMetric
from pipeline.sandbox import sandbox
from pipeline.sandbox.separate import separable
from pipeline.sandbox.tester import CANNOT_SEND

PASSES_ANY = "passes any test"
"""The reason of a program that passes its tests, and tests that no answer meets as well."""
NOTHING = "[['no answer is this']]"


class CodeMetric(MeanMetric):
    """A metric that runs code. A reference is JSON {"prefix", "check", "entry_point"}, see `program`."""

    runs_code = True
    options = ("unsafe", "workers", "k")

    def __init__(self, unsafe: bool = False, workers: int | None = None, **options: Any) -> None:
        """`unsafe` runs the code even on a machine without a sandbox; `workers` programs run at a time, by default one a processor."""
        self.unsafe = unsafe
        self.workers = workers
        self.ran: dict[tuple[str, str], sandbox.Result] = {}
        super().__init__(**options)

    @abc.abstractmethod
    def samples(self, prediction: str) -> list[str]:
        """The programs of one example that are scored."""

    @abc.abstractmethod
    def rate(self, passed: int, samples: int) -> float:
        """The score of an example from the number of samples that passed."""

    @abc.abstractmethod
    def reason(self, results: list[sandbox.Result]) -> str:
        """Why an example scored as it did, in the words of sandbox.py."""

    def score(self, prediction: str, reference: str) -> float:
        results = self.results(prediction, reference)
        return self.rate(sum(result.passed for result in results), len(results))

    def results(self, prediction: str, reference: str) -> list[sandbox.Result]:
        wanted = self.programs(prediction, reference)
        self.run(wanted)
        return [self.ran[key] for key in wanted]

    def programs(self, prediction: str, reference: str) -> list[tuple[str, str]]:
        """Code and reference of each sample."""
        parts(reference)
        return [(code, reference) for code in self.samples(prediction)]

    def run(self, programs: list[tuple[str, str]]) -> None:
        """Run each new program once: with its tests in a process of their own where they can be, else with them in its own."""
        new = [key for key in dict.fromkeys(programs) if key not in self.ran]
        apart = {key: tests for key in new if (tests := with_tests(*key))}
        self.ran |= zip(apart, self.run_all(list(apart.values())), strict=True)
        self.run_together([key for key in new if key not in apart or self.ran[key].reason == CANNOT_SEND])

    def run_together(self, programs: list[tuple[str, str]]) -> None:
        """Run programs with their tests in one process, and those that pass once more with tests that no answer meets.

        Who passes these as well has not passed.
        """
        self.ran |= zip(programs, self.run_all([program(*key) for key in programs]), strict=True)
        controls = {(code, reference): program(code, unmeetable(reference)) for code, reference in programs if unmeetable(reference)}
        doubted = [key for key in controls if self.ran[key].passed]
        for key, control in zip(doubted, self.run_all([controls[key] for key in doubted]), strict=True):
            if control.passed:
                self.ran[key] = replace(self.ran[key], passed=False, reason=PASSES_ANY)

    def run_all(self, programs: Sequence[str | sandbox.ProgramAndTests]) -> list[sandbox.Result]:
        return sandbox.run_all(programs, unsafe=self.unsafe, workers=self.workers) if programs else []

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        pairs = list(zip(predictions, references, strict=True))
        self.run([key for pair in pairs for key in self.programs(*pair)])
        result = super()._compute(predictions, references, per_example, statistics)
        if per_example:
            result[f"{self.name}_reasons"] = [self.reason(self.results(*pair)) for pair in pairs]
        return result


class PassAt1(CodeMetric):
    """Share of predictions that pass all their tests; per_example=True adds pass_at_1_reasons, one per prediction.

    The prediction is Python code, the whole answer or what follows the prefix; see `program`. It is run once, in a
    sandbox; on a machine that has none MachineError is raised, unless the metric is made with unsafe=True.
    """

    zero_one = True
    reads = "tests"
    reference_url = "https://arxiv.org/abs/2107.03374"

    def samples(self, prediction: str) -> list[str]:
        return [prediction]

    def rate(self, passed: int, samples: int) -> float:
        return float(passed == samples)

    def reason(self, results: list[sandbox.Result]) -> str:
        return results[0].reason


def program(code: str, reference: str) -> str:
    """The program that passes if the code is right: prefix, code, check.

    If the code defines the entry point itself, the prefix ends before its own entry point; its imports and helper functions
    stay, since the check of HumanEval/32 calls such a helper. HumanEval has its prompt as prefix and calls
    check(entry_point); MBPP has an empty prefix and statements as check.

    Raises:
        DataError: the reference is not of this form.
    """
    return f"{code_of(code, reference)}\n{parts(reference)[1]}"


def code_of(code: str, reference: str) -> str:
    """The program without its tests."""
    prefix, _, entry = parts(reference)
    if entry and defines(code, entry):
        prefix = re.split(definition(entry), prefix, maxsplit=1, flags=re.MULTILINE)[0]
    whole = f"{prefix}{code}"
    future = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)  # must come first, wherever the code has put it
    return "".join([*future.findall(whole), future.sub("", whole)])


def with_tests(code: str, reference: str) -> sandbox.ProgramAndTests | None:
    """The program and its tests for two processes; None for tests that must share one with it."""
    prefix, check, entry = parts(reference)
    if not separable(check):
        return None
    return sandbox.ProgramAndTests(code_of(code, reference), check, prefix, entry)


def unmeetable(reference: str) -> str:
    """The same tests, but what the first compares by == is nothing that an answer equals; where none compares so, the first is denied.

    Empty without a test. A program whose answers equal everything, or that reports its own success, passes these as well.
    """
    prefix, check, entry = parts(reference)
    try:
        tree = ast.parse(check)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)]
    equalities = sorted((node for test in tests for node in claimed_equalities(test.test)), key=lambda node: (node.lineno, node.col_offset))
    if equalities:
        first, nothing = equalities[0], ast.parse(NOTHING, mode="eval").body
        if calls(first.comparators[0]) and not calls(first.left):
            first.left = nothing
        else:
            first.comparators[0] = nothing
    elif tests:
        tests[0].test = ast.UnaryOp(ast.Not(), tests[0].test)
    altered = ast.unparse(ast.fix_missing_locations(tree))
    return json.dumps({"prefix": prefix, "check": f"{altered}\n", "entry_point": entry}) if tests else ""


def claimed_equalities(test: ast.expr) -> list[ast.Compare]:
    """The comparisons by == that must hold for a test to."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return [node for part in test.values for node in claimed_equalities(part)]
    return [test] if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq) else []


def calls(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def defines(code: str, entry: str) -> bool:
    return re.search(definition(entry), code, re.MULTILINE) is not None


def definition(entry: str) -> str:
    """Regular expression of a line start that defines the name as a function, class or variable."""
    return rf"^(?:(?:async[ \t]+)?def[ \t]+{re.escape(entry)}[ \t]*\(|class[ \t]+{re.escape(entry)}\b|{re.escape(entry)}[ \t]*=[^=])"


def parts(reference: str) -> tuple[str, str, str]:
    try:
        tests = json.loads(reference)
        prefix, check, entry = tests["prefix"], tests["check"], tests["entry_point"]
    except (ValueError, TypeError, KeyError):
        prefix = check = entry = None
    if not all(isinstance(part, str) for part in (prefix, check, entry)):
        raise DataError(
            f"The tests of a programming example cannot be read: {reference[:80]!r}", "JSON with prefix, check and entry_point is needed."
        )
    return prefix, check, entry
