"""Accuracy of answers that a task has already parsed."""

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.words import normalise, strip_wrappers


class Accuracy(MeanMetric):
    """Share of predictions that equal their reference; case, spelling in Unicode, runs of blanks, quotes around and a final stop aside."""

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(normalise(strip_wrappers(prediction)) == normalise(strip_wrappers(reference)))
