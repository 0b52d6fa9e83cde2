"""The parts of a lift: what they sum to, and which arm each is compared with."""

from dataclasses import asdict

import numpy as np
import pytest

from pipeline.measures.decompose import decompose
from pipeline.scoring import stats

NAMES = ["base", "tuned", "base_fewshot", "base_constrained", "constant"]


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def micro_f1(sums):
    return 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)


def resampled(*arms, seeds=1):
    """The metrics of one task on arms of scores (n,), as base, tuned by seed, others."""
    graded = np.array([np.stack([arm, np.ones(len(arm))], axis=-1) for arm in arms])
    counts = np.array([np.stack([np.round(5 * arm), np.full(len(arm), 4.0), np.full(len(arm), 5.0)], axis=-1) for arm in arms])
    samples = stats.resample([stats.stack(graded, mean, seeds=seeds), stats.stack(counts, micro_f1, seeds=seeds)], 400, 3)
    return dict(zip(["mean", "micro_f1"], samples, strict=True))


def shifted(*shifts, n=60, seed=0):
    rng = np.random.default_rng(seed)
    return [np.clip(0.4 + shift + 0.2 * rng.normal(size=n), 0, 1) for shift in shifts]


def parts(decomposition):
    return {part["name"]: part for part in decomposition["parts"]}


@pytest.mark.parametrize("seeds", [1, 3])
def test_parts_sum_to_the_lift(seeds):
    for seed in range(40):
        arms = shifted(*np.random.default_rng(seed).uniform(-0.3, 0.3, 4 + seeds), seed=seed)
        for name, decomposition in decompose(NAMES, scores := resampled(*arms, seeds=seeds)).items():
            assert [part["name"] for part in decomposition["parts"]] == ["constant", "format", "few-shot", "training"]
            assert sum(part["value"] for part in decomposition["parts"]) == pytest.approx(decomposition["lift"], abs=1e-12)
            assert decomposition["lift"] == pytest.approx(scores[name].observed[1] - scores[name].observed[0], abs=1e-12)
            assert min(part["value"] for part in decomposition["parts"][:3]) >= 0


def test_each_part_is_the_difference_of_its_arms():
    scores = resampled(*shifted(0.0, 0.4, 0.3, 0.2, 0.1))
    decomposition, samples = decompose(NAMES, scores)["mean"], scores["mean"]
    for part, (arm, over) in zip(decomposition["parts"], [(4, 0), (3, 4), (2, 3), (1, 2)], strict=True):
        expected = samples.difference(arm, over)
        assert (part["arm"], part["over"], part["value"]) == (NAMES[arm], NAMES[over], expected.value)
        if part["name"] != "training":
            assert (part["low"], part["high"], part["p"]) == (expected.low, expected.high, expected.p)
            assert part["tried"] == {"arm": NAMES[arm], **asdict(expected)}
    lift = samples.difference(1, 0)
    assert [decomposition[name] for name in ("lift", "low", "high")] == [lift.value, lift.low, lift.high]
    assert decomposition["best_cheap"] == "base_fewshot"
    assert decomposition["chain"] == [(NAMES[place], samples.observed[place]) for place in (0, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    ("fewshot", "constrained", "constant", "best"),
    [
        (-0.2, 0.2, 0.1, "base_constrained"),
        (-0.2, -0.1, -0.3, "base"),
        (0.1, 0.2, -0.1, "base_constrained"),
        (0.1, 0.05, 0.2, "constant"),
        (-0.2, -0.1, 0.1, "constant"),
    ],
)
def test_a_baseline_that_is_no_better_adds_nothing(fewshot, constrained, constant, best):
    decomposition = decompose(NAMES, resampled(*shifted(0.0, 0.4, fewshot, constrained, constant)))["mean"]
    few_shot = parts(decomposition)["few-shot"]
    assert (few_shot["arm"], few_shot["over"], few_shot["value"]) == (best, best, 0)
    assert (few_shot["low"], few_shot["high"], few_shot["p"]) == (None, None, None)
    assert few_shot["tried"]["arm"] == "base_fewshot"
    assert few_shot["tried"]["value"] < 0
    assert (decomposition["best_cheap"], parts(decomposition)["training"]["over"]) == (best, best)


def test_a_lift_that_a_constant_answer_reaches_is_no_training_effect():
    """Tuned equals the constant answer: all of the lift is the first step's, and nothing is left for training."""
    base, tuned, fewshot = shifted(-0.2, 0.3, -0.1)
    samples = resampled(base, tuned, fewshot, base, tuned)
    decomposition = decompose(NAMES, samples)["mean"]
    assert parts(decomposition)["constant"]["value"] == pytest.approx(decomposition["lift"])
    assert (parts(decomposition)["training"]["value"], parts(decomposition)["training"]["over"]) == (0, "constant")
    assert [arm for arm, _ in decomposition["chain"]] == ["base", "constant", "constant", "constant", "tuned"]
    assert decomposition["low"] > 0


def test_equal_arms_leave_the_base_the_best():
    base, tuned = shifted(0.0, 0.3)
    decomposition = decompose(NAMES, resampled(base, tuned, base, base[::-1], base))["mean"]
    assert decomposition["best_cheap"] == "base"


def test_an_absent_arm_is_named_so():
    decomposition = decompose(NAMES[:3], resampled(*shifted(0.0, 0.4, 0.2)))["mean"]
    assert [part["arm"] for part in decomposition["parts"]] == [None, None, "base_fewshot", "tuned"]
    assert parts(decomposition)["format"]["value"] == 0
    alone = decompose(NAMES, resampled(*shifted(0.0, 0.4)))["mean"]  # a metric of samples has no other arms
    assert [part["arm"] for part in alone["parts"]] == [None, None, None, "tuned"]
    assert parts(alone)["training"]["value"] == alone["lift"]


def test_training_is_compared_with_every_arm_without_training():
    """The best here, few-shot, need not be the best in truth: p and the lower end are the least favourable ones."""
    rng = np.random.default_rng(0)
    tuned = np.clip(0.6 + 0.2 * rng.normal(size=60), 0, 1)
    near = tuned - 0.02  # agrees with tuned on every example
    far = rng.permutation(tuned) - 0.03
    samples = resampled(tuned - 0.3, tuned, near, far, tuned - 0.4)["mean"]
    training = parts(decompose(NAMES, {"mean": samples})["mean"])["training"]
    assert training["over"] == "base_fewshot"
    differences = [samples.difference(1, place) for place in (0, 2, 3, 4)]
    assert samples.difference(1, 2).p < 0.01
    assert (training["p"], training["low"]) == (max(one.p for one in differences), min(one.low for one in differences))
    assert training["p"] > 0.05
    assert training["low"] < 0 < training["value"]
    assert decompose(NAMES, {"mean": samples})["mean"]["candidates"] == ["base", "constant", "base_constrained", "base_fewshot"]


def test_worse_than_the_best_is_corrected_for_their_number():
    samples = resampled(*shifted(0.2, 0.18, 0.23, 0.19, 0.1, n=200))["mean"]
    training = parts(decompose(NAMES, {"mean": samples})["mean"])["training"]
    alone = samples.difference(1, 2)
    assert alone.value < 0
    assert training["p"] == min(1, 4 * alone.p)


def test_an_arm_that_leads_by_luck_is_seldom_beaten_without_a_training_effect():
    """Tuned is truly as good as constrained; few-shot is truly worse but gives nearly tuned's own answers."""
    rng = np.random.default_rng(5)
    called = old = 0
    for seed in range(200):
        tuned, constrained, base = (rng.random(300) < rate for rate in (0.6, 0.6, 0.3))
        few = tuned & (rng.random(300) >= 0.035)
        arms = np.array([np.stack([arm, np.ones(300)], axis=-1) for arm in np.array([base, tuned, few, constrained], dtype=float)])
        (samples,) = stats.resample([stats.stack(arms, mean)], 200, seed)
        training = parts(decompose(NAMES, {"mean": samples})["mean"])["training"]
        called += training["p"] <= 0.05 and training["low"] > 0
        naive = samples.difference(1, NAMES.index(training["over"]))
        old += naive.p <= 0.05 and naive.low > 0
    assert called / 200 <= 0.05
    assert old / 200 > 0.1  # what is called where only the best of this sample is looked at
