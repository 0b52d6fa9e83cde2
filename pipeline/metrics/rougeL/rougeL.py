"""ROUGE-L."""

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.rouge import REFERENCE_URL, f_measure


class RougeL(MeanMetric):
    """Mean ROUGE-L F-measure: overlap of the longest common subsequence of words."""

    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        return f_measure("rougeL", prediction, reference)
