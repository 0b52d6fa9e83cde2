"""The verdicts of primary comparisons that are the whole family of tests."""

from pipeline.scoring import verdict


def judge(comparisons, confidence, correction):
    """The same rows in the same order, the primary ones with p_adjusted and verdict."""
    family = iter(verdict.adjust([row["p"] for row in comparisons if row["primary"]], correction))
    return [judged(row, next(family), confidence) if row["primary"] else row for row in comparisons]


def judged(row, p, confidence):
    return row | {"p_adjusted": p, "verdict": verdict.decide(p, row["low"], row["high"], confidence)}
