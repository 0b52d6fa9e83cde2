"""ROUGE-1."""

from collections.abc import Hashable

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.rouge import REFERENCE_URL, f_measure
from pipeline.metrics.words import words


class Rouge1(MeanMetric):
    """Mean ROUGE-1 F-measure: overlap of single words."""

    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        return f_measure("rouge1", prediction, reference)

    def form(self, text: str) -> Hashable:
        return tuple(sorted(words(text)))
