"""The parts of a lift: what they sum to, and which arm each is held against."""

import numpy as np
import pytest

from pipeline import stats
from pipeline.measures.decompose import decompose

NAMES = ["base", "tuned", "base_fewshot", "base_constrained"]


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def micro_f1(sums):
    return 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)


def sampled(*arms, seeds=1):
    """The metrics of one task on arms of scores (n,), as base, tuned by seed, others."""
    graded = np.array([np.stack([arm, np.ones(len(arm))], axis=-1) for arm in arms])
    counts = np.array([np.stack([np.round(5 * arm), np.full(len(arm), 4.0), np.full(len(arm), 5.0)], axis=-1) for arm in arms])
    found = stats.sample([stats.stack(graded, mean, seeds=seeds), stats.stack(counts, micro_f1, seeds=seeds)], 400, 3)
    return dict(zip(["mean", "micro_f1"], found, strict=True))


def shifted(*shifts, n=60, seed=0):
    rng = np.random.default_rng(seed)
    return [np.clip(0.4 + shift + 0.2 * rng.normal(size=n), 0, 1) for shift in shifts]


def parts(found):
    return {part["name"]: part for part in found["parts"]}


@pytest.mark.parametrize("seeds", [1, 3])
def test_parts_sum_to_the_lift(seeds):
    for seed in range(40):
        arms = shifted(*np.random.default_rng(seed).uniform(-0.3, 0.3, 3 + seeds), seed=seed)
        for name, found in decompose(NAMES, scores := sampled(*arms, seeds=seeds)).items():
            assert [part["name"] for part in found["parts"]] == ["format", "prompt", "learned"]
            assert sum(part["value"] for part in found["parts"]) == pytest.approx(found["lift"], abs=1e-12)
            assert found["lift"] == pytest.approx(scores[name].whole[1] - scores[name].whole[0], abs=1e-12)
            assert min(found["parts"][0]["value"], found["parts"][1]["value"]) >= 0


def test_each_part_is_the_difference_of_its_arms():
    scores = sampled(*shifted(0.0, 0.4, 0.3, 0.2))
    found, drawn = decompose(NAMES, scores)["mean"], scores["mean"]
    for part, (arm, over) in zip(found["parts"], [(3, 0), (2, 3), (1, 2)], strict=True):
        known = drawn.difference(arm, over)
        assert (part["arm"], part["over"]) == (NAMES[arm], NAMES[over])
        assert (part["value"], part["low"], part["high"], part["p"]) == (known.value, known.low, known.high, known.p)
    lift = drawn.difference(1, 0)
    assert (found["lift"], found["low"], found["high"], found["best_cheap"]) == (lift.value, lift.low, lift.high, "base_fewshot")
    assert found["chain"] == [[NAMES[place], drawn.whole[place]] for place in (0, 3, 2, 1)]


@pytest.mark.parametrize(
    ("fewshot", "constrained", "best"), [(-0.2, 0.2, "base_constrained"), (-0.2, -0.1, "base"), (0.1, 0.2, "base_constrained")]
)
def test_a_cheap_arm_that_is_no_better_adds_nothing(fewshot, constrained, best):
    found = decompose(NAMES, sampled(*shifted(0.0, 0.4, fewshot, constrained)))["mean"]
    prompt = parts(found)["prompt"]
    assert (prompt["arm"], prompt["over"], prompt["value"], prompt["low"], prompt["high"], prompt["p"]) == (best, best, 0, 0, 0, 1)
    assert (found["best_cheap"], parts(found)["learned"]["over"]) == (best, best)


def test_equal_arms_leave_the_base_the_best():
    base, tuned = shifted(0.0, 0.3)
    found = decompose(NAMES, sampled(base, tuned, base, base[::-1]))["mean"]
    assert found["best_cheap"] == "base"


def test_an_absent_arm_is_named_so():
    found = decompose(NAMES[:3], sampled(*shifted(0.0, 0.4, 0.2)))["mean"]
    assert [part["arm"] for part in found["parts"]] == [None, "base_fewshot", "tuned"]
    assert parts(found)["format"]["value"] == 0
    alone = decompose(NAMES, sampled(*shifted(0.0, 0.4)))["mean"]  # a metric of samples has no other arms
    assert [part["arm"] for part in alone["parts"]] == [None, None, "tuned"]
    assert parts(alone)["learned"]["value"] == alone["lift"]
