"""Traces a failing test in the sandbox, and cuts the trace into steps: basic blocks, lines or calls, with the values before and after."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.debugging import Level
from pipeline.debugging import tracer
from pipeline.debugging.blocks import Block, block_of_line
from pipeline.sandbox import sandbox

WHOLE_CALL: Block = (0, 0)
"""In place of the lines of a step, where the steps are calls."""
MAX_STEPS = 20_000
"""Events of a trace before the test is stopped."""
LIMITS = sandbox.Limits(seconds=20, output_tail=2 << 20)


@dataclass(frozen=True)
class Step:
    """One execution of a block, a line or a function."""

    function: str
    lines: Block
    """WHOLE_CALL of a function."""
    before: dict[str, str]
    """Values of the local variables as text."""
    after: dict[str, str]
    result: str = ""
    """What the function returned or raised here; empty if it went on."""


@dataclass(frozen=True)
class Trace:
    """How one test of a program ran."""

    outcome: str
    """What the tested call gave, or how it ended."""
    steps: list[Step]
    left_out: int = 0
    """Events from the middle that were not kept."""


def run_traced(program: str, test: str, level: Level, unsafe: bool = False) -> Trace:
    """Run a test of a program in the sandbox, line by line.

    A program that ends its process or exceeds a limit leaves no steps, and the outcome says so.

    Raises:
        MachineError: see sandbox.run.
    """
    source = Path(tracer.__file__).read_text("utf-8")
    result = sandbox.run(f"{source}\ntrace({program!r}, {test!r}, {MAX_STEPS})\n", LIMITS, unsafe)
    *_, text = result.output.rpartition(tracer.MARK)
    try:
        report = json.loads(text)
        return Trace(report["outcome"], steps_of(report["events"], program, level), report["left_out"])
    except (ValueError, TypeError, KeyError):
        return Trace(f"it ended by: {result.reason}", [])


def steps_of(events: Iterable[dict[str, Any]], program: str, level: Level) -> list[Step]:
    """The steps of a trace in the order in which they began; of one that was not kept whole, only what was.

    Args:
        events: as tracer.Tracer keeps them.
    """
    blocks = block_of_line(program)
    cutters: dict[Level, Callable[[int], Block]] = {
        "block": lambda line: blocks.get(line, (line, line)),
        "line": lambda line: (line, line),
        "function": lambda line: WHOLE_CALL,
    }
    cut = Cutter(cutters[level])
    for event in events:
        cut.add(event)
    return cut.steps


class Cutter:
    """Joins the events of each call into steps."""

    def __init__(self, block_at: Callable[[int], Block]) -> None:
        self.block_at = block_at
        self.steps: list[Step] = []
        self.open: dict[int, int] = {}
        """By the number of a call, the index of its running step."""
        self.last_line: dict[int, int] = {}

    def add(self, event: dict[str, Any]) -> None:
        frame, line = event["frame"], event["line"]
        match event["event"]:
            case "line":
                if self.begins(frame, line):
                    self.close(frame, event["values"])
                    self.open[frame] = len(self.steps)
                    self.steps.append(Step(event["function"], self.block_at(line), event["values"], event["values"]))
                self.last_line[frame] = line
            case "return":
                self.close(frame, event["values"], f"returned {event['result']}")
            case "exception":
                self.close(frame, event["values"], f"raised {event['result']}", keep=True)

    def begins(self, frame: int, line: int) -> bool:
        """Whether a line is not the next one of the step that runs: of another block, or a loop's next turn."""
        if frame not in self.open:
            return True
        step = self.steps[self.open[frame]]
        block = self.block_at(line)
        return block != WHOLE_CALL and (block != step.lines or line <= self.last_line[frame])

    def close(self, frame: int, values: dict[str, str], result: str = "", keep: bool = False) -> None:
        """End the running step of a call. `keep`: it may go on, as an exception may be caught."""
        if frame in self.open:
            index = self.open[frame]
            step = self.steps[index]
            result = result if not step.result.startswith("raised") or result != "returned None" else step.result
            self.steps[index] = replace(step, after=values, result=result)
            if not keep:
                del self.open[frame]
