"""The lift of any metric, with an interval and a randomization test."""

from typing import Any

import numpy as np

from pipeline import metrics
from pipeline.comparisons.base import PairedComparison
from pipeline.scoring import stats


class PairedBootstrap(PairedComparison):
    """Lift of predictions2 over predictions1 under a metric: {base, tuned, lift, low, high, p}.

    The interval resamples examples and scores the whole corpus each time, so it is valid for BLEU too;
    p is that of the paired randomization test.
    """

    reference_url = "https://doi.org/10.1080/01621459.1987.10478410"

    def __init__(
        self,
        confidence: float = 0.95,
        resamples: int = 10_000,
        method: stats.IntervalMethod = "bca",
        resampling_seed: int = 0,
        **options: Any,
    ) -> None:
        self.confidence = confidence
        self.resamples = resamples
        self.method = method
        self.resampling_seed = resampling_seed
        super().__init__(**options)

    def _compute(
        self, predictions1: list[str], predictions2: list[str], references: list[str], metric: str = "exact_match"
    ) -> dict[str, Any]:
        module = metrics.load(metric)
        rows = [
            [module.statistics(prediction, reference) for prediction, reference in zip(predictions, references, strict=True)]
            for predictions in (predictions1, predictions2)
        ]
        arms = stats.stack(np.array(rows), module.aggregate)
        (resampled,) = stats.resample([arms], self.resamples, self.resampling_seed, self.confidence, self.method)
        lift = resampled.difference(stats.TUNED, stats.BASE)
        base, tuned = (float(score) for score in resampled.observed)
        return {"base": base, "tuned": tuned, "lift": lift.value, "low": lift.low, "high": lift.high, "p": lift.p}
