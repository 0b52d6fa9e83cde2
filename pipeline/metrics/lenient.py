"""Shared by the scoring rules of the LoRA Land paper, which look for the answer anywhere in a model's output.

Their scores are reported next to strict ones, to compare with the published figures (Table 12 of arXiv 2405.00732). Each rule
reimplements the paper's function. Its docstring says which oddities are kept, because they are the rule, and which faults are
fixed. Fixed in all of them: surrounding whitespace no longer makes a right answer wrong, and no text matches an empty target.
"""

import abc
import math
import re

from pipeline.metrics.base import MeanMetric

REFERENCE_URL = "https://arxiv.org/abs/2405.00732"
NUMBER = re.compile(r"(?:(?<!\w)[-+])?(?:\d+(?:\.\d+)?|\.\d+)")
"""`3`, `-3`, `4.25`, `.5`; the 2 of `text-2` is not negative."""


class Rule(MeanMetric):
    """Share of examples that a rule of the paper calls right; it reads the whole output."""

    zero_one = True
    reads = "text"
    reference_url = REFERENCE_URL

    @abc.abstractmethod
    def right(self, prediction: str, reference: str) -> bool:
        """Whether a model's output matches a target that is not blank."""

    def score(self, prediction: str, reference: str) -> float:
        return float(bool(reference.strip()) and self.right(prediction, reference))


def same(prediction: str, reference: str) -> bool:
    """The paper's plain accuracy: equal up to case and to spaces and full stops at the ends, or the same number.

    The number is read from the whole output and printed back: `1.0`, `+1` and ` 1` are the label `1`, and `1` is `1.0`.
    The paper's function prints a float, so it never matches a label written as a whole number; here both spellings match.
    """
    if bare(prediction) == bare(reference):
        return True
    value = whole_number(prediction)
    return value is not None and reference.strip() in ([str(value), f"{value:.0f}"] if value.is_integer() else [str(value)])


def bare(text: str) -> str:
    return re.sub(r"^[\s.]+|[\s.]+$", "", text.lower())


def whole_number(text: str) -> float | None:
    """The text as a finite number; None if it is anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def first_number(text: str) -> float | None:
    """The first number anywhere in the text."""
    match = NUMBER.search(text)
    return whole_number(match[0]) if match else None
