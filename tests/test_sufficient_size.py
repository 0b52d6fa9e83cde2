"""Planted learning curves: the smallest size that is enough is found, and no smaller one."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from pipeline.measures.sufficient_size import PairTest, Point, Settings, section, seed_variance
from pipeline.scoring import stats
from tests.report_inputs import BuiltReport, Inputs

SETTINGS = Settings(margin=0.03)
AXIS = "prepare.train_examples"


def curve(levels: dict[int, float], n: int = 2000, groups: int | None = None, **coordinates) -> list[Point]:
    """A point a size; an example is right where its difficulty lies below the level, so points differ by their levels alone."""
    hard = (np.arange(n) + 0.5) / n
    labels = np.arange(n) if groups is None else np.arange(n) % groups
    scores = {size: (hard < level).astype(float) for size, level in levels.items()}
    return [point({AXIS: size, **coordinates}, row, labels) for size, row in scores.items()]


def point(coordinates: dict, row: np.ndarray, labels: np.ndarray, heldout_key: str = "a") -> Point:
    return Point("pets", coordinates, heldout_key, float(row.mean()), *stats.wilson(float(row.mean()), len(row)), row, labels)


def test_the_smallest_size_that_is_enough():
    (line,) = section(curve({400: 0.9, 100: 0.6, 200: 0.89}), SETTINGS)
    assert line["values"] == [100, 200, 400]
    assert line["smallest"] == 200
    assert [point["tuned"] for point in line["points"]] == pytest.approx([0.6, 0.89, 0.9])
    assert line["best"] == 400
    assert line["points"][0]["against_best"]["difference"] == pytest.approx(-0.3)
    assert line["points"][0]["p"] > 0.99
    assert line["points"][1]["p_adjusted"] < 0.01


def test_a_largest_that_is_worse_makes_no_small_one_enough():
    """A rank of 64 that overfits is no yardstick: 8 is as good as it, and still worse than 16."""
    line = section(curve({8: 0.82, 16: 0.9, 64: 0.8}), SETTINGS)[0]
    assert (line["best"], line["smallest"]) == (16, None)
    assert section(curve({8: 0.899, 16: 0.9, 64: 0.8}), SETTINGS)[0]["smallest"] == 8
    assert [point["against_best"]["difference"] for point in line["points"]] == pytest.approx([-0.08, 0.0, -0.1])


def test_p_is_the_largest_over_all_other_sizes():
    points = curve({1: 0.895, 2: 0.9, 3: 0.88}, n=500)
    line = section(points, SETTINGS)[0]
    pairs = {(one, other): PairTest(points[one], points[other]).not_worse(0.03) for one, other in permutations(range(3), 2)}
    assert [point["p"] for point in line["points"]] == [max(p for (one, _), p in pairs.items() if one == place) for place in range(3)]
    assert [point["p_adjusted"] for point in line["points"]] == stats.holm([point["p"] for point in line["points"]])


def test_a_size_below_a_worse_one_is_not_enough():
    assert section(curve({1: 0.9, 2: 0.5, 3: 0.9, 4: 0.9}), SETTINGS)[0]["smallest"] == 3


def test_none_but_the_largest():
    assert section(curve({1: 0.7, 2: 0.8, 3: 0.9}), SETTINGS)[0]["smallest"] is None


def test_too_few_examples_show_nothing():
    """The same curve on a tenth of the examples: a difference of half the margin is not told from the margin."""
    levels = {1: 0.885, 2: 0.9}
    assert section(curve(levels, n=4000), SETTINGS)[0]["smallest"] == 1
    assert section(curve(levels, n=200), SETTINGS)[0]["smallest"] is None


def test_bounds_are_those_of_the_normal_where_it_holds():
    point = section(curve({1: 0.8, 2: 0.9}, n=10_000), SETTINGS)[0]["points"][0]
    error = (0.1 * 0.9 / 10_000) ** 0.5
    assert point["against_best"]["low"] == pytest.approx(-0.1 - 1.645 * error, abs=3e-4)
    assert point["against_best"]["high"] == pytest.approx(-0.1 + 1.645 * error, abs=3e-4)
    assert (point["low"], point["high"]) == stats.wilson(0.8, 10_000)


def test_groups_are_one_unit():
    """Ten examples a document that are right or wrong together carry a tenth of the evidence: the interval widens by the root of 10."""
    rng = np.random.default_rng(0)
    rows = [np.repeat(rng.random(300) < level, 10).astype(float) for level in (0.8, 0.9)]
    alone, together = np.arange(3000), np.repeat(np.arange(300), 10)
    against = [
        section([point({AXIS: size}, row, labels) for size, row in enumerate(rows)], SETTINGS)[0]["points"][0]["against_best"]
        for labels in (alone, together)
    ]
    widths = [interval["high"] - interval["low"] for interval in against]
    assert widths[1] / widths[0] == pytest.approx(10**0.5, rel=0.05)


def test_the_best_has_no_difference_from_itself():
    best = section(curve({1: 0.8, 2: 0.9}), SETTINGS)[0]["points"][-1]
    assert best["against_best"] == {"difference": 0, "low": 0, "high": 0}
    assert best["p_adjusted"] < 0.01


def test_few_examples_without_a_difference_are_no_proof():
    assert section(curve({1: 0.9, 2: 0.9}, n=50), SETTINGS)[0]["smallest"] is None
    assert section(curve({1: 0.9, 2: 0.9}, n=200), SETTINGS)[0]["smallest"] == 1


def test_every_task_and_place_on_the_other_axis_has_its_line():
    rank = "finetune.rank"
    points = curve({1: 0.5, 2: 0.9}, **{rank: 4}) + curve({1: 0.9, 2: 0.9}, **{rank: 8})
    smallest = {(row["axis"], *row["point"].values()): row["smallest"] for row in section(points, SETTINGS)}
    assert smallest == {(AXIS, 4): None, (AXIS, 8): 1, (rank, 1): None, (rank, 2): 4}


def test_what_cannot_be_compared_says_why():
    points = curve({1: 0.5, 2: 0.9})
    bleu = section([replace(point, score=point.score + 0.1) for point in points], SETTINGS)[0]
    assert (bleu["points"], bleu["smallest"]) == ([], None)
    assert bleu["reason"] == "not a mean of examples"
    other = section([points[0], replace(points[1], heldout_key="another")], SETTINGS)[0]
    assert other["reason"] == "different examples"


def test_no_axis_no_section():
    assert section(curve({1: 0.5}), SETTINGS) == []
    assert section([replace(point, coordinates={"finetune.targets": "qv"}) for point in curve({1: 0.5, 2: 0.6})], SETTINGS) == []


@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize("gained", [0.0, 0.02])
def test_level_where_the_truth_is_the_margin(n, gained):
    """A size that is worse by exactly the margin is called enough in at most 5 % of test sets, up to the noise of 600 of them."""
    rng, called, settings = np.random.default_rng(1), 0, Settings(margin=0.02)
    for _ in range(600):
        change = rng.choice([1.0, -1.0, 0.0], n, p=[0.02 + gained, gained, 0.98 - 2 * gained])
        rows = [np.maximum(-change, 0), np.maximum(change, 0)]
        points = [point({AXIS: size}, row, np.arange(n)) for size, row in enumerate(rows)]
        line = section(points, settings)[0]
        called += line["points"][0]["p"] <= 0.05
    assert called / 600 <= 0.06


def test_enough_is_what_the_bound_says():
    """p and the bound agree at every margin."""
    points = curve({1: 0.87, 2: 0.9}, n=500)
    low = section(points, SETTINGS)[0]["points"][0]["against_best"]["low"]
    for margin, is_enough in ((-low * 1.001, True), (-low * 0.999, False)):
        assert (section(points, Settings(margin=margin))[0]["points"][0]["p"] <= 0.05) == is_enough


def runs_of(rng, level: float, seeds: int, between: float, n: int = 400) -> np.ndarray:
    """Scores (seeds, n) of runs that differ by their seeds."""
    levels = np.clip(level + between * rng.normal(size=seeds), 0, 1)
    return (rng.random((seeds, n)) < levels[:, None]).astype(float)


def seeded(size: int, runs: np.ndarray) -> Point:
    return replace(point({AXIS: size}, runs.mean(axis=0), np.arange(runs.shape[1])), runs=runs)


@pytest.mark.parametrize("seeds", [2, 3])
def test_other_seeds_are_covered(seeds):
    """A size worse by the margin on average over seeds, whose runs differ by as much: called enough in at most 5 % of sweeps."""
    rng, called = np.random.default_rng(3), 0
    for _ in range(300):
        points = [seeded(1, runs_of(rng, 0.87, seeds, 0.03)), seeded(2, runs_of(rng, 0.9, seeds, 0.03))]
        line = section(points, SETTINGS)[0]
        called += line["points"][0]["p"] <= 0.05
    assert called / 300 <= 0.075


def test_seeds_that_differ_widen_the_bounds():
    rng = np.random.default_rng(0)
    alike, apart = (
        section([seeded(1, runs_of(rng, 0.9, 3, between, 2000)), seeded(2, runs_of(rng, 0.9, 3, between, 2000))], SETTINGS)[0]["points"]
        for between in (0.0, 0.05)
    )
    widths = [max(row["against_best"]["high"] - row["against_best"]["low"] for row in points) for points in (alike, apart)]
    assert widths[1] > 2 * widths[0]


def test_standard_errors_are_those_of_the_difference():
    """One seed on each side has none; the error over examples is that of the paired difference."""
    rng = np.random.default_rng(1)
    one, other = (seeded(size, runs_of(rng, 0.8, 3, 0.02)) for size in (1, 2))
    variance = seed_variance(one, other)
    assert variance.examples == pytest.approx((one.scores - other.scores).std(ddof=1) / 400**0.5)
    assert variance.between == pytest.approx(other.runs.mean(axis=1).std(ddof=1) / 3**0.5)
    assert variance.second.between == pytest.approx(one.runs.mean(axis=1).std(ddof=1) / 3**0.5)
    assert seed_variance(replace(one, runs=one.runs[:1]), replace(other, runs=None)) is None


def test_a_score_has_the_interval_of_the_table_of_arms(tmp_path: Path):
    report = BuiltReport(Inputs(tmp_path, {"tasks": ["boolq"], "sweep": {"finetune.rank": [4, 16]}}, n=30))
    arms = [next(arm for arm in cell["arms"] if arm["name"] == "tuned") for cell in report.json["cells"]]
    points = report.json["learning"][0]["points"]
    assert [(point["low"], point["high"]) for point in points] == [(arm["low"], arm["high"]) for arm in arms]
