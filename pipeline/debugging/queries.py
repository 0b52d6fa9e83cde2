"""Writes the queries for the debugging model: for a verdict on every step of a failing run, then for a corrected program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.config.debugging import Level
from pipeline.debugging.traces import WHOLE_CALL, Step, Trace

MOST_STEPS = 10
"""Steps of a trace that a query shows, at most; LDB samples as many blocks."""
NAMES: dict[Level, str] = {"block": "BLOCK", "line": "LINE", "function": "CALL"}


@dataclass(frozen=True)
class Failure:
    """A program that fails a test that its prompt shows."""

    problem: str
    """The prompt that the program answers."""
    program: str
    test: str
    trace: Trace
    level: Level

    def verdict_query(self, steps: int) -> str:
        """The query for a verdict on `steps` steps of the run, from its beginning and its end."""
        name = NAMES[self.level]
        return (
            f"{self.report(steps)}\n"
            f"For each numbered step, write one line: [{name}-n] correct, or [{name}-n] incorrect, with the reason. "
            "Judge each step against the problem.\n\nVerdicts:\n"
        )

    def repair_query(self, steps: int, verdicts: str) -> str:
        """The query for the corrected program."""
        return (
            f"{self.report(steps)}\nVerdicts:\n{verdicts.strip()}\n\n"
            "Write the corrected program, complete with its imports, in one Python code block.\n\nCorrected program:\n"
        )

    def report(self, steps: int) -> str:
        """Problem, program, failing test and the values of variables along its run."""
        parts = [
            f"Problem:\n{self.problem.strip()}",
            f"This program does not solve it:\n```python\n{self.program.strip()}\n```",
            f"It fails this test:\n{self.test}\nWhat happened: {self.trace.outcome}.",
        ]
        excerpt = first_and_last(self.trace.steps, steps)
        if excerpt:
            lines = self.program.splitlines()
            texts = [step_text(f"[{NAMES[self.level]}-{number}]", step, lines) for number, step in excerpt]
            left_out = len(self.trace.steps) - len(excerpt)
            more = f" ({left_out} steps from the middle are left out)" if left_out or self.trace.left_out else ""
            parts.append(f"Its run, step by step{more}:\n" + "\n".join(texts))
        return "\n\n".join(parts) + "\n"

    def steps_that_fit(self, fits: Callable[[str], bool]) -> int | None:
        """The most steps with which both queries fit, at most MOST_STEPS; None: they do not fit even without any.

        The verdicts, which the second query repeats, are not known yet: `fits` has to leave room for them.
        """
        counts = range(min(MOST_STEPS, len(self.trace.steps)), -1, -1)
        return next((count for count in counts if fits(self.verdict_query(count)) and fits(self.repair_query(count, ""))), None)


def first_and_last(steps: Sequence[Step], count: int) -> list[tuple[int, Step]]:
    """`count` steps with their numbers from 1: the beginning and the end of the run."""
    numbered = list(enumerate(steps, 1))
    if len(numbered) <= count:
        return numbered
    head = (count + 1) // 2
    return [*numbered[:head], *numbered[len(numbered) - (count - head) :]]


def step_text(label: str, step: Step, lines: Sequence[str]) -> str:
    """A step as code between the values before and after it; of a call the values alone."""
    if step.lines == WHOLE_CALL:
        return f"{label} {step.function}({values(step.before, ', ')}) {step.result or 'did not return'}"
    code = "\n".join(lines[step.lines[0] - 1 : step.lines[1]])
    changed = {name: value for name, value in step.after.items() if step.before.get(name) != value}
    after = step.result or (values(changed) if changed else "nothing changed")
    return f"{label} in {step.function}\n    # before: {values(step.before) or 'no variables'}\n{code}\n    # after: {after}"


def values(variables: dict[str, str], separator: str = "  ") -> str:
    return separator.join(f"{name}={value}" for name, value in variables.items())
