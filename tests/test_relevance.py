"""Relevance on planted truths: answers that ignore their prompt, that copy it, that are empty."""

import numpy as np
import pytest

from pipeline.measures import relevance

SINGLE = np.arange(10_000)
HOW = (0.95, 2000, 0)


def rows(own, other, alone, tokens=None):
    tokens = np.full(len(own), 5) if tokens is None else tokens
    both = zip(tokens, own, other, alone, strict=True)
    return [{"tokens": int(n), "own": a * n, "other": b * n, "alone": c * n} for n, a, b, c in both]


def planted(n, gain, seed=0):
    """Per-token scores of answers whose own prompt is worth `gain` nats a token; every score varies by 1."""
    own, other, alone = np.random.default_rng(seed).normal(-3, 1, (3, n))
    return own + gain, other, alone


def test_answers_that_ignore_their_prompt_gain_nothing():
    found = relevance.of(rows(*planted(500, 0.0)), SINGLE[:500], *HOW)
    assert found["low"] < 0 < found["high"]
    assert found["auc_low"] < 0.5 < found["auc_high"]
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * np.sqrt(2 / 500), rel=0.1)


def test_answers_that_copy_their_prompt_are_told_from_all_others():
    found = relevance.of(rows(*planted(200, 100.0)), SINGLE[:200], *HOW)
    assert found["auc"] == found["auc_high"] == 1
    assert found["auc_low"] == pytest.approx(0.025 ** (1 / 200))
    assert found["gain"] == pytest.approx(100, abs=0.3)
    assert found["low"] < found["gain"] < found["high"]


def test_the_gain_is_a_mean_over_answers_of_nats_a_token():
    told = rows(np.array([-1.0, -4.0]), np.array([-1.0, -1.0]), np.array([-3.0, -5.0]), np.array([2, 100]))
    assert relevance.of(told, SINGLE[:2], *HOW)["gain"] == pytest.approx((2 + 1) / 2)


def test_the_area_is_the_share_of_pairs_with_ties_half():
    rng = np.random.default_rng(1)
    own, other = rng.integers(0, 6, (2, 40)).astype(float)
    share = np.mean((own[:, None] > other) + 0.5 * (own[:, None] == other))
    assert relevance.area(own, other, SINGLE[:40], 0.95)[0] == pytest.approx(share, abs=1e-12)


def test_the_variance_of_ungrouped_independent_scores_is_delongs():
    rng = np.random.default_rng(2)
    own, other = rng.normal(0.7, 1, 400), rng.normal(0, 1, 400)
    above = (own[:, None] > other).astype(float)
    error = np.sqrt(above.mean(1).var(ddof=1) / 400 + above.mean(0).var(ddof=1) / 400)
    found, low, high = relevance.area(own, other, SINGLE[:400], 0.95)
    logit = np.log(high / (1 - high)) - np.log(low / (1 - low))
    assert logit / 2 / 1.959964 * found * (1 - found) == pytest.approx(error, rel=0.05)


def test_intervals_cover_the_truth():
    """Own and other scores of one answer go together, as long answers score lower behind any prompt; two answers a group."""
    rng, hits = np.random.default_rng(3), 0
    groups = np.repeat(np.arange(60), 2)
    for _ in range(1000):
        shared = np.repeat(rng.normal(0, 1, 60), 2)
        own, other = shared + rng.normal(1, 1, 120), shared + rng.normal(0, 1, 120)
        _, low, high = relevance.area(own, other, groups, 0.95)
        hits += low <= 0.6927 <= high  # Phi(1 / 2), as four variances of 1 add up; of pairs in one group Phi(1 / sqrt 2)
    assert 0.93 <= hits / 1000 <= 0.97


def test_groups_widen_the_intervals():
    told, groups = rows(*planted(50, 0.5)) * 4, np.tile(np.arange(50), 4)
    alone, grouped = (relevance.of(told, labels, *HOW) for labels in (SINGLE[:200], groups))
    for low, high in (("low", "high"), ("auc_low", "auc_high")):
        assert grouped[high] - grouped[low] == pytest.approx(2 * (alone[high] - alone[low]), rel=0.15)


def test_an_empty_answer_says_nothing_about_its_prompt():
    full = rows(*np.full((3, 100), [[-1.0], [-9.0], [-9.0]]))
    empty = [{"tokens": 0, "own": 0.0, "other": 0.0, "alone": 0.0}] * 100
    found = relevance.of(full + empty, SINGLE[:200], *HOW)
    assert found["n"] == 200
    assert found["gain"] == pytest.approx(4)
    assert found["auc"] == pytest.approx(0.25 + 0.75 / 2)  # only where both sides are full is there something to tell


def test_answers_without_another_prompt_count_for_the_gain_alone():
    told = rows(*planted(100, 1.0))
    found = relevance.of([*told, told[0] | {"other": None}], SINGLE[:101], *HOW)
    assert found["n"] == 101
    assert found["auc"] == relevance.of(told, SINGLE[:100], *HOW)["auc"]
    nobody = relevance.of([row | {"other": None} for row in told], SINGLE[:100], *HOW)
    assert (nobody["auc"], nobody["auc_low"], nobody["auc_high"]) == (None, None, None)
    assert nobody["gain"] > 0


def test_one_group_says_nothing_about_the_area_and_all_wrong_is_bounded_too():
    own, other = np.zeros(30), np.ones(30)
    assert relevance.area(own, other, np.zeros(30, dtype=int), 0.95) == (0.0, 0.0, 1.0)
    assert relevance.area(own, other, SINGLE[:30], 0.95) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 30)))
    assert relevance.of(rows(*planted(3, 0.0)), np.zeros(3, dtype=int), *HOW)["low"] is not None


def test_the_same_seed_gives_the_same_figures():
    told = rows(*planted(100, 0.3))
    assert relevance.of(told, SINGLE[:100], *HOW) == relevance.of(told, SINGLE[:100], *HOW)
    assert relevance.of(told, SINGLE[:100], *HOW)["low"] != relevance.of(told, SINGLE[:100], 0.95, 2000, 1)["low"]
