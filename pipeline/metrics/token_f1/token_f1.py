"""F1 over words, as SQuAD scores an answer."""

import re
import string
from collections import Counter
from collections.abc import Hashable

import regex

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.words import MINUS, SIGNED, composed, spaced

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = regex.compile(
    rf"(?<=\d),(?=\d{{3}}(?!\d))|(?!(?<=\d)[.,:/-](?=\d))[{re.escape(string.punctuation)}\p{{Po}}\p{{Ps}}\p{{Pe}}\p{{Pi}}\p{{Pf}}]"
)
"""Signs that do not count: all but the marks between digits and the minus of a number, since 1.5 is not 15; a thousands comma does not."""

RANGE = re.compile(r"(?<=\d)\s?[–−‑]\s?(?=\d)")
"""A dash between two numbers, which is written as a hyphen, too."""


class TokenF1(MeanMetric):
    """Mean F1 over the bags of words of prediction and reference, without case, punctuation and English articles.
    A text of articles alone, such as the letter A of a multiple choice, keeps them.

    As the script of SQuAD 2.0, but that marks inside numbers and their minus count, and that every character is a word in a script
    without blanks. Where no words are left on one side the score is 1 if both texts have the same signs.
    """

    reference_url = "https://rajpurkar.github.io/SQuAD-explorer/"

    def score(self, prediction: str, reference: str) -> float:
        predicted, expected = words(prediction), words(reference)
        if not predicted or not expected:
            return float(predicted == expected and signs(prediction) == signs(reference))
        common = (Counter(predicted) & Counter(expected)).total()
        return 2 * common / (len(predicted) + len(expected))

    def form(self, text: str) -> Hashable:
        return tuple(sorted(words(text))) or signs(text)


def words(text: str) -> list[str]:
    signed = SIGNED.sub(MINUS, RANGE.sub("-", spaced(text.lower())))
    plain = PUNCTUATION.sub("", signed).replace(MINUS, "-")
    return ARTICLES.sub(" ", plain).split() or plain.split()


def signs(text: str) -> str:
    """All that stands in a text but blanks."""
    return "".join(composed(text.lower()).split())
