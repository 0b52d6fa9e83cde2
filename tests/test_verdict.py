"""When a lift is called better or worse."""

import pytest

from pipeline.records import Comparison
from pipeline.verdict import judge


def row(p, low, high, primary=True, task="t"):
    lift = (low + high) / 2
    return Comparison(task, "accuracy", primary, 100, 1, 0.5, 0.5 + lift, lift, low, high, p, "exact McNemar", 10, 5, 0.1)


def words(rows, correction="holm", confidence=0.95):
    return [judged.verdict for judged in judge(rows, confidence, correction)]


@pytest.mark.parametrize(
    ("p", "low", "high", "word"),
    [
        (0.01, 0.02, 0.2, "better"),
        (0.01, -0.2, -0.02, "worse"),
        (0.05, 0.02, 0.2, "better"),
        (0.06, 0.02, 0.2, "cannot tell"),
        (0.01, -0.02, 0.2, "cannot tell"),
        (0.01, 0.0, 0.2, "cannot tell"),
        (0.01, -0.2, 0.0, "cannot tell"),
        (1.0, 0.0, 0.0, "cannot tell"),
    ],
)
def test_test_and_interval_must_agree(p, low, high, word):
    assert words([row(p, low, high)]) == [word]


def test_holm_counts_the_whole_family():
    rows = [row(p, 0.02, 0.2, task=str(p)) for p in (0.01, 0.04, 0.03, 0.005)]
    assert [judged.p_adjusted for judged in judge(rows, 0.95, "holm")] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert words(rows) == ["better", "cannot tell", "cannot tell", "better"]
    assert words(rows, "none") == ["better"] * 4


def test_secondary_metrics_are_no_part_of_the_family():
    rows = [row(0.001, 0.1, 0.2, primary=False), row(0.04, 0.1, 0.2), row(0.001, 0.1, 0.2, primary=False)]
    judged = judge(rows, 0.95, "holm")
    assert [r.verdict for r in judged] == ["", "better", ""]
    assert [r.p_adjusted for r in judged] == [None, 0.04, None]


def test_confidence_sets_the_level():
    assert words([row(0.03, 0.02, 0.2)], confidence=0.99) == ["cannot tell"]


def test_nothing_to_judge():
    assert judge([], 0.95, "holm") == []
