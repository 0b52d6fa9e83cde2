"""chrF as sacrebleu counts it."""

from collections.abc import Hashable

from sacrebleu.metrics.helpers import extract_all_char_ngrams

from pipeline.metrics.base import Array, Metric, ratio
from pipeline.metrics.words import composed

ORDERS = 6
BETA = 2


class Chrf(Metric):
    """Corpus chrF2 over character n-grams up to 6, spaces ignored, divided by 100.

    Statistics, for n = 1..6: n-grams in the prediction, in the reference, in both.
    """

    reference_url = "https://aclanthology.org/W16-2341/"

    def statistics(self, prediction: str, reference: str) -> list[float]:
        row: list[float] = []
        counted = (extract_all_char_ngrams(composed(text), ORDERS) for text in (prediction, reference))
        pairs = zip(*counted, strict=True)
        for predicted, expected in pairs:
            # As in sacrebleu, predicted n-grams do not count if the reference is too short to have any.
            row += [predicted.total() if expected else 0, expected.total(), (predicted & expected).total()]
        return row

    def form(self, text: str) -> Hashable:
        """Of texts with digits alone: `data set` is `dataset`, but `1 5` is not `15`."""
        return "".join(composed(text).split()) if any(character.isdigit() for character in text) else None

    def aggregate(self, sums: Array) -> Array:
        counts = sums.reshape(*sums.shape[:-1], ORDERS, 3)
        predicted, expected, both = counts[..., 0], counts[..., 1], counts[..., 2]
        counted = (predicted > 0) & (expected > 0)
        orders = counted.sum(axis=-1)
        precision = ratio((ratio(both, predicted) * counted).sum(axis=-1), orders)
        recall = ratio((ratio(both, expected) * counted).sum(axis=-1), orders)
        return ratio((1 + BETA**2) * precision * recall, BETA**2 * precision + recall)
