"""The statistics against enumeration, scipy and simulation."""

import itertools
import tracemalloc
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from pipeline import stats


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def micro_f1(sums):
    return 2 * sums[..., 0] / (sums[..., 1] + sums[..., 2])


def of_means(base, *tuned, groups=None):
    """Base and tuned scores (n,) as the statistics of a mean metric."""
    rows = [np.stack([np.asarray(x, dtype=float), np.ones(len(x))], axis=-1) for x in (base, *tuned)]
    return stats.pair(rows[0], np.array(rows[1:]), mean, groups)


def of_counts(n, seed=0):
    rng = np.random.default_rng(seed)
    gold, predicted = rng.integers(1, 6, n), rng.integers(1, 6, (2, n))
    hits = rng.binomial(np.minimum(gold, predicted), 0.5)
    rows = np.stack([hits, predicted, np.broadcast_to(gold, (2, n))], axis=-1).astype(float)
    return stats.pair(rows[0], rows[1:], micro_f1)


def random_means(n, seed=0, seeds=1):
    rng = np.random.default_rng(seed)
    return of_means(rng.beta(0.5, 2, n), *rng.beta(0.7, 2, (seeds, n)))


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
    drawn = Counter(np.round(stats.bootstrap(of_means(base, tuned), resamples, seed=1), 9).tolist())
    assert set(drawn) == set(exact)
    for lift, ways in exact.items():
        share = ways / 256
        assert drawn[lift] / resamples == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / resamples))


def test_bootstrap_draws_seeds_too():
    base, tuned = [0.0, 0.0], [[0.0, 0.5], [1.0, 1.0]]
    lifts = Counter(np.round(stats.bootstrap(of_means(base, *tuned), 20_000, seed=0), 9).tolist())
    exact = Counter(
        np.mean([tuned[s][g] for s in seeds for g in groups])
        for seeds in itertools.product(range(2), repeat=2)
        for groups in itertools.product(range(2), repeat=2)
    )
    assert set(lifts) == set(exact)
    assert all(lifts[x] / 20_000 == pytest.approx(ways / 16, abs=0.02) for x, ways in exact.items())


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("paired", [random_means(30), of_counts(25)], ids=["mean", "micro F1"])
def test_interval_equals_scipy(paired, method):
    lifts = stats.bootstrap(paired, 2000, seed=3)

    def lift(index, axis):
        return stats.mean_lift(paired.aggregate(paired.sums[index].sum(axis=-3)))

    known = scipy.stats.bootstrap(
        (np.arange(paired.groups),),
        lift,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=lifts),
        method=method,
        confidence_level=0.9,
    ).confidence_interval
    assert stats.interval(paired, lifts, 0.9, method) == pytest.approx((known.low, known.high), abs=1e-12)
    assert known.low < paired.lift() < known.high


def test_interval_agrees_with_scipys_own_resamples():
    paired = random_means(60)
    difference = np.diff(paired.sums[:, :, 0], axis=1)[:, 0]
    known = scipy.stats.bootstrap((difference,), np.mean, n_resamples=20_000, rng=0).confidence_interval
    ours = stats.interval(paired, stats.bootstrap(paired, 20_000, seed=0), 0.95, "bca")
    assert ours == pytest.approx((known.low, known.high), abs=0.006)


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_equal_differences_give_a_point(method, shift):
    base = np.linspace(0.1, 0.7, 13)
    for paired in (of_means(base, base + shift), of_means(base[:1], base[:1] + shift)):
        low, high = stats.interval(paired, stats.bootstrap(paired, 500, seed=0), 0.95, method)
        assert (low, high) == pytest.approx((shift, shift), abs=1e-9)


def coverage(make, truth, sets=2000, resamples=600):
    rng, hits = np.random.default_rng(7), 0
    for number in range(sets):
        paired = make(rng)
        low, high = stats.interval(paired, stats.bootstrap(paired, resamples, number), 0.95, "bca")
        hits += low <= truth <= high
    return hits / sets


def right_or_wrong(rng):
    kind = rng.choice(4, 120, p=[0.16, 0.06, 0.4, 0.38])  # fixed, broken, both right, both wrong
    return of_means(np.isin(kind, [1, 2]), np.isin(kind, [0, 2]))


def skewed(rng):
    return of_means(rng.beta(0.3, 3, 120), rng.beta(0.5, 2, 120))


def three_seeds(rng):
    talent = rng.random(120)
    rates = np.clip(0.5 + 0.2 * rng.normal(size=120) + 0.02 * rng.normal(size=(3, 1)), 0, 1)
    return of_means(talent < 0.5, *(rng.random((3, 120)) < rates))


def nested(rng):
    """100 documents of three questions; answers within a document go together."""
    document = np.repeat(np.arange(100), 3)
    level = rng.normal(size=100)[document]
    base, tuned = (np.clip(0.5 + 0.15 * level * side + 0.05 * rng.normal(size=300), 0, 1) for side in (-1, 1))
    return of_means(base, tuned, groups=document)


@pytest.mark.parametrize(("make", "truth"), [(right_or_wrong, 0.1), (skewed, 0.2 - 0.3 / 3.3), (three_seeds, 0.0), (nested, 0.0)])
def test_interval_covers_the_truth(make, truth):
    assert 0.93 <= coverage(make, truth) <= 0.97


# Randomization test


@pytest.mark.parametrize("paired", [of_counts(9), random_means(8), random_means(7, seeds=2)], ids=["micro F1", "mean", "seeds"])
def test_randomization_equals_enumeration(paired):
    lifts = []
    for way in itertools.product([False, True], repeat=paired.groups):
        lift = 0.0
        for arm in range(1, 1 + paired.seeds):
            base = np.where(np.array(way)[:, None], paired.sums[:, arm], paired.sums[:, 0]).sum(axis=0)
            tuned = np.where(np.array(way)[:, None], paired.sums[:, 0], paired.sums[:, arm]).sum(axis=0)
            lift += float(paired.aggregate(tuned) - paired.aggregate(base)) / paired.seeds
        lifts.append(lift)
    p = np.mean(np.abs(lifts) >= abs(paired.lift()) - 1e-12)
    assert stats.randomization(paired, 1000, seed=0) == pytest.approx(p)
    assert 2 / len(lifts) < p < 1


def test_randomization_equals_scipys_permutation_test():
    for n in (9, 40):
        paired = random_means(n)
        known = scipy.stats.permutation_test(
            (paired.sums[:, 1, 0], paired.sums[:, 0, 0]),
            lambda a, b, axis: (a - b).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=10_000,
            rng=0,
        )
        assert stats.randomization(paired, 10_000, seed=1) == pytest.approx(known.pvalue, abs=1e-9 if n == 9 else 0.015)


def test_random_swaps_agree_with_all_swaps():
    paired = of_counts(12)
    exact, drawn = stats.randomization(paired, 2**12, seed=0), stats.randomization(paired, 1999, seed=0)
    assert drawn * 2000 == pytest.approx(round(drawn * 2000))
    assert drawn == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (5, 0), (7, 2), (3, 3), (1, 9)])
def test_sign_flips_of_right_and_wrong_are_mcnemars_test(fixed, broken):
    base = [0] * fixed + [1] * broken + [0, 1] * 20
    tuned = [1] * fixed + [0] * broken + [0, 1] * 20
    assert stats.randomization(of_means(base, tuned), 5000, seed=0) == pytest.approx(stats.exact_mcnemar(fixed, broken))


def test_random_p_is_never_zero():
    assert stats.randomization(of_means(np.zeros(50), np.ones(50)), 99, seed=0) == 0.01


def test_randomization_rejects_at_its_level():
    rng = np.random.default_rng(5)
    p = [stats.randomization(of_means(rng.beta(0.3, 3, 60), rng.beta(0.3, 3, 60)), 399, number) for number in range(1000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 1000))


# Groups


def test_copies_within_a_group_add_no_certainty():
    rng = np.random.default_rng(0)
    base, tuned = rng.random((2, 80))
    once = of_means(base, tuned)
    copied = of_means(*(np.repeat(x, 4) for x in (base, tuned)), groups=np.repeat(np.arange(80), 4))
    naive = of_means(*(np.repeat(x, 4) for x in (base, tuned)))
    widths = [np.diff(stats.interval(paired, stats.bootstrap(paired, 4000, 0), 0.95, "bca"))[0] for paired in (once, copied, naive)]
    assert widths[1] == pytest.approx(widths[0], rel=1e-9)
    assert widths[2] == pytest.approx(widths[0] / 2, rel=0.1)
    p = [stats.randomization(paired, 4000, seed=0) for paired in (once, copied)]
    assert p[0] == p[1]


def test_labels_need_no_order():
    rng = np.random.default_rng(1)
    base, tuned = rng.random((2, 30))
    labels = rng.integers(100, 107, 30)
    paired = of_means(base, tuned, groups=labels)
    assert paired.groups == len(set(labels.tolist()))
    assert paired.lift() == pytest.approx(tuned.mean() - base.mean())
    assert paired.sums[1, 1].tolist() == pytest.approx([tuned[labels == 101].sum(), (labels == 101).sum()])


# Families, power, memory


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []


@pytest.mark.parametrize(("n", "points"), [(100, 12.5), (200, 8.9), (500, 5.6), (1000, 4.0), (5000, 1.8)])
def test_planned_effect_table(n, points):
    assert 100 * stats.planned_effect(n, 0.2) == pytest.approx(points, abs=0.05)


def test_planned_effect_is_seen_in_four_of_five_runs():
    rng, n, discordance = np.random.default_rng(2), 400, 0.2
    effect = stats.planned_effect(n, discordance)
    fixed, broken, _ = rng.multinomial(n, [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance], 800).T
    seen = [stats.exact_mcnemar(int(f), int(b)) <= 0.05 for f, b in zip(fixed, broken, strict=True)]
    assert 0.74 <= np.mean(seen) <= 0.84  # the exact test is a little conservative


def test_little_discordance_promises_no_tiny_effects():
    assert stats.planned_effect(100, 0.0) == pytest.approx(0.0785, abs=1e-3)
    assert stats.smallest_effect(0.01) == pytest.approx(0.02802, abs=1e-4)


def test_memory_stays_bounded():
    paired = random_means(5000, seeds=3)
    tracemalloc.start()
    lifts = stats.bootstrap(paired, 300, seed=0)
    stats.interval(paired, lifts, 0.95, "bca")
    stats.randomization(paired, 300, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20  # 300 x 5000 weights alone would be 11.4 MiB
