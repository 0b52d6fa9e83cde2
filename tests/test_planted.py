"""Planted truths: over 1,000 comparisons of arms whose quality is known, each claim is as often wrong as it may be, and as often found."""

import functools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.measures import claims, decompose, equivalence, non_inferiority
from pipeline.scoring import detectable, stats, verdict

SETS, EXAMPLES = 1000, 200
RESAMPLES = 500
"""Of every set; more of them sharpen a single interval, and not the shares of 1,000 sets."""
LEVEL = 0.05 + 2 * np.sqrt(0.05 * 0.95 / SETS)
"""What a level of 5 % may come to in 1,000 draws."""
NAMES = ["base", "tuned", "base_constrained", "base_fewshot", "constant"]
MARGIN = 0.05
CELL = {"cell": "c", "comparison_key": "k", "task": "t", "label": "t", "metric_name": "accuracy", "forgetting": [], "equivalence": None}

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def mcnemar():
    """The exact test, which takes as long as the rest of a set, once for every pair of counts."""
    return functools.cache(stats.exact_mcnemar)


@pytest.fixture
def quick(monkeypatch, mcnemar):
    monkeypatch.setattr(stats, "exact_mcnemar", mcnemar)


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def judged_claims(right, seed):
    """The judged claims of one task by kind, and the parts of its lift; right (arms, n): base, tuned and baselines."""
    statistics = np.stack([right.astype(float), np.ones(right.shape)], axis=-1)
    (sample,) = stats.resample([replace(stats.stack(statistics, mean), right_or_wrong=True)], RESAMPLES, seed)
    lift = sample.difference(stats.TUNED, stats.BASE)
    primary = {"metric": "accuracy", "lift": lift.value, "low": lift.low, "high": lift.high, "p": lift.p}
    parts = decompose.decompose(NAMES[: len(right)], {"accuracy": sample})["accuracy"]
    family = claims.family([CELL | {"primary": primary, "decomposition": parts}])
    return {claim.kind: claim for claim in claims.judge(family, 0.95, "holm" if len(family) > 1 else "none")} | {"parts": parts["parts"]}


def suite_claim(lost):
    """The judged claim of one other-task suite; lost (n,): how much worse tuned is."""
    return {"not worse": not_worse_claim(len(lost), int((lost > 0).sum()), int((lost < 0).sum()))}


@functools.cache
def not_worse_claim(n, broken, fixed):
    """The same of n right or wrong answers, whose order is nothing to a suite."""
    row = dict.fromkeys(("id", "prompt", "target", "base", "tuned"), "")
    rows = [row | {"scores": scores} for scores in broken * [(1.0, 0.0)] + fixed * [(0.0, 1.0)] + (n - broken - fixed) * [(1.0, 1.0)]]
    suite = non_inferiority.task_suite(rows, np.arange(n), MARGIN, 0.95)
    claim = claims.non_inferiority(CELL, suite | {"suite": "other", "task_metric": "accuracy", "metric_name": "accuracy"})
    return claims.judge([claim], 0.95, "none")[0]


def answers(rng, *rates, n=EXAMPLES):
    """Right or wrong (arms, n), each arm right with its probability, more often on easy examples."""
    easy = rng.beta(4, 4, n) - 0.5
    return rng.random((len(rates), n)) < np.clip(np.array(rates)[:, None] + 0.5 * easy, 0, 1)


def flips(rng, broken, fixed, n=EXAMPLES):
    return rng.choice([1.0, -1.0, 0.0], n, p=[broken, fixed, 1 - broken - fixed])


def pairs(rng, lift, discordance, n):
    """Base and tuned with this share of discordant answers and this true lift."""
    kind = rng.choice(4, n, p=[(discordance + lift) / 2, (discordance - lift) / 2, (1 - discordance) / 2, (1 - discordance) / 2])
    return np.array([np.isin(kind, [1, 2]), np.isin(kind, [0, 2])])


def shares(kind, sets, pair=verdict.EFFECT):
    """The share of the sets that got each verdict."""
    words = Counter(claims_of[kind].verdict for claims_of in sets)
    possible = (pair.good, pair.bad)
    assert set(words) <= {*possible, "inconclusive"}
    return {word: words[word] / len(sets) for word in (*possible, "inconclusive")}


def test_equal_arms_are_seldom_told_apart():
    rng = np.random.default_rng(1)
    sets = [judged_claims(answers(rng, 0.5, 0.5, 0.5, 0.5, 0.5), seed) for seed in range(SETS)]
    assert np.mean([any(judged[kind].verdict != "inconclusive" for kind in ("lift", "training effect")) for judged in sets]) <= LEVEL


@pytest.mark.parametrize(("n", "discordance"), [(200, 0.2), (200, 0.5), (None, 0.2)])
def test_lifts_are_found_as_often_as_planned(n, discordance):
    lift = 0.1 if n is None else detectable.planned_effect(n, discordance)
    n = n or detectable.needed_examples(lift, discordance)
    rng = np.random.default_rng(2)
    words = shares("lift", [judged_claims(pairs(rng, lift, discordance, n), seed) for seed in range(SETS)])
    assert words["improved"] == pytest.approx(0.8, abs=0.05)
    assert words["worse"] == 0


def test_a_gain_of_format_is_no_training_effect():
    rng = np.random.default_rng(3)
    sets = [judged_claims(answers(rng, 0.3, 0.6, 0.6, 0.35, 0.1), seed) for seed in range(SETS)]
    assert shares("lift", sets, verdict.LIFT)["above base"] >= 0.99
    assert shares("training effect", sets)["improved"] <= LEVEL
    by_format = [judged["parts"][1] for judged in sets]
    assert np.mean([part["low"] > 0 and part["p"] <= 0.05 for part in by_format]) >= 0.99
    assert np.mean([part["value"] for part in by_format]) == pytest.approx(0.3, abs=0.01)
    assert np.mean([judged["parts"][3]["value"] for judged in sets]) == pytest.approx(0, abs=0.01)


def test_a_training_effect_is_found_beyond_the_baselines():
    rng = np.random.default_rng(4)
    sets = [judged_claims(answers(rng, 0.3, 0.8, 0.5, 0.55, 0.2), seed) for seed in range(SETS)]
    assert shares("training effect", sets)["improved"] >= 0.99
    assert np.mean([judged["parts"][3]["value"] for judged in sets]) == pytest.approx(0.25 - 0.01, abs=0.015)


def test_a_model_that_equals_a_constant_answer_is_seldom_called_trained():
    """The lift over the base is large and surely shown; a constant answer reaches all of it."""
    rng = np.random.default_rng(7)
    sets = [judged_claims(answers(rng, 0.25, 0.7, 0.4, 0.3, 0.7), seed) for seed in range(SETS)]
    assert shares("lift", sets, verdict.LIFT)["above base"] == 1
    assert shares("training effect", sets)["improved"] <= LEVEL
    assert np.mean([judged["parts"][0]["value"] for judged in sets]) == pytest.approx(0.45, abs=0.01)


def test_a_model_below_a_constant_answer_is_mostly_called_worse():
    """It improves on the base in every set, and the headline is still `worse`: the base is not what it must beat."""
    rng = np.random.default_rng(8)
    sets = [judged_claims(answers(rng, 0.1, 0.45, 0.2, 0.1, 0.75), seed) for seed in range(SETS)]
    assert shares("lift", sets, verdict.LIFT)["above base"] == 1
    assert shares("training effect", sets)["worse"] >= 0.95
    assert shares("training effect", sets)["improved"] == 0


@pytest.mark.parametrize("fixed", [0.0, 0.02, 0.1])
def test_a_loss_of_the_margin_is_seldom_called_a_regression_or_none(fixed):
    rng = np.random.default_rng(5)
    words = shares("not worse", [suite_claim(flips(rng, MARGIN + fixed, fixed)) for _ in range(SETS)], verdict.OTHER_TASK)
    assert words["no regression"] <= LEVEL
    assert words["regressed"] <= LEVEL


def test_a_great_loss_is_found_and_a_small_one_forgiven():
    rng = np.random.default_rng(6)
    great = shares("not worse", [suite_claim(flips(rng, 0.2, 0.02)) for _ in range(SETS)], verdict.OTHER_TASK)
    small = shares("not worse", [suite_claim(flips(rng, 0.01, 0.0)) for _ in range(SETS)], verdict.OTHER_TASK)
    assert great["regressed"] >= 0.95
    assert great["no regression"] == 0
    assert small["no regression"] >= 0.75
    assert small["regressed"] == 0


def same_or_not(right, seed, margin):
    """The verdict on the training effect, and whether it was called the same, by a recipe with a margin; right as in judged_claims."""
    statistics = np.stack([right.astype(float), np.ones(right.shape)], axis=-1)
    (sample,) = stats.resample([replace(stats.stack(statistics, mean), right_or_wrong=True)], RESAMPLES, seed)
    lift = sample.difference(stats.TUNED, stats.BASE)
    primary = {"metric": "accuracy", "lift": lift.value, "low": lift.low, "high": lift.high, "p": lift.p}
    names = NAMES[: len(right)]
    parts = decompose.decompose(names, {"accuracy": sample})["accuracy"]
    tests = equivalence.measure(names, sample, parts, margin)
    family = claims.family([CELL | {"primary": primary, "decomposition": parts, "equivalence": tests}])
    by_kind = {claim.kind: claim.verdict for claim in claims.judge(family, 0.95, "holm") if claim.kind != "equivalence"}
    return by_kind.get("training effect", by_kind["lift"])


@pytest.mark.parametrize(("lift", "discordance"), [(0.1, 0.1), (-0.1, 0.3)])
def test_a_difference_of_the_margin_is_seldom_called_the_same(lift, discordance):
    rng = np.random.default_rng(9)
    words = Counter(same_or_not(pairs(rng, lift, discordance, EXAMPLES), seed, abs(lift)) for seed in range(SETS))
    assert words["same"] / SETS <= LEVEL


def test_equal_arms_are_called_the_same_where_there_is_enough_data():
    """The power of two one-sided tests: 0.995 at 200 examples, a tenth of them discordant, and a margin of 0.1; of few examples none."""
    rng = np.random.default_rng(10)
    words = Counter(same_or_not(pairs(rng, 0.0, 0.1, EXAMPLES), seed, 0.1) for seed in range(SETS))
    assert words["same"] / SETS >= 0.97
    few = Counter(same_or_not(pairs(rng, 0.0, 0.2, 30), seed, 0.1) for seed in range(200))
    assert few["same"] / 200 <= LEVEL
    assert few["inconclusive"] / 200 >= 0.9


@pytest.mark.slow
def test_a_model_that_beats_its_best_baseline_by_the_margin_is_seldom_called_the_same():
    """Which of the baselines is the best is not known; two of them are equally good."""
    rng = np.random.default_rng(11)
    words = Counter(same_or_not(answers(rng, 0.3, 0.6, 0.5, 0.5, 0.1, n=400), seed, 0.1) for seed in range(SETS))
    assert words["same"] / SETS <= LEVEL


def test_no_bonus_for_either_verdict(mcnemar):
    """A margin in the recipe does not make equal arms differ more often than the level allows."""
    rng = np.random.default_rng(12)
    words = Counter(same_or_not(pairs(rng, 0.0, 0.5, EXAMPLES), seed, 0.02) for seed in range(SETS))
    assert (words["improved"] + words["worse"]) / SETS <= LEVEL
