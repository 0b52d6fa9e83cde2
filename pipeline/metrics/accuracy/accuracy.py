"""Accuracy of answers that a task has already parsed."""

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.words import normalise, unwrapped


class Accuracy(MeanMetric):
    """Share of predictions that equal their reference; case, spelling in Unicode, runs of blanks, quotes around and a final stop aside."""

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(normalise(unwrapped(prediction)) == normalise(unwrapped(reference)))
