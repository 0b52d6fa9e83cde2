"""Runs one test of a program and prints, as JSON, every line that ran with the values of its variables.

This text runs in the sandbox, with the call of `trace` behind it: it uses the standard library alone.
"""

import ast
import json
import reprlib
import sys
from collections import deque
from types import CodeType, FrameType
from typing import Any

FILE = "<traced>"
VALUE_CHARACTERS, VARIABLES = 80, 16
"""Longest value, and most variables of a frame, that are kept."""
MOST_EVENTS = 200
"""Events that are kept from the beginning, and from the end."""
MARK = "\nloralift-trace:"
"""Comes before the JSON, which the program's own output may precede."""


class TooLongError(BaseException):
    """The program runs on and on; no `except Exception` of its own holds it."""


class Tracer:
    """Keeps the first and the last events of the functions of a program."""

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps
        self.steps = 0
        self.first: list[dict[str, Any]] = []
        self.last: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self.frames: dict[FrameType, int] = {}
        self.short = reprlib.Repr()
        self.short.maxstring = self.short.maxother = VALUE_CHARACTERS
        self.short.maxlist = self.short.maxtuple = self.short.maxdict = self.short.maxset = 12

    def value(self, value: Any) -> str:
        try:
            return self.short.repr(value)[: 4 * VALUE_CHARACTERS]
        except Exception:
            return f"<{type(value).__name__}>"

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "Tracer | None":
        code: CodeType = frame.f_code
        if code.co_filename != FILE or code.co_name.startswith("<"):
            return None
        self.steps += 1
        if self.steps > self.max_steps:
            raise TooLongError
        number = self.frames.setdefault(frame, len(self.frames))
        values = {name: self.value(value) for name, value in [*frame.f_locals.items()][:VARIABLES]}
        row = {"frame": number, "function": code.co_name, "event": event, "line": frame.f_lineno, "values": values}
        if event == "return":
            row["result"] = self.value(argument)
        elif event == "exception":
            row["result"] = f"{argument[0].__name__}: {argument[1]}"[:VALUE_CHARACTERS]
        (self.first if len(self.first) < MOST_EVENTS else self.last).append(row)
        return self


def trace(program: str, test: str, max_steps: int) -> None:
    """Print {events, left_out, outcome}: the outcome says what the tested call gave, or how it ended."""
    names: dict[str, Any] = {"__name__": "program"}
    tracer = Tracer(max_steps)
    try:
        exec(compile(program, FILE, "exec", dont_inherit=True), names)
        outcome = run_test(tracer, test, names)
    except TooLongError:
        outcome = f"it had not ended after {max_steps:,} steps"
    except BaseException as error:
        outcome = f"it raised {type(error).__name__}: {error}"[:300]
    events = [*tracer.first, *tracer.last]
    sys.stdout.write(MARK + json.dumps({"events": events, "left_out": tracer.steps - len(events), "outcome": outcome}))


def run_test(tracer: Tracer, test: str, names: dict[str, Any]) -> str:
    """Run what a test calls under the tracer; of `assert call == value` the call alone, whose result is then known."""
    statement = ast.parse(test).body[0]
    compared = statement.test if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare) else None
    sys.settrace(tracer)
    try:
        if compared is None:
            exec(compile(test, "<test>", "exec", dont_inherit=True), names)
            return "it passed"
        value = eval(compile(ast.Expression(compared.left), "<test>", "eval", dont_inherit=True), names)
    except AssertionError:
        return "the assertion failed"
    finally:
        sys.settrace(None)
    return f"{ast.unparse(compared.left)} gave {tracer.value(value)}"
