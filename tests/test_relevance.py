"""Relevance on planted truths: answers that ignore their prompt, that copy it, that are empty."""

import numpy as np
import pytest

from pipeline.measures import relevance

OWN_GROUPS = np.arange(10_000)
BOOTSTRAP = (0.95, 2000, 0)


def rows(own, other, alone, tokens=None):
    tokens = np.full(len(own), 5) if tokens is None else tokens
    both = zip(tokens, own, other, alone, strict=True)
    return [{"tokens": int(n), "own": a * n, "other": b * n, "alone": c * n} for n, a, b, c in both]


def planted(n, gain, seed=0):
    """Per-token scores of answers whose own prompt is worth `gain` nats per token; every score varies by 1."""
    own, other, alone = np.random.default_rng(seed).normal(-3, 1, (3, n))
    return own + gain, other, alone


def test_answers_that_ignore_their_prompt_gain_nothing():
    figures = relevance.summarize(rows(*planted(500, 0.0)), OWN_GROUPS[:500], *BOOTSTRAP)
    assert figures["low"] < 0 < figures["high"]
    assert figures["auc_low"] < 0.5 < figures["auc_high"]
    assert figures["high"] - figures["low"] == pytest.approx(2 * 1.96 * np.sqrt(2 / 500), rel=0.1)


def test_answers_that_copy_their_prompt_are_told_from_all_others():
    figures = relevance.summarize(rows(*planted(200, 100.0)), OWN_GROUPS[:200], *BOOTSTRAP)
    assert figures["auc"] == figures["auc_high"] == 1
    assert figures["auc_low"] == pytest.approx(0.025 ** (1 / 200))
    assert figures["gain"] == pytest.approx(100, abs=0.3)
    assert figures["low"] < figures["gain"] < figures["high"]


def test_the_gain_is_a_mean_over_answers_of_nats_a_token():
    answers = rows(np.array([-1.0, -4.0]), np.array([-1.0, -1.0]), np.array([-3.0, -5.0]), np.array([2, 100]))
    assert relevance.summarize(answers, OWN_GROUPS[:2], *BOOTSTRAP)["gain"] == pytest.approx((2 + 1) / 2)


def test_the_area_is_the_share_of_pairs_with_ties_half():
    rng = np.random.default_rng(1)
    own, other = rng.integers(0, 6, (2, 40)).astype(float)
    share = np.mean((own[:, None] > other) + 0.5 * (own[:, None] == other))
    assert relevance.auc_interval(own, other, OWN_GROUPS[:40], 0.95)[0] == pytest.approx(share, abs=1e-12)


def test_the_variance_of_ungrouped_independent_scores_is_delongs():
    rng = np.random.default_rng(2)
    own, other = rng.normal(0.7, 1, 400), rng.normal(0, 1, 400)
    above = (own[:, None] > other).astype(float)
    error = np.sqrt(above.mean(1).var(ddof=1) / 400 + above.mean(0).var(ddof=1) / 400)
    figures, low, high = relevance.auc_interval(own, other, OWN_GROUPS[:400], 0.95)
    logit = np.log(high / (1 - high)) - np.log(low / (1 - low))
    assert logit / 2 / 1.959964 * figures * (1 - figures) == pytest.approx(error, rel=0.05)


def test_intervals_cover_the_truth():
    """Own and other scores of one answer go together, as long answers score lower behind any prompt; two answers a group."""
    rng, hits = np.random.default_rng(3), 0
    groups = np.repeat(np.arange(60), 2)
    for _ in range(1000):
        shared = np.repeat(rng.normal(0, 1, 60), 2)
        own, other = shared + rng.normal(1, 1, 120), shared + rng.normal(0, 1, 120)
        _, low, high = relevance.auc_interval(own, other, groups, 0.95)
        hits += low <= 0.6927 <= high  # Phi(1 / 2), as four variances of 1 add up; of pairs in one group Phi(1 / sqrt 2)
    assert 0.93 <= hits / 1000 <= 0.97


def test_groups_widen_the_intervals():
    answers, groups = rows(*planted(50, 0.5)) * 4, np.tile(np.arange(50), 4)
    alone, grouped = (relevance.summarize(answers, labels, *BOOTSTRAP) for labels in (OWN_GROUPS[:200], groups))
    for low, high in (("low", "high"), ("auc_low", "auc_high")):
        assert grouped[high] - grouped[low] == pytest.approx(2 * (alone[high] - alone[low]), rel=0.15)


def test_an_empty_answer_says_nothing_about_its_prompt():
    full = rows(*np.full((3, 100), [[-1.0], [-9.0], [-9.0]]))
    empty = [{"tokens": 0, "own": 0.0, "other": 0.0, "alone": 0.0}] * 100
    figures = relevance.summarize(full + empty, OWN_GROUPS[:200], *BOOTSTRAP)
    assert figures["n"] == 200
    assert figures["gain"] == pytest.approx(4)
    assert figures["auc"] == pytest.approx(0.25 + 0.75 / 2)  # only where both sides are full is there something to tell


def test_answers_without_another_prompt_count_for_the_gain_alone():
    answers = rows(*planted(100, 1.0))
    figures = relevance.summarize([*answers, answers[0] | {"other": None}], OWN_GROUPS[:101], *BOOTSTRAP)
    assert figures["n"] == 101
    assert figures["auc"] == relevance.summarize(answers, OWN_GROUPS[:100], *BOOTSTRAP)["auc"]
    nobody = relevance.summarize([row | {"other": None} for row in answers], OWN_GROUPS[:100], *BOOTSTRAP)
    assert (nobody["auc"], nobody["auc_low"], nobody["auc_high"]) == (None, None, None)
    assert nobody["gain"] > 0


def test_one_group_says_nothing_about_the_area_and_all_wrong_is_bounded_too():
    own, other = np.zeros(30), np.ones(30)
    assert relevance.auc_interval(own, other, np.zeros(30, dtype=int), 0.95) == (0.0, 0.0, 1.0)
    assert relevance.auc_interval(own, other, OWN_GROUPS[:30], 0.95) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 30)))
    assert relevance.summarize(rows(*planted(3, 0.0)), np.zeros(3, dtype=int), *BOOTSTRAP)["low"] is not None


def test_the_same_seed_gives_the_same_figures():
    answers = rows(*planted(100, 0.3))
    assert relevance.summarize(answers, OWN_GROUPS[:100], *BOOTSTRAP) == relevance.summarize(answers, OWN_GROUPS[:100], *BOOTSTRAP)
    assert (
        relevance.summarize(answers, OWN_GROUPS[:100], *BOOTSTRAP)["low"]
        != relevance.summarize(answers, OWN_GROUPS[:100], 0.95, 2000, 1)["low"]
    )
