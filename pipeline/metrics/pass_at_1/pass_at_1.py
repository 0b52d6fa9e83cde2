"""pass@1: the share of programs that pass their tests, each run in the sandbox."""

import abc
import json
import re
from typing import Any

from pipeline.errors import DataError
from pipeline.metrics.base import MeanMetric
from pipeline.sandbox import sandbox


class CodeMetric(MeanMetric):
    """A metric that runs code. A reference is JSON {"prefix", "check", "entry_point"}, see `program`."""

    runs_code = True
    options = ("unsafe", "workers", "k")

    def __init__(self, unsafe: bool = False, workers: int | None = None, **options: Any) -> None:
        """`unsafe` runs the code even on a machine without a sandbox; `workers` programs run at a time, by default one a processor."""
        self.unsafe = unsafe
        self.workers = workers
        self.ran: dict[str, sandbox.Result] = {}
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
        return [self.ran[text] for text in wanted]

    def programs(self, prediction: str, reference: str) -> list[str]:
        return [program(code, reference) for code in self.samples(prediction)]

    def run(self, programs: list[str]) -> None:
        """Run each new program once."""
        new = [text for text in dict.fromkeys(programs) if text not in self.ran]
        if new:
            self.ran |= zip(new, sandbox.run_all(new, unsafe=self.unsafe, workers=self.workers), strict=True)

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        pairs = list(zip(predictions, references, strict=True))
        self.run([text for pair in pairs for text in self.programs(*pair)])
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
    prefix, check, entry = parts(reference)
    if entry and defines(code, entry):
        prefix = re.split(definition(entry), prefix, maxsplit=1, flags=re.MULTILINE)[0]
    whole = f"{prefix}{code}"
    future = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)  # must come first, wherever the code has put it
    return "".join([*future.findall(whole), future.sub("", whole), "\n", check])


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
