"""What the three ROUGE metrics share."""

from functools import cache

from rouge_score.rouge_scorer import RougeScorer

REFERENCE_URL = "https://aclanthology.org/W04-1013/"


@cache
def scorer(kind: str) -> RougeScorer:
    return RougeScorer([kind], use_stemmer=False)


def f_measure(kind: str, prediction: str, reference: str) -> float:
    """ROUGE F-measure of one pair by the rouge-score package, without stemming.

    Its words are runs of a-z and 0-9 after lower-casing: text in other scripts has none and scores 0.
    """
    return float(scorer(kind).score(reference, prediction)[kind].fmeasure)
