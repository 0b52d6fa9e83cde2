"""STS-B as the LoRA Land paper scores it."""

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.lenient import REFERENCE_URL, first_number, whole_number

SPAN = 5.0


class PaperSimilarity(MeanMetric):
    """Mean of 1 - |output - target| / 5, called "mae" in the paper; an output without a number scores 0.

    The number is the whole output, else the first number in it if that lies in 0..5. Kept, since it is the rule: the first
    number counts whatever it is about (`Sentence 1 ...` is a 1), and a lone number may lie outside the scale, so `6` is
    0.8 right where 5 is asked. Fixed: a lone number far outside scored below 0 (`10` for 4 was -0.2) and now scores 0;
    `nan` and `inf`, which Python reads as numbers, are none.
    """

    reads = "text"
    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        predicted, expected = similarity(prediction), first_number(reference)
        return 0.0 if predicted is None or expected is None else max(0.0, 1 - abs(predicted - expected) / SPAN)


def similarity(text: str) -> float | None:
    if (whole := whole_number(text)) is not None:
        return whole
    first = first_number(text)
    return first if first is not None and 0 <= first <= SPAN else None
