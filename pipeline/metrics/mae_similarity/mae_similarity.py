"""Closeness of numbers."""

from typing import Any

from pipeline.metrics import numbers
from pipeline.metrics.base import MeanMetric


class MaeSimilarity(MeanMetric):
    """Mean of 1 - |prediction - reference| / span, not below 0, over the first number in each text that names no scale; no number scores 0.

    `span` is the distance between the ends of the scale: 5 for STS-B, where LoRA Land (arXiv 2405.00732) reports
    this figure as "mae". `decimal_mark` is `.` or `,`; without one a number such as 1,234 is not read.
    Units are not read either, so `prepare` refuses targets in several.
    """

    reference_url = "https://arxiv.org/abs/2405.00732"
    options = ("span", "decimal_mark")

    def __init__(self, span: float = 5.0, decimal_mark: numbers.Mark | None = ".", **options: Any) -> None:
        self.span, self.decimal_mark = span, decimal_mark
        super().__init__(**options)

    def score(self, prediction: str, reference: str) -> float:
        predicted, expected = self.first(prediction), self.first(reference)
        return 0.0 if predicted is None or expected is None else max(0.0, 1 - abs(predicted - expected) / self.span)

    def first(self, text: str) -> float | None:
        """The first number of a text; None if there is none, or it can be read in two ways."""
        matches = numbers.find(numbers.without_scale(numbers.plain(text)), self.decimal_mark)
        return numbers.as_float(matches[0].value, self.decimal_mark) if matches else None
