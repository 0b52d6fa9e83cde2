"""Closeness of numbers."""

import re
from typing import Any

from pipeline.metrics.base import MeanMetric

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")


class MaeSimilarity(MeanMetric):
    """Mean of 1 - |prediction - reference| / span, not below 0, over the first number in each text; no number scores 0.

    `span` is the distance between the ends of the scale: 5 for STS-B, where LoRA Land (arXiv 2405.00732) reports
    this figure as "mae".
    """

    reference_url = "https://arxiv.org/abs/2405.00732"

    def __init__(self, span: float = 5.0, **options: Any) -> None:
        self.span = span
        super().__init__(**options)

    def score(self, prediction: str, reference: str) -> float:
        predicted, expected = NUMBER.search(prediction), NUMBER.search(reference)
        if not predicted or not expected:
            return 0.0
        return max(0.0, 1 - abs(float(predicted[0]) - float(expected[0])) / self.span)
