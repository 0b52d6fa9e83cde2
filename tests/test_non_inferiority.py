"""Forgetting on planted truths: nothing lost, lost twice the margin, lost half of it, too few examples."""

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.measures import claims, non_inferiority
from pipeline.measures.non_inferiority import NonInferiorityTest
from pipeline.measures.rate import rate

HOW = (0.95, 1000, 0)
LEVEL = 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5
"""What a test at 5 % may claim falsely in 1,000 simulations: three standard errors more."""
rng = np.random.default_rng


def paragraphs(n, change, seed=0, spread=0.03, kl=0.01):
    """Rows of n paragraphs whose loss changes by `change` nats per token in the mean."""
    draw = rng(seed)
    tokens = draw.integers(60, 256, n)
    moved = tokens * (change + spread * draw.normal(size=n))
    base = tokens * draw.normal(3, 0.4, n)
    return [
        {"example": f"p{i}", "tokens": int(t), "base": b, "tuned": b + m, "kl": kl * t}
        for i, (t, b, m) in enumerate(zip(tokens, base, moved, strict=True))
    ]


def scored(base, tuned):
    return [
        {"id": f"e{i}", "prompt": "?", "target": "yes", "base": "b", "tuned": "t", "scores": (float(b), float(t))}
        for i, (b, t) in enumerate(zip(base, tuned, strict=True))
    ]


def task(base, tuned, margin=0.02, groups=None):
    rows = scored(base, tuned)
    return non_inferiority.task_suite(rows, np.arange(len(rows)) if groups is None else groups, margin, 0.95)


def test_a_loss_that_did_not_change_is_shown_to_be_kept():
    suite = non_inferiority.loss_suite(paragraphs(200, 0.0), 0.05, *HOW)
    assert suite["p"] < 0.001
    assert suite["p_worse"] > 0.99
    assert suite["low"] < 0 < suite["high"] < 0.05
    assert suite["flips"]["broken"] < 40


def test_a_loss_worse_by_two_margins_is_shown_to_be_worse():
    suite = non_inferiority.loss_suite(paragraphs(200, 0.1), 0.05, *HOW)
    assert suite["p_worse"] < 0.001
    assert suite["p"] > 0.99
    assert suite["difference"] == pytest.approx(suite["tuned"] - suite["base"])
    assert suite["low"] < 0.1 < suite["high"]
    assert suite["flips"]["broken"] > 150


def test_a_loss_worse_by_half_a_margin_is_worse_and_yet_kept():
    suite = non_inferiority.loss_suite(paragraphs(300, 0.025), 0.05, *HOW)
    assert 0 < suite["low"] < suite["high"] < 0.05
    assert suite["p"] < 0.001


def test_losses_are_weighed_by_their_tokens():
    rows = [{"tokens": 10, "base": 10.0, "tuned": 20.0, "kl": 1.0}, {"tokens": 90, "base": 90.0, "tuned": 90.0, "kl": 4.0}]
    suite = non_inferiority.loss_suite(rows, 0.05, *HOW)
    assert (suite["base"], suite["tuned"], suite["difference"]) == pytest.approx((1.0, 1.1, 0.1))
    assert suite["kl"]["mean"] == pytest.approx(0.05)
    assert suite["n"] == 2


def test_what_every_token_lost_alike_is_known_exactly_however_long_the_paragraphs():
    counts = rng(0).integers(1, 200, 50).astype(float)
    assert rate(2 * counts, counts, *HOW) == pytest.approx((2, 2, 2))
    assert rate(counts[:1], counts[:1], *HOW) == (1, 1, 1)


def test_one_paragraph_that_lost_much_stands_for_those_that_were_not_drawn():
    rows = [{"tokens": 100, "base": 300.0, "tuned": 300.0 + 30 * (n == 0), "kl": 0.0} for n in range(40)]
    suite, moved = non_inferiority.loss_suite(rows, 0.05, *HOW), np.eye(40)[0] * 30
    assert suite["p"] > 1.2 * non_inferiority.score_test_p(moved, np.full(40, 100.0), 0.05)
    assert suite["p_worse"] == 1 - non_inferiority.score_test_p(moved, np.full(40, 100.0), 0.05)


def test_an_adapter_that_changes_nothing_is_kept_exactly():
    rows = paragraphs(100, 0.0, spread=0.0, kl=0.0)
    suite = non_inferiority.loss_suite([row | {"tuned": row["base"]} for row in rows], 0.05, *HOW)
    assert (suite["difference"], suite["kl"]) == (0, {"mean": 0, "low": 0, "high": 0})
    assert (suite["low"], suite["high"]) == pytest.approx((0, 0), abs=1e-8)
    assert suite["p"] < 1e-6
    assert suite["flips"] == {"fixed": 0, "broken": 0}


def test_the_flips_are_counted_and_the_first_ones_are_named():
    base, tuned = np.repeat([1, 0, 1, 0], [40, 10, 100, 50]), np.repeat([0, 1, 1, 0], [40, 10, 100, 50])
    suite = task(base, tuned)
    assert suite["flips"] == {"fixed": 10, "broken": 40}
    assert [row["id"] for row in suite["broken"]] == [f"e{i}" for i in range(20)]
    assert set(suite["broken"][0]) == {"id", "prompt", "target", "base", "tuned"}
    assert [row["id"] for row in suite["fixed"]] == [f"e{i}" for i in range(40, 50)]
    assert suite["difference"] == pytest.approx(-0.15)
    assert suite["low"] < -0.15 < suite["high"]
    assert suite["p_worse"] < 0.001


def test_few_examples_without_a_flip_show_nothing():
    assert task(np.ones(5), np.ones(5))["p"] > 0.3
    assert task(np.ones(100), np.ones(100))["p"] > 0.05
    assert task(np.ones(400), np.ones(400))["p"] < 0.01


@pytest.mark.parametrize(("n", "margin", "lost"), [(50, 0.05, 0), (300, 0.02, 0), (400, 0.02, 3)])
def test_where_nothing_is_gained_the_p_is_the_exact_tail(n, margin, lost):
    assert task(np.ones(n), np.arange(n) >= lost, margin)["p"] == pytest.approx(binom.cdf(lost, n, margin))


def test_a_gain_never_weakens_the_proof():
    """The more of 400 answers are gained, the smaller p, also from none to the first."""
    for lost in (0, 2, 5):
        p = [flipped(lost, gained, 400).not_worse(0.02) for gained in range(6)]
        assert p == sorted(p, reverse=True)


def test_scores_that_lose_little_everywhere_are_tested_by_their_mean():
    suite = task(np.full(200, 0.9), np.full(200, 0.895))
    assert (suite["p"] < 0.05, suite["p_worse"] > 0.99) == (True, True)


@pytest.mark.parametrize("n", [1, 5, 50, 400])
def test_without_a_flip_the_interval_has_the_width_of_ignorance(n):
    suite = task(np.ones(n), np.ones(n))
    assert suite["low"] == pytest.approx(0.025 ** (1 / n) - 1)  # Clopper and Pearson of nothing in n
    assert suite["high"] > -0.8 * suite["low"]


def test_a_suite_is_tuned_minus_base_and_its_margin_lies_where_tuned_is_worse():
    """One sign for all: a score that falls and a loss that falls are both below zero, and only the first is worse."""
    fell = task(np.ones(300), np.arange(300) >= 60)
    assert (fell["difference"], fell["margin"]) == (pytest.approx(fell["tuned"] - fell["base"]), -0.02)
    assert -1 <= fell["low"] < fell["difference"] < fell["high"] < 0
    less = non_inferiority.loss_suite(paragraphs(200, -0.2), 0.05, *HOW)
    assert (less["difference"], less["margin"]) == (pytest.approx(less["tuned"] - less["base"]), 0.05)
    assert less["low"] < less["difference"] < less["high"] < 0
    assert (fell["p_worse"] < 0.001, less["p"] < 0.001) == (True, True)


def test_no_difference_has_no_minus():
    suite = task(np.ones(50), np.ones(50))
    assert str(suite["difference"]) == "0.0"


def test_all_lost_is_not_lost_for_certain():
    assert task(np.ones(5), np.zeros(5))["high"] > -0.6


def of_any_kind(draw, number):
    """Right or wrong, graded, in groups of several sizes, losses."""
    n = int(draw.choice([10, 20, 50, 200]))
    ones, sizes = np.ones(n), draw.integers(1, 6, n).astype(float)
    if number % 4 == 0:
        return NonInferiorityTest(draw.choice([0.0, 1, -1], n, p=[0.9, 0.07, 0.03]), ones, True)
    if number % 4 == 1:
        return NonInferiorityTest(draw.uniform(-1, 1, n) * (draw.random(n) < 0.2) + 0.05 * (number % 8 == 1), ones, True)
    if number % 4 == 2:
        return NonInferiorityTest(np.clip(draw.normal(0.03, 0.2, n), -1, 1) * sizes, sizes, True)
    return NonInferiorityTest(*losses(draw, n, draw.uniform(-0.05, 0.1), number % 8 == 3), is_score=False)


@pytest.mark.parametrize("tail", [0.025, 0.05, 0.005])
def test_the_interval_says_what_the_tests_say_at_every_margin(tail):
    draw = rng(11)
    for number in range(300):
        shift = of_any_kind(draw, number)
        low, high = shift.interval(tail)
        assert low <= shift.mean + 1e-12
        assert high >= shift.mean - 1e-12
        for margin in draw.uniform(0, 0.6, 8):
            assert ((shift.not_worse(margin) <= tail), (shift.worse(margin) <= tail)) == (high <= margin, low >= margin)


def test_the_verdict_is_read_off_the_interval():
    """Holm aside, a claim is no regression, regressed or inconclusive as the margin lies below, above or in the interval."""
    draw, seen, named = rng(12), set(), {"cell": "c", "task": "t", "label": "t"}
    for _ in range(200):
        moved = draw.choice([1.0, -1.0, 0.0], 300, p=[0.06, 0.03, 0.91])
        base, tuned = np.maximum(moved, 0), np.maximum(-moved, 0)
        suite = task(base, tuned, margin=float(draw.choice([0.005, 0.02, 0.05, 0.08])))
        claim = claims.non_inferiority(named, suite | {"suite": "x", "metric_name": "accuracy"})
        word = "no regression" if suite["low"] > suite["margin"] else "regressed" if suite["high"] < suite["margin"] else "inconclusive"
        assert claims.judge([claim], 0.95, "none")[0].verdict == word
        seen.add(word)
    assert seen == {"no regression", "regressed", "inconclusive"}


def test_groups_count_as_one():
    base = rng(0).integers(0, 2, 400)
    whole = task(base, base)
    grouped = task(base, base, groups=np.repeat(np.arange(100), 4))
    assert grouped["p"] == pytest.approx(task(base[:100], base[:100])["p"])
    assert whole["p"] < grouped["p"]


def test_the_two_tests_never_both_claim_and_a_difference_at_the_margin_claims_nothing():
    for change in np.linspace(-0.1, 0.2, 31):
        suite = non_inferiority.loss_suite(paragraphs(50, change), 0.05, 0.95, 100, 0)
        assert suite["p"] + suite["p_worse"] >= 1 - 1e-9
    rows = [{"tokens": 100, "base": 300.0, "tuned": 305.0, "kl": 1.0}] * 30
    suite = non_inferiority.loss_suite(rows, 0.05, *HOW)
    assert (suite["p"], suite["p_worse"]) == (0.5, 0.5)


def binary(draw, n, change, flips):
    """Sums and counts of n answers, `flips` of which change, for the worse more often such that the mean loss is `change`."""
    chances = [(flips + change) / 2, (flips - change) / 2, 1 - flips]
    return draw.choice([1.0, -1.0, 0.0], n, p=chances), np.ones(n)


def losses(draw, n, change, skewed):
    tokens = draw.integers(60, 256, n).astype(float)
    noise = draw.exponential(0.1, n) - 0.1 if skewed else draw.normal(0, 0.05, n)
    return tokens * (change + noise), tokens


def graded(draw, n, change):
    return (draw.random(n) < 0.06) * (change / 0.06 + draw.uniform(-0.5, 0.5, n)), np.ones(n)


def claimed(make, margin, is_score):
    """Shares of 1,000 simulations that claim `kept` and `worse`."""
    draw = rng(7)
    tests_drawn = [NonInferiorityTest(*make(draw), is_score=is_score) for _ in range(1000)]
    return np.mean([shift.not_worse(margin) <= 0.05 for shift in tests_drawn]), np.mean(
        [shift.worse(margin) <= 0.05 for shift in tests_drawn]
    )


@pytest.mark.parametrize(("n", "margin"), [(50, 0.02), (55, 0.05), (135, 0.02), (150, 0.05), (300, 0.02), (400, 0.02)])
@pytest.mark.parametrize("level", [0.05, 0.025, 0.005])
def test_kept_is_claimed_falsely_within_its_level_by_enumeration(n, margin, level):
    """Every outcome of right and wrong answers with its probability, at a true loss of the margin, whatever share is gained."""
    most = n // 3
    lost, gained = (side.ravel() for side in np.meshgrid(np.arange(most), np.arange(most), indexing="ij"))
    likely = {(a, b) for a, b in zip(lost, gained, strict=True) if a - b < margin * n and a <= 2 * margin * n + b}
    refuted = np.array([(a, b) for a, b in likely if flipped(a, b, n).not_worse(margin) <= level]).reshape(-1, 2)
    for gain in (0, 0.001, 0.003, 0.01, 0.03, 0.1):
        chance = binom.pmf(refuted[:, 1], n, gain) * binom.pmf(refuted[:, 0], n - refuted[:, 1], (margin + gain) / (1 - gain))
        assert chance.sum() <= level


def flipped(lost, gained, n):
    return NonInferiorityTest(np.repeat([1.0, -1.0, 0.0], [lost, gained, n - lost - gained]), np.ones(n), is_score=True)


@pytest.mark.parametrize("n", [50, 200, 500])
@pytest.mark.parametrize("flips", [0.02, 0.05, 0.1, 0.3])
def test_kept_is_claimed_falsely_within_its_level_on_tasks(n, flips):
    not_worse, worse = claimed(lambda draw: binary(draw, n, 0.02, flips), 0.02, True)
    assert max(not_worse, worse) <= LEVEL


@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize("skewed", [False, True])
def test_kept_is_claimed_falsely_within_its_level_on_losses(n, skewed):
    not_worse, worse = claimed(lambda draw: losses(draw, n, 0.05, skewed), 0.05, False)
    assert max(not_worse, worse) <= LEVEL


def test_kept_is_claimed_falsely_within_its_level_on_graded_scores():
    assert claimed(lambda draw: graded(draw, 50, 0.02), 0.02, True)[0] <= LEVEL
    assert claimed(lambda draw: graded(draw, 500, 0.02), 0.02, True)[0] <= LEVEL


def test_what_was_kept_is_mostly_found():
    assert claimed(lambda draw: binary(draw, 500, 0.0, 0.02), 0.02, True)[0] > 0.8
    assert claimed(lambda draw: losses(draw, 300, 0.025, False), 0.05, False)[0] > 0.95
    assert claimed(lambda draw: losses(draw, 300, 0.0, True), 0.05, False)[0] > 0.9
    assert claimed(lambda draw: losses(draw, 300, 0.075, False), 0.05, False)[1] > 0.95


def test_a_base_that_guesses_evenly_has_nothing_to_lose():
    even = float(np.log(1536))
    assert [non_inferiority.has_something_to_lose(even - less, 1536, 0.05) for less in (-1, 0, 0.049, 0.051, 5)] == [
        False,
        False,
        False,
        True,
        True,
    ]
