"""F1 that weighs every class alike, however rare it is."""

from typing import Any

import numpy as np

from pipeline.metrics.base import Array, Metric, ratio
from pipeline.metrics.words import normalise, strip_wrappers


class MacroF1(Metric):
    """Mean over the classes of the references of each class's F1; an answer that names no class of theirs is a miss of its own class.

    Statistics: for each class, in the order of their names: [right, predicted, expected]. In a resample a class counts if it is
    expected or predicted there. A single example scores 1 if it is right.
    """

    of_examples = "accuracy"
    reference_url = "https://doi.org/10.1016/j.ipm.2009.03.002"

    def __init__(self, **options: Any) -> None:
        self.classes: list[str] = []
        super().__init__(**options)

    def statistics(self, prediction: str, reference: str) -> list[float]:
        predicted, expected = label(prediction), label(reference)
        return [
            float(count)
            for name in self.classes or [expected]
            for count in (predicted == expected == name, predicted == name, expected == name)
        ]

    def aggregate(self, sums: Array) -> Array:
        right, predicted, expected = (sums[..., start::3] for start in range(3))
        occurs = (predicted + expected) > 0
        return ratio(ratio(2 * right, predicted + expected).sum(axis=-1), occurs.sum(axis=-1).astype(float))

    def values(self, statistics: Array) -> Array:
        return np.asarray(statistics[..., 0::3].sum(axis=-1))

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False, statistics: bool = False
    ) -> dict[str, Any]:
        self.classes = sorted({label(reference) for reference in references})
        return super()._compute(predictions, references, per_example, statistics)


def label(text: str) -> str:
    return normalise(strip_wrappers(text))
