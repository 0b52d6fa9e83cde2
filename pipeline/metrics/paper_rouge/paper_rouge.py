"""ROUGE-L as the LoRA Land paper counts it."""

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.rouge import REFERENCE_URL, ascii_f_measure


class PaperRouge(MeanMetric):
    """Mean ROUGE-L F-measure of the whole output: the numbers of rougeL, over the raw text.

    The paper takes ROUGEScore of torchmetrics with its defaults: no stemming, words of lower-cased letters a-z and digits,
    one pair a time; the rouge-score package counts the same. Kept, since it is the rule: brackets and quotes do not count,
    so a broken JSON answer scores as a whole one, and an empty target always scores 0. Nothing needed fixing.
    """

    reads = "text"
    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        return ascii_f_measure("rougeL", prediction, reference)
