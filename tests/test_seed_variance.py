"""What other training seeds add to intervals, p-values and detectable effects, against closed forms and brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from pipeline.measures import decompose, equivalence
from pipeline.scoring import detectable, stats
from pipeline.scoring.seed_variance import SMALLEST_P, SeedVariance, t_quantile, z_quantile


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def micro_f1(sums):
    return 2 * sums[..., 0] / np.maximum(sums[..., 1], 1)


def resampled(base, tuned, resamples=600, seed=0):
    """A mean metric of base (n,) and tuned (seeds, n)."""
    scores = np.concatenate([np.asarray(base, dtype=float)[None], tuned])
    return stats.resample([stats.stack(np.stack([scores, np.ones_like(scores)], axis=-1), mean, None, len(tuned))], resamples, seed)[0]


def crossed(rng, seeds=3, n=200, of_seeds=0.03, of_groups=0.1, rest=0.1):
    """Base and tuned of the model: score = 0.5 + seed + group + rest, without an effect."""
    tuned = 0.5 + of_seeds * rng.normal(size=(seeds, 1)) + of_groups * rng.normal(size=n) + rest * rng.normal(size=(seeds, n))
    return np.full(n, 0.5), tuned


# The standard errors


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_parts_are_those_of_a_two_way_analysis_of_variance(seeds):
    base, tuned = crossed(np.random.default_rng(seeds), seeds)
    scores, n = tuned - base, len(base)
    of_seed, of_group = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    mean_square_rest = ((scores - of_seed - of_group + scores.mean()) ** 2).sum() / ((seeds - 1) * (n - 1))
    variance = resampled(base, tuned, 20_000).seed_variance(stats.TUNED, stats.BASE)
    assert variance.between**2 == pytest.approx(scores.mean(axis=1).var(ddof=1) / seeds)
    assert variance.rest**2 == pytest.approx(mean_square_rest / (n * seeds))
    assert variance.examples == pytest.approx(scores.mean(axis=0).std(ddof=1) / np.sqrt(n), rel=0.03)


def test_an_arm_without_seeds_changes_no_spread_of_seeds():
    rng = np.random.default_rng(0)
    base, tuned = crossed(rng)
    one, other = (resampled(arm, tuned).seed_variance(stats.TUNED, stats.BASE) for arm in (base, rng.random(len(base))))
    assert (one.between, one.rest) == pytest.approx((other.between, other.rest))
    assert one.examples < other.examples


def test_parts_of_a_metric_that_is_no_mean():
    """Of micro F1 with equal counts everywhere, which is a mean in disguise."""
    rng = np.random.default_rng(1)
    hits = rng.binomial(4, 0.5, (4, 90)).astype(float)
    arms = stats.stack(np.stack([hits, np.full_like(hits, 8)], axis=-1), micro_f1, None, 3)
    f1 = stats.resample([arms], 100, 0)[0].seed_variance(stats.TUNED, stats.BASE)
    plain = resampled(hits[0] / 4, hits[1:] / 4, 100).seed_variance(stats.TUNED, stats.BASE)
    assert (f1.between, f1.rest, f1.examples) == pytest.approx((plain.between, plain.rest, plain.examples))


def test_one_seed_has_none():
    base, tuned = crossed(np.random.default_rng(0), seeds=1)
    assert resampled(base, tuned).seed_variance(stats.TUNED, stats.BASE) is None


# Intervals and p-values in closed form


def test_seeds_alone_are_students_test():
    scores = np.array([0.02, 0.05, 0.04, 0.01])
    variance = SeedVariance(4, examples=0.0, between=float(scores.std(ddof=1)) / 2, rest=0.0)
    students = scipy.stats.ttest_1samp(scores, 0)
    low, high = students.confidence_interval(0.9)
    assert variance.p(scores.mean()) == pytest.approx(students.pvalue)
    assert scores.mean() + variance.reach(0.0, 0.9) * np.array([-1, 1]) == pytest.approx([low, high])


def test_examples_alone_are_the_normal_test():
    variance = SeedVariance(3, examples=0.01, between=0.0, rest=0.0)
    assert variance.p(0.02) == pytest.approx(scipy.stats.norm.sf(2) * 2)
    assert variance.reach(0.0196, 0.95) == pytest.approx(0.0196)
    assert variance.smallest_effect(0.95) == pytest.approx(detectable.smallest_effect(0.01))


@pytest.mark.parametrize("level", [0.3, 0.05, 1e-4])
def test_two_seeds_in_closed_form(level):
    """With one degree of freedom t is Cauchy's: its two-sided quantile is cot(pi level / 2)."""
    variance = SeedVariance(2, examples=0.05, between=0.02, rest=0.03)
    half = np.hypot(scipy.stats.norm.isf(level / 2) * 0.04, 0.02 / np.tan(np.pi * level / 2))
    assert variance.common == pytest.approx(0.04)
    assert variance.p(half) == pytest.approx(level)
    assert variance.one_sided_p(half) == pytest.approx(level / 2)
    assert variance.one_sided_p(-half) == pytest.approx(1 - level / 2)
    assert variance.reach(z_quantile(level) * 0.05, 1 - level) == pytest.approx(half)


def test_p_is_between_its_limits():
    variance = SeedVariance(2, 0.01, 0.01, 0.0)
    assert variance.p(0.0) == pytest.approx(1)
    assert SeedVariance(9, 0.0, 1e-9, 0.0).p(1.0) == pytest.approx(SMALLEST_P)


def test_other_seeds_only_widen():
    """Seeds that happen to agree do not make the interval narrower than that over examples alone."""
    variance = SeedVariance(3, examples=0.02, between=0.0, rest=0.015)
    assert variance.common < 0.02
    assert variance.reach(0.04, 0.95) == 0.04
    assert variance.p(0.05) == pytest.approx(2 * scipy.stats.norm.sf(2.5))


def test_a_difference_holds_both_parts():
    base, tuned = crossed(np.random.default_rng(3), of_seeds=0.05)
    sample = resampled(base, tuned)
    one = sample.difference(stats.TUNED, stats.BASE)
    variance = sample.seed_variance(stats.TUNED, stats.BASE)
    of_seeds = 4.302653 * variance.between
    assert one.high - one.value > of_seeds
    assert one.high - one.low == pytest.approx(2 * np.hypot(1.96 * variance.common, of_seeds), rel=0.02)
    assert one.p == pytest.approx(variance.p(abs(one.value)))
    low, high = sample.score_interval(stats.TUNED)
    assert high - low == pytest.approx(one.high - one.low, rel=0.02)  # the base has no spread here
    assert sample.score_interval(stats.BASE) == pytest.approx((0.5, 0.5), abs=0.01)


def test_scores_stay_within_their_range():
    base, tuned = np.full(50, 0.5), np.array([[0.9], [0.1]]) + np.zeros(50)
    sample = resampled(base, tuned)
    one = sample.difference(stats.TUNED, stats.BASE)
    assert (one.low, one.high) == (-1, 1)
    assert sample.score_interval(stats.TUNED) == (0, 1)


# Levels and power


@pytest.mark.parametrize(("seeds", "share", "level"), [*itertools.product([2, 3, 5], [0.0, 0.05, 0.3, 0.8, 1.0], [0.05, 0.005])])
def test_never_above_the_level(seeds, share, level):
    """By integration over the estimated variance of the seeds, `share` of the true one."""
    degrees = seeds - 1
    estimates = share * scipy.stats.chi2.ppf((np.arange(5000) + 0.5) / 5000, degrees) / degrees
    halves = np.hypot(z_quantile(level) * np.sqrt(1 - share), t_quantile(level, seeds) * np.sqrt(estimates))
    assert np.mean(2 * scipy.stats.norm.sf(halves)) <= level * 1.002
    reaches = [
        SeedVariance(seeds, np.sqrt(1 - share), between, 0.0).reach(z_quantile(level) * np.sqrt(1 - share), 1 - level)
        for between in np.sqrt(estimates[::500])
    ]
    assert reaches == pytest.approx(halves[::500])


@pytest.mark.parametrize("seeds", [2, 4])
@pytest.mark.parametrize(("of_seeds", "of_groups"), [(0.0, 0.1), (0.03, 0.1), (0.03, 0.0)])
def test_false_verdicts_of_seeds_that_differ(seeds, of_seeds, of_groups):
    """By brute force: p and interval each err in at most 5 % of data sets without an effect."""
    rng, sets = np.random.default_rng(11), 400
    lifts = [resampled(*crossed(rng, seeds, 80, of_seeds, of_groups), 300, number).difference(1, 0) for number in range(sets)]
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert np.mean([one.p <= 0.05 for one in lifts]) <= most
    assert np.mean([not one.low <= 0 <= one.high for one in lifts]) <= most


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize("common", [0.0, 0.01, 0.05])
def test_the_smallest_effect_is_seen_in_four_of_five_runs(seeds, common):
    rng, between, rest = np.random.default_rng(5), 0.02, 0.01
    examples = np.hypot(common, rest)
    effect = SeedVariance(seeds, examples, between, rest).smallest_effect(0.95)
    estimates = effect + rng.normal(size=20_000) * np.hypot(common, between)
    spreads = between * np.sqrt(rng.chisquare(seeds - 1, 20_000) / (seeds - 1))
    halves = np.maximum(1.96 * examples, np.hypot(1.96 * common, scipy.stats.t.ppf(0.975, seeds - 1) * spreads))
    assert np.mean(estimates > halves) == pytest.approx(0.8, abs=0.012)


@pytest.mark.parametrize(("seeds", "points"), [(1, 3.96), (2, 11.79), (3, 4.24), (5, 3.27), (10, 2.98)])
def test_seeds_before_a_run(seeds, points):
    effect = detectable.planned_effect(1000, 0.2, seeds=seeds)
    assert 100 * effect == pytest.approx(points, abs=0.01)
    n = detectable.needed_examples(effect, 0.2, seeds=seeds)
    assert n == pytest.approx(1000, abs=1)


def test_a_planned_effect_is_seen_in_four_of_five_runs():
    """Three seeds of equal skill that share half of the flips, on 1,000 examples, drawn answer by answer."""
    rng, n, seeds, flips = np.random.default_rng(6), 1000, 3, 0.2
    effect = detectable.planned_effect(n, flips, seeds=seeds)
    seen = []
    for number in range(300):
        chance = np.where(rng.random((seeds, n)) < 0.5, rng.random(n), rng.random((seeds, n)))
        fixed, broken = chance < (flips + effect) / 2, chance > 1 - (flips - effect) / 2
        base = np.full(n, 0.5)
        one = resampled(base, base + fixed * 0.5 - broken * 0.5, 200, number)
        seen.append(one.seed_variance(stats.TUNED, stats.BASE).p(abs(one.difference(1, 0).value)) <= 0.05)
    assert 0.72 <= np.mean(seen) <= 0.88


# What follows from them


def test_same_covers_other_seeds():
    """Seeds that scatter by more than the margin are not shown to be the same, however many examples there are."""
    rng = np.random.default_rng(8)
    base = rng.random(20_000)
    apart, alike = (np.clip(base + np.array(shifts)[:, None], 0, 1) for shifts in ([-0.03, 0.0, 0.03], [-0.0005, 0.0, 0.0005]))
    tests = [equivalence.tost(resampled(base, tuned, 200), stats.TUNED, stats.BASE, 0.02) for tuned in (apart, alike)]
    assert tests[0]["p"] > 0.05
    assert tests[0]["low"] < -0.02
    assert tests[1]["p"] < 0.01
    assert -0.02 < tests[1]["low"] < tests[1]["high"] < 0.02


@pytest.mark.parametrize("right_or_wrong", [True, False])
def test_a_merged_model_is_compared_with_the_seed_that_it_was_merged_from(right_or_wrong):
    """Seeds a tenth apart, and a merged model that answers as the first one does."""
    base, first, second = np.random.default_rng(9).random((3, 2_000)) + np.array([[0.0], [-0.1], [0.1]])
    arms = [(row > 0.5) if right_or_wrong else row.clip(0, 1) for row in (base, first, second, first)]
    statistics = np.stack([np.stack([row, np.ones(2_000)], axis=-1) for row in arms])
    (sample,) = stats.resample([replace(stats.stack(statistics, mean, seeds=2), right_or_wrong=right_or_wrong)], 200, 1)
    names = ["base", "tuned", "merged"]
    test = equivalence.measure(names, sample, decompose.decompose(names, {"accuracy": sample})["accuracy"], 0.02)["merged"]["merged"]
    assert test["value"] == 0
    assert -0.02 < test["low"] <= 0 <= test["high"] < 0.02
    assert test["p"] < 1e-6
