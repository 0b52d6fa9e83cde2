"""pass@k: the chance that one of k samples of a program passes its tests, estimated from n samples."""

import json
import math
from collections import Counter
from typing import Any

from pipeline.errors import DataError
from pipeline.metrics.pass_at_1 import pass_at_1
from pipeline.sandbox.sandbox import Result


class PassAtK(pass_at_1.CodeMetric):
    """Mean over examples of 1 - C(n-c, k) / C(n, k), where c of an example's n samples pass; unbiased. k is 10 by default.

    The prediction is a JSON list of n texts, each as in pass_at_1. For an example with fewer than k samples,
    k is its own n: the chance that any of them passes; say so next to such a score. per_example=True adds
    pass_at_k_reasons, how the samples of each example ended. Chen et al. 2021, Evaluating Large Language
    Models Trained on Code, section 2.1.
    """

    reads = "samples"
    reference_url = "https://arxiv.org/abs/2107.03374"

    def __init__(self, k: int = 10, **options: Any) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k = k
        super().__init__(**options)

    def samples(self, prediction: str) -> list[str]:
        try:
            texts = json.loads(prediction)
        except ValueError:
            texts = None
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise DataError(f"pass_at_k needs a JSON list of one or more texts for each example, not {prediction[:80]!r}")
        return texts

    def rate(self, passed: int, samples: int) -> float:
        return estimate(samples, passed, self.k)

    def reason(self, results: list[Result]) -> str:
        return ", ".join(f"{times} {reason}" for reason, times in Counter(result.reason for result in results).most_common())


def estimate(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k) as 1 minus the product of 1 - k/i over n-c < i <= n, which cannot overflow; k = n where k > n."""
    k = min(k, n)
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))
