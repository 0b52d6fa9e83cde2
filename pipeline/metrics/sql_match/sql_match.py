"""SQL that says the same in other letters."""

import re
from itertools import accumulate

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.words import normalise

AGGREGATES = ("max", "min", "count", "sum", "avg")
QUOTES = re.compile(r"(?<!\w)[\"'`]+|[\"'`]+(?!\w)|(?<![\w\])\"'`])\[|(?<=\w)\](?!\w)")
"""Quotes around names and values; some dialects write brackets, as in `[Total points]`."""
SIGNS = re.compile(r" ?(<=|>=|<>|!=|[=<>,()]) ?")


class SqlMatch(MeanMetric):
    """Share of queries that equal their reference, case, runs of blanks, blanks around signs, quotes and a final semicolon aside.

    The brackets of an aggregate may be left out, as in `SELECT MAX Price` for `SELECT MAX(Price)`.
    Text is compared, not meaning: conditions in another order are another query. An apostrophe inside a word stays.
    """

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(plain(prediction) == plain(reference))


def plain(query: str) -> str:
    """The query in one spelling."""
    unquoted = QUOTES.sub(" ", re.sub(r"(?<=\w)''(?=\w)", "'", normalise(query)))
    return " ".join(without_brackets(SIGNS.sub(r" \1 ", unquoted).split())).rstrip("; ")


def without_brackets(words: list[str]) -> list[str]:
    """The words of a query without brackets around all that it aggregates."""
    is_aggregate = words[:1] == ["select"] and words[1:2] != [] and words[1] in AGGREGATES
    while is_aggregate and words[2:3] == ["("]:
        depths = list(accumulate({"(": 1, ")": -1}.get(word, 0) for word in words[2:]))
        end = 2 + depths.index(0) if 0 in depths else 0
        if not end or words[end + 1 : end + 2] not in ([], ["from"]):
            break
        words = [*words[:2], *words[3:end], *words[end + 1 :]]
    return words
