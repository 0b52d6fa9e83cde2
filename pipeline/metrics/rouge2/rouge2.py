"""ROUGE-2."""

from collections.abc import Hashable

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.rouge import REFERENCE_URL, bigrams, f_measure


class Rouge2(MeanMetric):
    """Mean ROUGE-2 F-measure: overlap of pairs of neighbouring words."""

    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        return f_measure("rouge2", prediction, reference)

    def form(self, text: str) -> Hashable:
        return bigrams(text)
