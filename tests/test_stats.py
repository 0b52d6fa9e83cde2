"""The statistics against enumeration, scipy and simulation."""

import itertools
import tracemalloc
from collections import Counter
from dataclasses import astuple, replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from statsmodels.stats.multitest import multipletests

from pipeline.scoring import detectable, stats


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def micro_f1(sums):
    return 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)


def rows_of(*arms):
    """Scores (n,) of each arm as the statistics of a mean metric."""
    return np.array([np.stack([np.asarray(x, dtype=float), np.ones(len(x))], axis=-1) for x in arms])


def of_means(base, *tuned, groups=None):
    return stats.stack(rows_of(base, *tuned), mean, groups, len(tuned))


def of_counts(n, seed=0, arms=2):
    rng = np.random.default_rng(seed)
    gold, predicted = rng.integers(1, 6, n), rng.integers(1, 6, (arms, n))
    hits = rng.binomial(np.minimum(gold, predicted), 0.5)
    return stats.stack(np.stack([hits, predicted, np.broadcast_to(gold, (arms, n))], axis=-1), micro_f1)


def random_means(n, seed=0, seeds=1):
    rng = np.random.default_rng(seed)
    return of_means(rng.beta(0.5, 2, n), *rng.beta(0.7, 2, (seeds, n)))


def resampled(arms, resamples, seed=0, confidence=0.95, method="bca"):
    return stats.resample([arms], resamples, seed, confidence, method)[0]


def lift(arms, resamples, seed=0, confidence=0.95, method="bca"):
    return resampled(arms, resamples, seed, confidence, method).difference(stats.TUNED, stats.BASE)


def over_examples(arms, resamples):
    """p of the lift by randomization, with the seeds as they are."""
    return stats.randomization(arms, stats.TUNED, stats.BASE, resampled(arms, resamples).swap_sums, resamples)


def lifts(arms, resamples, seed):
    scores = stats.bootstrap([arms], resamples, seed)[0]
    return scores[:, stats.TUNED] - scores[:, stats.BASE]


# McNemar


@pytest.mark.parametrize(("fixed", "broken", "p"), [(0, 0, 1), (5, 0, 0.0625), (12, 4, 0.07681274), (3, 3, 1), (1, 0, 1)])
def test_mcnemar_by_hand(fixed, broken, p):
    assert stats.exact_mcnemar(fixed, broken) == pytest.approx(p)


def test_mcnemar_counts_every_way_the_pairs_can_fall():
    for fixed, broken in itertools.product(range(7), range(7)):
        ways = list(itertools.product([0, 1], repeat=fixed + broken))
        as_far = sum(abs(2 * sum(way) - len(way)) >= abs(fixed - broken) for way in ways)
        assert stats.exact_mcnemar(fixed, broken) == pytest.approx(as_far / len(ways))


# Bootstrap


def test_bootstrap_equals_enumeration_of_all_resamples():
    base, tuned = [0.0, 0.25, 1.0, 0.5], [0.5, 1.0, 0.75, 0.0]
    difference = np.subtract(tuned, base)
    exact = Counter(round(difference[list(index)].mean(), 9) for index in itertools.product(range(4), repeat=4))
    resamples = 40_000
    counts = Counter(np.round(lifts(of_means(base, tuned), resamples, seed=1), 9).tolist())
    assert set(counts) == set(exact)
    for value, ways in exact.items():
        share = ways / 256
        assert counts[value] / resamples == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / resamples))


def test_bootstrap_keeps_the_seeds():
    base, tuned = [0.0, 0.0], [[0.0, 0.5], [1.0, 1.0]]
    counts = Counter(np.round(lifts(of_means(base, *tuned), 20_000, seed=0), 9).tolist())
    assert {value: pytest.approx(count / 20_000, abs=0.02) for value, count in counts.items()} == {0.5: 0.25, 0.625: 0.5, 0.75: 0.25}


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("arms", [random_means(30), of_counts(25)], ids=["mean", "micro F1"])
def test_interval_equals_scipy(arms, method):
    sample = resampled(arms, 2000, seed=3, confidence=0.9, method=method)

    def value(index, axis):
        scores = arms.aggregate(arms.sums[index].sum(axis=-3))
        return scores[..., 1] - scores[..., 0]

    scipys = scipy.stats.bootstrap(
        (np.arange(arms.groups),),
        value,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=sample.bootstrap_scores[:, 1] - sample.bootstrap_scores[:, 0]),
        method=method,
        confidence_level=0.9,
    ).confidence_interval
    ours = sample.difference(stats.TUNED, stats.BASE)
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=1e-12)
    assert scipys.low < ours.value < scipys.high


def test_interval_agrees_with_scipys_own_resamples():
    arms = random_means(60)
    difference = np.diff(arms.sums[:, :, 0], axis=1)[:, 0]
    scipys = scipy.stats.bootstrap((difference,), np.mean, n_resamples=20_000, rng=0).confidence_interval
    ours = lift(arms, 20_000)
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=0.006)


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_equal_differences_bound_what_other_examples_may_show(method, shift):
    """With n of n examples alike, up to 1 - 0.05^(1/n) of all may be others, which lose everything or gain everything."""
    base = np.linspace(0.1, 0.7, 13)
    for n in (13, 1):
        difference = lift(of_means(base[:n], base[:n] + shift), 500, method=method)
        others = 1 - 0.05 ** (1 / n)
        expected = ((1 - others) * shift - others, (1 - others) * shift + others)
        assert (difference.low, difference.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "low"), [(1, -0.9), (3, -0.2632), (6, 0.2139), (60, 0.9026)])
def test_all_fixed_is_no_certainty(n, low):
    sample = resampled(of_means(np.zeros(n), np.ones(n)), 200, seed=0)
    difference = sample.difference(stats.TUNED, stats.BASE)
    assert (difference.value, difference.low, difference.high) == pytest.approx((1, low, 1), abs=1e-4)
    assert sample.score_interval(stats.BASE) == pytest.approx((0, (1 - low) / 2), abs=1e-4)


def coverage(make, truth, sets=2000, resamples=600):
    rng, hits = np.random.default_rng(7), 0
    for number in range(sets):
        scores = resampled(make(rng), resamples, number)
        value, bootstrap, left_out = (
            x[..., stats.TUNED] - x[..., stats.BASE] for x in (scores.observed, scores.bootstrap_scores, scores.jackknife_scores)
        )
        low, high = stats.interval(float(value), bootstrap, left_out, 0.95, "bca")
        hits += low <= truth <= high
    return hits / sets


def right_or_wrong(rng):
    kind = rng.choice(4, 120, p=[0.16, 0.06, 0.4, 0.38])  # fixed, broken, both right, both wrong
    return of_means(np.isin(kind, [1, 2]), np.isin(kind, [0, 2]))


def skewed(rng):
    return of_means(rng.beta(0.3, 3, 120), rng.beta(0.5, 2, 120))


def nested(rng):
    """100 documents of three questions; answers within a document go together."""
    document = np.repeat(np.arange(100), 3)
    level = rng.normal(size=100)[document]
    base, tuned = (np.clip(0.5 + 0.15 * level * side + 0.05 * rng.normal(size=300), 0, 1) for side in (-1, 1))
    return of_means(base, tuned, groups=document)


@pytest.mark.parametrize(("make", "truth"), [(right_or_wrong, 0.1), (skewed, 0.2 - 0.3 / 3.3), (nested, 0.0)])
def test_interval_covers_the_truth(make, truth):
    assert 0.93 <= coverage(make, truth) <= 0.97


# Randomization test


@pytest.mark.parametrize("arms", [of_counts(9), random_means(8), random_means(7, seeds=2)], ids=["micro F1", "mean", "seeds"])
def test_randomization_equals_enumeration(arms):
    values = []
    for way in itertools.product([False, True], repeat=arms.groups):
        value = 0.0
        for arm in range(1, 1 + arms.seeds):
            base = np.where(np.array(way)[:, None], arms.sums[:, arm], arms.sums[:, 0]).sum(axis=0)
            tuned = np.where(np.array(way)[:, None], arms.sums[:, 0], arms.sums[:, arm]).sum(axis=0)
            value += float(arms.aggregate(tuned) - arms.aggregate(base)) / arms.seeds
        values.append(value)
    whole = arms.scores(arms.sums.sum(axis=0))
    p = np.mean(np.abs(values) >= abs(whole[1] - whole[0]) - 1e-12)
    assert over_examples(arms, 1000) == pytest.approx(p)
    assert 2 / len(values) < p < 1


def test_randomization_equals_scipys_permutation_test():
    for n in (9, 40):
        arms = random_means(n)
        scipys = scipy.stats.permutation_test(
            (arms.sums[:, 1, 0], arms.sums[:, 0, 0]),
            lambda a, b, axis: (a - b).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=10_000,
            rng=0,
        )
        assert lift(arms, 10_000, seed=1).p == pytest.approx(scipys.pvalue, abs=1e-9 if n == 9 else 0.015)


@pytest.mark.parametrize("arms", [of_counts(12), random_means(12, seeds=2)], ids=["micro F1", "seeds"])
def test_random_swaps_agree_with_all_swaps(arms):
    exact_p, random_p = over_examples(arms, 2**12), over_examples(arms, 1999)
    assert random_p * 2000 == pytest.approx(round(random_p * 2000))
    assert random_p == pytest.approx(exact_p, abs=0.03)


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (5, 0), (7, 2), (3, 3), (1, 9)])
def test_sign_flips_of_right_and_wrong_are_mcnemars_test(fixed, broken):
    base = [0] * fixed + [1] * broken + [0, 1] * 20
    tuned = [1] * fixed + [0] * broken + [0, 1] * 20
    arms = of_means(base, tuned)
    assert lift(arms, 5000).p == pytest.approx(stats.exact_mcnemar(fixed, broken))
    assert lift(replace(arms, right_or_wrong=True), 10).p == pytest.approx(stats.exact_mcnemar(fixed, broken))


def test_random_p_is_never_zero():
    assert lift(of_means(np.zeros(50), np.ones(50)), 99).p == 0.01


def test_randomization_rejects_at_its_level():
    rng = np.random.default_rng(5)
    p = [lift(of_means(rng.beta(0.3, 3, 60), rng.beta(0.3, 3, 60)), 399, number).p for number in range(1000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 1000))


# One resampling for all arms and metrics


def arms_of_both(n=70, seeds=2, groups=None):
    """A mean of five arms and a micro F1 of four: base, tuned by two seeds, others."""
    graded = np.random.default_rng(4).beta(1, 2, (5, n))
    return [stats.stack(rows_of(*graded), mean, groups, seeds), replace(of_counts(n, arms=4), seeds=seeds)]


def test_every_difference_is_that_of_its_two_arms_alone():
    for arms in arms_of_both():
        together = stats.resample([arms], 999, 8)[0]
        for place, row in enumerate(range(3, arms.sums.shape[1]), start=2):
            over_base = stats.resample([stats.Arms(arms.sums[:, [0, row]], arms.aggregate)], 999, 8)[0].difference(1, 0)
            tuned_over = stats.resample([stats.Arms(arms.sums[:, [row, 1, 2]], arms.aggregate, 2)], 999, 8)[0].difference(1, 0)
            assert astuple(together.difference(stats.TUNED, place)) == pytest.approx(astuple(tuned_over), abs=1e-12)
            assert together.difference(place, stats.BASE).value == pytest.approx(over_base.value)
            assert together.difference(place, stats.BASE).p == pytest.approx(over_base.p)


def test_metrics_share_resamples_and_swaps():
    both, twice = arms_of_both(), arms_of_both()[:1] * 2
    alone = [stats.resample([arms], 300, 2)[0] for arms in both]
    for shared, single in zip(stats.resample(both, 300, 2), alone, strict=True):
        assert shared.bootstrap_scores == pytest.approx(single.bootstrap_scores, abs=1e-12)
        assert shared.swap_sums == pytest.approx(single.swap_sums, abs=1e-12)
    first, second = stats.resample(twice, 300, 2)
    assert first.bootstrap_scores == pytest.approx(second.bootstrap_scores, abs=1e-12)  # BLAS rounds by where a column lies in memory
    assert np.std(alone[0].bootstrap_scores[:, 2] - alone[0].bootstrap_scores[:, 3]) > 0


def test_differences_of_differences_are_read_off_the_same_resamples():
    sample = resampled(arms_of_both()[0], 500)
    parts = [
        sample.bootstrap_scores[:, 2] - sample.bootstrap_scores[:, 0],
        sample.bootstrap_scores[:, 3] - sample.bootstrap_scores[:, 2],
        sample.bootstrap_scores[:, 1] - sample.bootstrap_scores[:, 3],
    ]
    assert sum(parts) == pytest.approx(sample.bootstrap_scores[:, 1] - sample.bootstrap_scores[:, 0], abs=1e-12)


def test_an_arm_against_itself_is_no_difference():
    assert resampled(random_means(20), 50).difference(1, 1) == stats.Difference(0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(("one", "other", "is_mcnemar"), [(1, 0, False), (2, 0, True), (2, 3, True), (1, 2, False)])
def test_mcnemar_takes_no_means_over_seeds(one, other, is_mcnemar):
    right = np.random.default_rng(0).random((5, 60)) < np.array([[0.3], [0.6], [0.6], [0.8], [0.7]])
    sample = resampled(replace(stats.stack(rows_of(*right), mean, seeds=2), right_or_wrong=True), 2000)
    assert sample.is_mcnemar(one, other) == is_mcnemar
    first, second = sample.arms.sums[:, 3, 0], sample.arms.sums[:, 0, 0]
    exact = stats.exact_mcnemar(int((first > second).sum()), int((first < second).sum()))
    assert sample.difference(2, 0).p == pytest.approx(exact)
    assert 0.1 < sample.difference(stats.TUNED, stats.BASE).p < 0.2  # two seeds


# Scores of single arms


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0.0370), (0.5, 0.4038, 0.5962), (1.0, 0.9630, 1)])
def test_wilson_by_known_values(share, low, high):
    assert stats.wilson(share, 100) == pytest.approx((low, high), abs=1e-4)


def test_wilson_equals_scipy():
    scipys = scipy.stats.binomtest(17, 60).proportion_ci(0.9, "wilson")
    assert stats.wilson(17 / 60, 60, 0.9) == pytest.approx((scipys.low, scipys.high))


def test_a_score_has_an_interval_of_its_own():
    graded = resampled(of_means(np.linspace(0, 1, 200), np.linspace(0.5, 1, 200)), 2000)
    low, high = graded.score_interval(stats.TUNED)
    assert (low, high) == pytest.approx((0.73, 0.77), abs=0.005)
    right = replace(graded.arms, sums=np.round(graded.arms.sums), right_or_wrong=True)
    assert resampled(right, 10).score_interval(stats.BASE) == stats.wilson(0.5, 200)


# Groups


def test_copies_within_a_group_add_no_certainty():
    rng = np.random.default_rng(0)
    base, tuned = rng.random((2, 80))
    once = of_means(base, tuned)
    copied = of_means(*(np.repeat(x, 4) for x in (base, tuned)), groups=np.repeat(np.arange(80), 4))
    naive = of_means(*(np.repeat(x, 4) for x in (base, tuned)))
    differences = [lift(arms, 4000) for arms in (once, copied, naive)]
    widths = [difference.high - difference.low for difference in differences]
    assert widths[1] == pytest.approx(widths[0], rel=1e-9)
    assert widths[2] == pytest.approx(widths[0] / 2, rel=0.1)
    assert differences[0].p == differences[1].p


def test_labels_need_no_order():
    rng = np.random.default_rng(1)
    base, tuned = rng.random((2, 30))
    labels = rng.integers(100, 107, 30)
    arms = of_means(base, tuned, groups=labels)
    assert arms.groups == len(set(labels.tolist()))
    assert lift(arms, 10).value == pytest.approx(tuned.mean() - base.mean())
    assert arms.sums[1, 1].tolist() == pytest.approx([tuned[labels == 101].sum(), (labels == 101).sum()])


# Families, power, memory


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []


def test_holm_against_statsmodels():
    draw = np.random.default_rng(7)
    for size in (1, 2, 5, 40):
        p = [float(x) for x in draw.choice([*draw.random(size) ** 4, 0.0, 1.0, 0.03], size)]  # some are equal
        assert stats.holm(p) == multipletests(p, method="holm")[1].tolist()


@pytest.mark.parametrize(("n", "points"), [(100, 12.5), (200, 8.9), (500, 5.6), (1000, 4.0), (5000, 1.8)])
def test_planned_effect_table(n, points):
    assert 100 * detectable.planned_effect(n, 0.2) == pytest.approx(points, abs=0.05)


def test_planned_effect_is_seen_in_four_of_five_runs():
    rng, n, discordance = np.random.default_rng(2), 400, 0.2
    effect = detectable.planned_effect(n, discordance)
    fixed, broken, _ = rng.multinomial(n, [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance], 800).T
    seen = [stats.exact_mcnemar(int(f), int(b)) <= 0.05 for f, b in zip(fixed, broken, strict=True)]
    assert 0.74 <= np.mean(seen) <= 0.84  # the exact test is a little conservative


def test_little_discordance_promises_no_tiny_effects():
    assert detectable.planned_effect(100, 0.0) == pytest.approx(0.0785, abs=1e-3)
    assert detectable.smallest_effect(0.01) == pytest.approx(0.02802, abs=1e-4)


@pytest.mark.parametrize(("lift", "discordance", "n"), [(0.02, 0.2, 3925), (0.1, 0.2, 157), (0.1, 0.01, 79)])
def test_needed_examples_is_the_inverse_of_the_planned_effect(lift, discordance, n):
    assert detectable.needed_examples(lift, discordance) == n
    assert detectable.planned_effect(n, discordance) <= lift < detectable.planned_effect(n - 1, discordance)
    assert detectable.needed_examples(lift, discordance, 0.99, 0.9) > 1.5 * n


def test_memory_stays_bounded():
    arms = random_means(5000, seeds=3)
    tracemalloc.start()
    lift(arms, 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20  # 300 x 5000 weights alone would be 11.4 MiB
