"""Accuracy of answers that a task has already parsed."""

from pipeline.metrics.base import MeanMetric, normalise


class Accuracy(MeanMetric):
    """Share of predictions that equal their reference, case, Unicode spelling and runs of blanks aside."""

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(normalise(prediction) == normalise(reference))
