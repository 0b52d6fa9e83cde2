"""Forgetting on planted truths: nothing lost, lost twice the margin, lost half of it, too few examples."""

import numpy as np
import pytest

from pipeline.measures import forgetting
from pipeline.measures.rate import rate

HOW = (0.95, 1000, 0)
LEVEL = 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5
"""What a test at 5 % may claim falsely in 1,000 simulations: three standard errors more."""
rng = np.random.default_rng


def paragraphs(n, change, seed=0, spread=0.03, kl=0.01):
    """Rows of n paragraphs whose loss changes by `change` nats a token in the mean."""
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
    return forgetting.task_suite(rows, np.arange(len(rows)) if groups is None else groups, margin, *HOW)


def test_a_loss_that_did_not_change_is_shown_to_be_kept():
    found = forgetting.loss_suite(paragraphs(200, 0.0), 0.05, *HOW)
    assert found["p"] < 0.001
    assert found["p_worse"] > 0.99
    assert found["low"] < 0 < found["high"] < 0.05
    assert found["flips"]["broken"] < 40


def test_a_loss_worse_by_two_margins_is_shown_to_be_worse():
    found = forgetting.loss_suite(paragraphs(200, 0.1), 0.05, *HOW)
    assert found["p_worse"] < 0.001
    assert found["p"] > 0.99
    assert found["difference"] == pytest.approx(found["tuned"] - found["base"])
    assert found["low"] < 0.1 < found["high"]
    assert found["flips"]["broken"] > 150


def test_a_loss_worse_by_half_a_margin_is_worse_and_yet_kept():
    found = forgetting.loss_suite(paragraphs(300, 0.025), 0.05, *HOW)
    assert 0 < found["low"] < found["high"] < 0.05
    assert found["p"] < 0.001


def test_losses_are_weighed_by_their_tokens():
    rows = [{"tokens": 10, "base": 10.0, "tuned": 20.0, "kl": 1.0}, {"tokens": 90, "base": 90.0, "tuned": 90.0, "kl": 4.0}]
    found = forgetting.loss_suite(rows, 0.05, *HOW)
    assert (found["base"], found["tuned"], found["difference"]) == pytest.approx((1.0, 1.1, 0.1))
    assert found["kl"]["mean"] == pytest.approx(0.05)
    assert found["n"] == 2


def test_what_every_token_lost_alike_is_known_exactly_however_long_the_paragraphs():
    counts = rng(0).integers(1, 200, 50).astype(float)
    assert rate(2 * counts, counts, *HOW) == pytest.approx((2, 2, 2))
    assert rate(counts[:1], counts[:1], *HOW) == (1, 1, 1)


def test_one_paragraph_that_lost_much_stands_for_those_that_were_not_drawn():
    rows = [{"tokens": 100, "base": 300.0, "tuned": 300.0 + 30 * (n == 0), "kl": 0.0} for n in range(40)]
    found, moved = forgetting.loss_suite(rows, 0.05, *HOW), np.eye(40)[0] * 30
    assert found["p"] > 1.2 * forgetting.below(moved, np.full(40, 100.0), 0.05)
    assert found["p_worse"] == 1 - forgetting.below(moved, np.full(40, 100.0), 0.05)


def test_an_adapter_that_changes_nothing_is_kept_exactly():
    rows = paragraphs(100, 0.0, spread=0.0, kl=0.0)
    found = forgetting.loss_suite([row | {"tuned": row["base"]} for row in rows], 0.05, *HOW)
    assert (found["difference"], found["low"], found["high"], found["kl"]) == (0, 0, 0, {"mean": 0, "low": 0, "high": 0})
    assert found["p"] < 1e-6
    assert found["flips"] == {"fixed": 0, "broken": 0}


def test_the_flips_are_counted_and_the_first_broken_ones_are_named():
    base, tuned = np.repeat([1, 0, 1, 0], [40, 10, 100, 50]), np.repeat([0, 1, 1, 0], [40, 10, 100, 50])
    found = task(base, tuned)
    assert found["flips"] == {"fixed": 10, "broken": 40}
    assert [row["id"] for row in found["broken"]] == [f"e{i}" for i in range(20)]
    assert set(found["broken"][0]) == {"id", "prompt", "target", "base", "tuned"}
    assert found["difference"] == pytest.approx(0.15)
    assert found["low"] < 0.15 < found["high"]
    assert found["p_worse"] < 0.001


def test_few_examples_without_a_flip_show_nothing():
    assert task(np.ones(5), np.ones(5))["p"] > 0.3
    assert task(np.ones(100), np.ones(100))["p"] > 0.05
    assert task(np.ones(400), np.ones(400))["p"] < 0.01


def test_without_flips_the_p_is_that_of_tangos_score_test():
    from scipy.stats import norm

    for n, margin in ((50, 0.05), (300, 0.02)):
        assert task(np.ones(n), np.ones(n), margin)["p"] == pytest.approx(norm.cdf(-np.sqrt(n * margin / (1 - margin))))


def test_groups_count_as_one():
    base = rng(0).integers(0, 2, 400)
    whole = task(base, base)
    grouped = task(base, base, groups=np.repeat(np.arange(100), 4))
    assert grouped["p"] == pytest.approx(task(base[:100], base[:100])["p"])
    assert whole["p"] < grouped["p"]


def test_the_two_tests_never_both_claim_and_a_difference_at_the_margin_claims_nothing():
    for change in np.linspace(-0.1, 0.2, 31):
        found = forgetting.loss_suite(paragraphs(50, change), 0.05, 0.95, 100, 0)
        assert found["p"] + found["p_worse"] >= 1 - 1e-9
    rows = [{"tokens": 100, "base": 300.0, "tuned": 305.0, "kl": 1.0}] * 30
    found = forgetting.loss_suite(rows, 0.05, *HOW)
    assert (found["p"], found["p_worse"]) == (0.5, 0.5)


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


def claims(make, margin, worst):
    """Shares of 1,000 simulations that claim `kept` and `worse`."""
    draw, kept, worse = rng(7), 0, 0
    for _ in range(1000):
        moved, counts = make(draw)
        top = worst if worst else float((moved / counts).max())
        kept += forgetting.below(moved, counts, margin, top) <= 0.05
        worse += 1 - forgetting.below(moved, counts, margin) <= 0.05
    return kept / 1000, worse / 1000


@pytest.mark.parametrize("n", [50, 200, 500])
@pytest.mark.parametrize("flips", [0.02, 0.05, 0.1, 0.3])
def test_kept_is_claimed_falsely_within_its_level_on_tasks(n, flips):
    kept, worse = claims(lambda draw: binary(draw, n, 0.02, flips), 0.02, 1.0)
    assert max(kept, worse) <= LEVEL


@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize("skewed", [False, True])
def test_kept_is_claimed_falsely_within_its_level_on_losses(n, skewed):
    kept, worse = claims(lambda draw: losses(draw, n, 0.05, skewed), 0.05, None)
    assert max(kept, worse) <= LEVEL


def test_kept_is_claimed_falsely_within_its_level_on_graded_scores():
    assert claims(lambda draw: graded(draw, 50, 0.02), 0.02, 1.0)[0] <= LEVEL
    assert claims(lambda draw: graded(draw, 500, 0.02), 0.02, 1.0)[0] <= LEVEL


def test_what_was_kept_is_mostly_found():
    assert claims(lambda draw: binary(draw, 500, 0.0, 0.02), 0.02, 1.0)[0] > 0.8
    assert claims(lambda draw: losses(draw, 300, 0.025, False), 0.05, None)[0] > 0.95
    assert claims(lambda draw: losses(draw, 300, 0.0, True), 0.05, None)[0] > 0.9
    assert claims(lambda draw: losses(draw, 300, 0.075, False), 0.05, None)[1] > 0.95
