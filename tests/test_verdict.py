"""When a figure is called better or worse."""

import pytest

from pipeline.scoring import verdict


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
    assert verdict.word(p, low, high, 0.95) == word


def test_the_bound_moves_the_line():
    assert verdict.word(0.01, -0.02, 0.2, 0.95, bound=-0.05) == "better"
    assert verdict.word(0.01, -0.2, -0.07, 0.95, bound=-0.05) == "worse"
    assert verdict.word(0.01, -0.08, -0.02, 0.95, bound=-0.05) == "cannot tell"


def test_what_is_not_known_is_no_verdict():
    assert verdict.word(0.001, float("nan"), float("nan"), 0.95) == "cannot tell"
    assert verdict.word(float("nan"), 0.1, 0.2, 0.95) == "cannot tell"


def test_holm_counts_the_whole_family():
    assert verdict.adjusted([0.01, 0.04, 0.03, 0.005], "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert verdict.adjusted([0.01, 0.04, 0.03, 0.005], "none") == [0.01, 0.04, 0.03, 0.005]
    assert verdict.adjusted([], "holm") == []


def test_confidence_sets_the_level():
    assert verdict.word(0.03, 0.02, 0.2, 0.99) == "cannot tell"
