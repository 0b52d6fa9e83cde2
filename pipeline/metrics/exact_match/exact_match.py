"""Exact match: the text and nothing but the text."""

from pipeline.metrics.base import MeanMetric


class ExactMatch(MeanMetric):
    """Share of predictions that equal their reference character for character, blanks at the ends aside."""

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(prediction.strip() == reference.strip())
