"""Exact match: the text and nothing but the text."""

import unicodedata

from pipeline.metrics.base import MeanMetric


class ExactMatch(MeanMetric):
    """Share of predictions that equal their reference character for character, blanks at the ends and Unicode form (NFC, NFD) aside."""

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(unicodedata.normalize("NFC", prediction).strip() == unicodedata.normalize("NFC", reference).strip())
