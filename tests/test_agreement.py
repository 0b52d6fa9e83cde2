"""The agreement rule against planted truths, a published worked example, and everything that cannot be compared."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.lora_land.agreement import OurFigure, agreement
from pipeline.lora_land.published import PublishedScore, ScoredRows, cell

BOOLQ = cell("boolq", "mistral-7b")
OURS = OurFigure("tuned", 0.9, 1000, "accuracy", "validation", zero_one=True)
RUNS = 1500


def paper(score, n, lift=None, metric="accuracy"):
    """A cell as it is printed: three digits."""
    return PublishedScore(
        "task", "", metric, "base", round(score, 3), None if lift is None else round(lift, 3), ScoredRows("test", "", n, "scores")
    )


def right(value, n, **others):
    return OurFigure("tuned", value, n, "accuracy", "test", zero_one=True, **others)


def half_width(result):
    """Of the interval of a difference."""
    return (result.high - result.low) / 2


def words(draw, runs=RUNS, seed=0):
    """How often each word falls."""
    rng = np.random.default_rng(seed)
    fallen = [agreement(*draw(rng)).word for _ in range(runs)]
    return {word: fallen.count(word) / runs for word in ("agree", "higher", "lower", "not comparable")}


# Right or wrong


def test_newcombes_own_example():
    """Newcombe 1998, example (a), method 10: 56 of 70 against 48 of 80."""
    result = agreement(right(56 / 70, 70), paper(48 / 80, 80))
    assert (result.low, result.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert result.word == "higher"
    assert half_width(result) == pytest.approx((0.3339 - 0.0524) / 2, abs=1e-4)


@pytest.mark.parametrize(("truth", "n", "m"), [(0.8, 1000, 1000), (0.55, 200, 872), (0.563, 71, 71), (0.95, 500, 1000)])
def test_equal_truths_agree(truth, n, m):
    shares = words(lambda rng: (right(rng.binomial(n, truth) / n, n), paper(rng.binomial(m, truth) / m, m)))
    assert 0.935 <= shares["agree"] <= 0.97
    assert shares["higher"] == pytest.approx(shares["lower"], abs=0.025)


@pytest.mark.parametrize(("shift", "word"), [(0.1, "higher"), (-0.1, "lower")])
def test_ten_points_are_seen_on_1000_rows(shift, word):
    shares = words(lambda rng: (right(rng.binomial(1000, 0.7 + shift) / 1000, 1000), paper(rng.binomial(1000, 0.7) / 1000, 1000)), 400)
    assert shares[word] > 0.98


def test_ten_points_cannot_be_seen_on_71_rows():
    shares = words(lambda rng: (right(rng.binomial(71, 0.7) / 71, 71), paper(rng.binomial(71, 0.6) / 71, 71)), 400)
    assert shares["agree"] > 0.65
    assert half_width(agreement(right(0.7, 71), paper(0.6, 71))) > 0.15


def test_half_the_width_is_what_can_be_seen():
    half = half_width(agreement(right(0.8, 1000), paper(0.8, 1000)))
    assert half == pytest.approx(1.96 * math.sqrt(2 * 0.8 * 0.2 / 1000), rel=0.02)
    assert agreement(right(0.8 + 0.9 * half, 1000), paper(0.8, 1000)).word == "agree"
    assert agreement(right(0.8 + 1.1 * half, 1000), paper(0.8, 1000)).word == "higher"


@pytest.mark.parametrize(("ours", "theirs", "word"), [(1, 1, "agree"), (0, 0, "agree"), (1, 0.909, "higher"), (0, 1, "lower")])
def test_the_ends_of_the_scale(ours, theirs, word):
    result = agreement(right(float(ours), 1000), paper(theirs, 1000))
    assert (result.word, half_width(result) > 0) == (word, True)


def test_the_same_rows_agree_more_often_than_95_percent():
    """The interval takes the sides as independent, which is on the safe side where both score the same rows."""

    def draw(rng):
        ease = rng.random(500) < 0.6  # rows that both get right; the rest is luck
        ours, theirs = ((ease | (rng.random(500) < 0.25)).mean() for _ in range(2))
        return right(ours, 500), paper(theirs, 500)

    assert words(draw)["agree"] > 0.98


# Means


def means(truth, n, m, shift=0.0):
    """Skewed scores, most of them low, as ROUGE gives; only ours have a known spread."""

    def draw(rng):
        ours, theirs = rng.beta(2 * truth, 2 * (1 - truth), n) + shift, rng.beta(2 * truth, 2 * (1 - truth), m)
        ours_figure = OurFigure("tuned", float(ours.mean()), n, "rouge", "test", deviations=(float(ours.std(ddof=1)),))
        return ours_figure, paper(float(theirs.mean()), m, metric="rouge")

    return draw


@pytest.mark.parametrize(("truth", "n", "m"), [(0.3, 1000, 1000), (0.15, 300, 1000), (0.5, 1000, 164)])
def test_equal_means_agree(truth, n, m):
    assert 0.935 <= words(means(truth, n, m))["agree"] <= 0.97


def test_planted_means_are_seen():
    assert words(means(0.4, 1000, 1000, shift=0.1), 300)["higher"] > 0.98
    assert words(means(0.4, 1000, 1000, shift=-0.1), 300)["lower"] > 0.98
    assert words(means(0.4, 71, 71, shift=0.05), 300)["agree"] > 0.7


def test_a_mean_by_hand():
    ours = OurFigure("base", 0.5, 400, "rouge", "test", deviations=(0.2,))
    result = agreement(ours, paper(0.9, 100, lift=0.42, metric="rouge"))
    assert (result.low, result.high) == pytest.approx(
        (0.02 - 1.96 * math.hypot(0.01, 0.02), 0.02 + 1.96 * math.hypot(0.01, 0.02)), abs=1e-5
    )
    clustered = agreement(replace(ours, error=0.03), paper(0.9, 100, lift=0.42, metric="rouge"))
    assert half_width(clustered) == pytest.approx(1.96 * math.hypot(0.03, 0.02), abs=1e-5)


# Lifts


def arms(rng, n, base, gained, lost):
    """Right or wrong on the same n rows: tuned gains some rows and loses some."""
    before = rng.random(n) < base
    change = rng.random(n)
    return before, np.where(before, change >= lost, change < gained)


def lifts(n, shift=0.0):
    def draw(rng):
        (b, t), (pb, pt) = (arms(rng, n, 0.5, 0.6 + extra, 0.05) for extra in (shift, 0.0))
        gaps = t.astype(float) - b
        ours = replace(right(gaps.mean(), n, error=gaps.std(ddof=1) / math.sqrt(n)), figure="lift")
        return ours, paper(pt.mean(), n, lift=pt.mean() - pb.mean())

    return draw


def test_equal_lifts_agree():
    assert 0.935 <= words(lifts(1000))["agree"] <= 0.985  # arms that go together make the paper's share too wide


def test_planted_lifts_are_seen():
    assert words(lifts(1000, shift=0.25), 300)["higher"] > 0.95  # 12.5 points
    assert words(lifts(71, shift=0.1), 300)["agree"] > 0.7


def test_lifts_by_hand():
    ours = OurFigure("lift", 0.2, 500, "accuracy", "test", zero_one=True, error=0.02)
    theirs = math.sqrt(sum(p * (1 - p) / 102 for p in (61 / 102, 91 / 102)))
    assert half_width(agreement(ours, paper(0.9, 100, lift=0.3))) == pytest.approx(1.96 * math.hypot(0.02, theirs), abs=1e-5)
    ours = OurFigure("lift", 0.2, 500, "rouge", "test", deviations=(0.1, 0.3), error=0.02)
    theirs = math.sqrt((0.1**2 + 0.3**2) / 100)
    result = agreement(ours, paper(0.9, 100, lift=0.3, metric="rouge"))
    assert half_width(result) == pytest.approx(1.96 * math.hypot(0.02, theirs), abs=1e-5)
    assert (result.high + result.low) / 2 == pytest.approx(-0.1)


# What cannot be compared


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metric": "exact match"}, "another metric: ours is exact match, the paper's accuracy"),
        ({"split": "test"}, "another split: ours is test, the paper's validation"),
        ({"n": 29}, "too few rows: 29 of ours"),
        ({"other_differences": ("a chat template was forced",)}, "a chat template was forced"),
        ({"zero_one": False}, "spread"),
        ({"zero_one": False, "deviations": (0.0,)}, "spread"),
        ({"figure": "lift"}, "spread"),
        ({"figure": "lift", "error": 0.0}, "spread"),
        ({"figure": "lift", "zero_one": False, "error": 0.1, "deviations": (0.1,)}, "spread"),
    ],
)
def test_not_comparable(change, reason):
    result = agreement(replace(OURS, **change), BOOLQ)
    assert (result.word, result.low, result.high) == ("not comparable", None, None)
    assert reason in result.why
    assert agreement(OURS, BOOLQ).word == "agree"


def test_bases_tasks_and_subsets_that_the_paper_lacks():
    assert "no such base" in agreement(OURS, None).why
    assert "no lift for gpt-4" in agreement(replace(OURS, figure="lift", error=0.1), cell("boolq", "gpt-4")).why
    ours = replace(OURS, split="test")
    assert "not known (perhaps 100)" in agreement(ours, cell("customer_support", "phi-2")).why
    assert "the paper's test of ARC-Easy" in agreement(ours, cell("arc_combined", "phi-2")).why
    assert agreement(replace(ours, subset="ARC-Easy"), cell("arc_combined", "phi-2")).word == "agree"


def test_every_reason_is_told():
    why = agreement(replace(OURS, split="test", n=5, metric="f1", other_differences=("other prompts",)), BOOLQ).why
    assert [part in why for part in ("f1", "split", "too few", "other prompts")] == [True] * 4
    assert why.count(";") == 3


def test_30_rows_are_enough_to_be_compared():
    assert agreement(replace(OURS, n=30), BOOLQ).word == "agree"


def test_the_reason_gives_the_half_width_and_how_rows_are_known():
    result = agreement(replace(OURS, value=0.8), BOOLQ)
    assert result.word == "lower"
    assert "-10.9 points from 0.909" in result.why
    assert f"under about {100 * half_width(result):.1f} cannot be seen (n = 1,000 and 1,000; two proportions, Newcombe" in result.why
    assert "inferred" in result.why
    assert "inferred" not in agreement(replace(OURS, n=71), cell("glue_wnli", "phi-2")).why


def test_gpt_has_scores_to_compare_with():
    assert agreement(OURS, cell("boolq", "gpt-4")).word == "agree"
