"""Shared by the two DROP metrics: answers are lists of spans, and the best of several annotated answers counts."""

import json
import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np

REFERENCE_URL = "https://arxiv.org/abs/1903.00161"
ARTICLES = re.compile(r"\b(a|an|the)\b")
SEPARATORS = tuple(map(re.compile, (r";", r",(?!\d)", r",(?!\d)|\band\b|&|\n")))
"""Semicolons; commas, but not that of 1,000; commas, `and` and ends of lines."""
PIECES = re.compile(r"\s|(?<!\s)(?<!^)-|-(?!\d)")
"""Blanks and hyphens part words; the minus of a number does not, unlike in DROP's script."""
PUNCTUATION = str.maketrans("", "", string.punctuation)

BETWEEN_DIGITS = re.compile(r"\d[:/]\d")
"""A sign without which 1/2 would be 12 and 12:30 would be 1230, as in DROP's script."""

Spans = list[str]


def best(measure: Callable[[Spans, Spans], float], prediction: str, reference: str) -> float:
    """The best score against any annotated answer that is not blank. Where that has several spans, text is read as a list, too."""
    whole, *lists = [normalised(spans) for spans in readings(prediction)]
    expected = [normalised(spans) for spans in answers(reference) if "".join(spans).strip()]
    scores = [measure(predicted, spans) for spans in expected for predicted in (whole, *(lists if len(spans) > 1 else ()))]
    return max(scores, default=0.0)


def readings(text: str) -> list[Spans]:
    """What spans a prediction may be: those of a JSON list; else the whole text, and its parts between signs (see SEPARATORS)."""
    first = answers(text)[0]
    if first != [text]:
        return [first]
    lists = [[part.strip() for part in separator.split(text) if part.strip()] for separator in SEPARATORS]
    return [first, *(parts for parts in lists if len(parts) > 1)]


def joined(spans: Spans) -> str:
    """Several spans as one text that `readings` takes apart again."""
    if len(spans) == 1:
        return spans[0]
    for separator, pattern in ((", ", SEPARATORS[1]), ("; ", SEPARATORS[0])):
        if [part.strip() for part in pattern.split(separator.join(spans))] == [span.strip() for span in spans]:
            return separator.join(spans)
    return json.dumps(spans, ensure_ascii=False)


def answers(text: str) -> list[Spans]:
    """Answers in a text: a JSON list of lists is several answers, a JSON list is one answer of several spans, else one of one span."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [[text]]
    if not isinstance(value, list) or not value:
        return [[text]]
    return [spans(item) for item in value] if all(isinstance(item, list) for item in value) else [spans(value)]


def spans(values: list[Any]) -> Spans:
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def normalised(texts: Spans) -> Spans:
    """Spans in one spelling; one of articles and punctuation alone, such as the answer `A`, stays as it is, unlike in DROP's script."""
    spelled = [" ".join(word for piece in PIECES.split(text) if (word := normalised_word(piece))) for text in texts]
    return [one or " ".join(text.lower().split()) for one, text in zip(spelled, texts, strict=True)]


def normalised_word(word: str) -> str:
    """Lower case, without punctuation and articles; a number as Python prints its float, so `1,000` and `1000.0` are one."""
    bare = word.lower()
    plain = bare.translate(PUNCTUATION)
    value = as_number(bare.replace(",", "")) or ("" if BETWEEN_DIGITS.search(bare) else as_number(plain))
    return value or ARTICLES.sub("", bare.strip(string.punctuation) if BETWEEN_DIGITS.search(bare) else plain).strip()


def as_number(word: str) -> str:
    try:
        return str(float(word))
    except ValueError:
        return ""


def exact(predicted: Spans, expected: Spans) -> float:
    """1 if the spans are the same, in any order."""
    return float(sorted(predicted) == sorted(expected))


def f1(predicted: Spans, expected: Spans) -> float:
    """Mean F1 over the pairs of the best one-to-one alignment; a span without a partner scores 0."""
    from scipy.optimize import linear_sum_assignment

    if not predicted or not expected:
        return float(predicted == expected)
    scores = np.array([[bag_f1(set(one.split()), set(other.split())) for other in expected] for one in predicted])
    rows, columns = linear_sum_assignment(-scores)
    return float(scores[rows, columns].sum() / max(scores.shape))


def bag_f1(predicted: set[str], expected: set[str]) -> float:
    """F1 over the words of two spans; 0 if the expected span has numbers and none of them was predicted."""
    numbers = {word for word in expected if as_number(word)}
    if not predicted or not expected:
        return float(predicted == expected)
    if numbers and not numbers & predicted:
        return 0.0
    return 2 * len(predicted & expected) / (len(predicted) + len(expected))
