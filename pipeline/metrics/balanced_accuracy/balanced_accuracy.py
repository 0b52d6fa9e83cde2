"""Accuracy that weighs every class alike, however rare it is."""

from pipeline.metrics.base import Array, ratio
from pipeline.metrics.macro_f1 import macro_f1


class BalancedAccuracy(macro_f1.MacroF1):
    """Mean over the classes of the references of each class's recall.

    Statistics as for macro F1. In a resample a class counts if it is expected there. A single example scores 1 if it is right.
    """

    reference_url = "https://doi.org/10.1109/ICPR.2010.764"

    def aggregate(self, sums: Array) -> Array:
        right, expected = sums[..., 0::3], sums[..., 2::3]
        return ratio(ratio(right, expected).sum(axis=-1), (expected > 0).sum(axis=-1).astype(float))
