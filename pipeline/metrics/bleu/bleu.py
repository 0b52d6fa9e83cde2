"""BLEU as sacrebleu counts it."""

from collections.abc import Hashable

import numpy as np
from sacrebleu.metrics import BLEU

from pipeline.metrics.base import Array, Metric, ratio
from pipeline.metrics.words import spaced

ORDERS = 4


class Bleu(Metric):
    """Corpus BLEU with the 13a tokenizer and exponential smoothing, divided by 100; one token a character in scripts without blanks.

    Statistics: [length of the prediction, of the reference, matching n-grams for n = 1..4, n-grams of the prediction for
    n = 1..4, of the reference for n = 1..4]. Orders that no reference is long enough for are left out, where sacrebleu
    gives 0. The score of a single example is sacrebleu's sentence BLEU: the orders that the prediction is too short for are left out.
    """

    reference_url = "https://aclanthology.org/W18-6319/"

    def statistics(self, prediction: str, reference: str) -> list[float]:
        counted = COUNTER.corpus_score([spaced(prediction)], [[spaced(reference)]])
        possible = [max(0, counted.ref_len - n) for n in range(ORDERS)]
        return [float(x) for x in (counted.sys_len, counted.ref_len, *counted.counts, *counted.totals, *possible)]

    def form(self, text: str) -> Hashable:
        return str(COUNTER.tokenizer(spaced(text).rstrip()))

    def aggregate(self, sums: Array) -> Array:
        return bleu(sums, effective_order=False)

    def values(self, statistics: Array) -> Array:
        return bleu(statistics, effective_order=True)


COUNTER = BLEU()


def bleu(sums: Array, effective_order: bool) -> Array:
    """BLEU (...) in 0..1 of summed statistics (..., 14); sacrebleu's `BLEU.compute_bleu`, vectorized.

    Exponential smoothing (method 3 of Chen and Cherry, 2014): the i-th order without a match counts 1 / 2^i matches.
    """
    length, reference_length = sums[..., 0], sums[..., 1]
    matches, totals, wanted = (sums[..., start : start + ORDERS] for start in (2, 2 + ORDERS, 2 + 2 * ORDERS))
    possible, missed = totals > 0, matches == 0
    smoothed = np.where(missed, 0.5 ** np.cumsum(missed, axis=-1), matches)
    precision = ratio(smoothed, totals)
    brevity = np.exp(np.minimum(0.0, 1 - ratio(reference_length, length)))
    orders = possible.sum(axis=-1) if effective_order else (wanted > 0).sum(axis=-1)
    logs = np.log(precision, out=np.zeros(precision.shape), where=possible).sum(axis=-1)
    scored = ~missed.all(axis=-1) & (possible.sum(axis=-1) >= orders) & (orders > 0)
    return np.where(scored, brevity * np.exp(ratio(logs, orders)), 0.0)
