"""SQL that says the same in other letters."""

import re

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.words import normalise

QUOTES = re.compile(r"(?<!\w)[\"'`]+|[\"'`]+(?!\w)")
SIGNS = re.compile(r" ?(<=|>=|<>|!=|[=<>,()]) ?")


class SqlMatch(MeanMetric):
    """Share of queries that equal their reference, case, runs of blanks, blanks around signs, quotes and a final semicolon aside.

    Text is compared, not meaning: conditions in another order are another query. An apostrophe inside a word stays.
    """

    zero_one = True

    def score(self, prediction: str, reference: str) -> float:
        return float(plain(prediction) == plain(reference))


def plain(query: str) -> str:
    """The query in one spelling."""
    folded = normalise(query).replace("\u2018", "'").replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"')
    unquoted = QUOTES.sub(" ", re.sub(r"(?<=\w)''(?=\w)", "'", folded))
    return " ".join(SIGNS.sub(r" \1 ", unquoted).split()).rstrip("; ")
