"""ROUGE-L."""

from collections.abc import Hashable

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.rouge import REFERENCE_URL, f_measure
from pipeline.metrics.words import words


class RougeL(MeanMetric):
    """Mean ROUGE-L F-measure: overlap of the longest common subsequence of words."""

    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        return f_measure("rougeL", prediction, reference)

    def form(self, text: str) -> Hashable:
        return tuple(words(text))
