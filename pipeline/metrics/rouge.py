"""Shared by the three ROUGE metrics."""

from functools import cache
from itertools import pairwise

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from pipeline.metrics.words import words

REFERENCE_URL = "https://aclanthology.org/W04-1013/"


class AnyScript(Tokenizer):  # type: ignore[misc]  # rouge_score carries no types
    """Words of any script; of ASCII text the package's own, but for the minus of a number, which stays."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def scorer(kind: str, any_script: bool) -> RougeScorer:
    return RougeScorer([kind], use_stemmer=False, tokenizer=AnyScript() if any_script else None)


def f_measure(kind: str, prediction: str, reference: str) -> float:
    """ROUGE F-measure of one pair, without stemming: 1 for equal words, also where they are too few for a pair of neighbours."""
    if words(prediction) == words(reference) != []:
        return 1.0
    return float(scorer(kind, True).score(reference, prediction)[kind].fmeasure)


def bigrams(text: str) -> tuple[tuple[str, ...], ...]:
    """The pairs of neighbouring words, sorted; of a lone word the word."""
    split = words(text)
    return tuple(sorted(pairwise(split))) or (tuple(split),)


def ascii_f_measure(kind: str, prediction: str, reference: str) -> float:
    """ROUGE F-measure of one pair as the rouge-score package counts it: words of a-z and 0-9 alone, so 0 in other scripts."""
    return float(scorer(kind, False).score(reference, prediction)[kind].fmeasure)
