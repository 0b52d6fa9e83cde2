"""Calls of tools that ask for the same."""

from pipeline.metrics import tool_calls
from pipeline.metrics.base import MeanMetric


class ToolCallMatch(MeanMetric):
    """Share of answers that call the same tools with the same arguments as their reference: all of them, in any order, each as often.

    Both are JSON lists of {name, arguments}; an empty list is an answer without a call. Arguments are compared as JSON values: the order
    of keys does not matter, that of lists does, 3.0 is 3, and text must be equal, as must which arguments there are.
    """

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        calls = tool_calls.parsed(prediction)
        return float(calls is not None and calls == tool_calls.parsed(reference))
