"""F1 over words, as SQuAD scores an answer."""

import re
import string
from collections import Counter

from pipeline.metrics.base import MeanMetric

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


class TokenF1(MeanMetric):
    """Mean F1 over the bags of words of prediction and reference, without case, punctuation and English articles.

    Where one side has no words left the score is 1 if both have none, as in the script of SQuAD 2.0.
    """

    reference_url = "https://rajpurkar.github.io/SQuAD-explorer/"

    def score(self, prediction: str, reference: str) -> float:
        predicted, expected = words(prediction), words(reference)
        if not predicted or not expected:
            return float(predicted == expected)
        common = (Counter(predicted) & Counter(expected)).total()
        return 2 * common / (len(predicted) + len(expected))


def words(text: str) -> list[str]:
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()
