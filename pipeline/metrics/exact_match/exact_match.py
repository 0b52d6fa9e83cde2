"""Exact match: the text and nothing but the text."""

import unicodedata

from pipeline.metrics.base import MeanMetric


class ExactMatch(MeanMetric):
    """Share of predictions that equal their reference character for character.

    Blanks at the ends, Windows line ends and the Unicode form (NFC, NFD) do not count.
    """

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(plain(prediction) == plain(reference))


def plain(text: str) -> str:
    """One spelling of Unicode (NFC) and of line ends, without blanks at the ends."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
