"""Shared by the three ROUGE metrics."""

from functools import cache

from rouge_score.rouge_scorer import RougeScorer

REFERENCE_URL = "https://aclanthology.org/W04-1013/"


@cache
def scorer(kind: str) -> RougeScorer:
    return RougeScorer([kind], use_stemmer=False)


def f_measure(kind: str, prediction: str, reference: str) -> float:
    """ROUGE F-measure of one pair by the rouge-score package, without stemming.

    Words are runs of a-z and 0-9 after lower-casing, so text in other scripts has none and scores 0.
    """
    return float(scorer(kind).score(reference, prediction)[kind].fmeasure)
