"""Planted learning curves: the smallest size that is enough is found, and no smaller one."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.measures import learning
from pipeline.measures.learning import Point, Settings, section

SETTINGS = Settings(margin=0.03, resamples=2000)
AXIS = "prepare.train_examples"


def curve(levels: dict[int, float], n: int = 2000, groups: int | None = None, **where) -> list[Point]:
    """A point a size; an example is right where its difficulty lies below the level, so points differ by their levels alone."""
    hard = (np.arange(n) + 0.5) / n
    labels = np.arange(n) if groups is None else np.arange(n) % groups
    scores = {size: (hard < level).astype(float) for size, level in levels.items()}
    return [Point("pets", {AXIS: size, **where}, "exam", float(row.mean()), row, labels) for size, row in scores.items()]


def test_the_smallest_size_that_is_enough():
    (found,) = section(curve({400: 0.9, 100: 0.6, 200: 0.89}), SETTINGS)
    assert found["values"] == [100, 200, 400]
    assert found["smallest"] == 200
    assert [point["tuned"] for point in found["points"]] == pytest.approx([0.6, 0.89, 0.9])
    assert found["points"][0]["against_largest"]["difference"] == pytest.approx(-0.3)
    assert found["points"][0]["against_largest"]["p"] > 0.99
    assert found["points"][1]["against_largest"]["p"] < 0.01


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
    assert point["against_largest"]["low"] == pytest.approx(-0.1 - 1.645 * error, abs=3e-4)
    assert point["against_largest"]["high"] == pytest.approx(-0.1 + 1.645 * error, abs=3e-4)
    assert point["low"] == pytest.approx(0.8 - 1.96 * 0.004, abs=5e-4)


def test_groups_are_drawn_together():
    """Ten examples a document that are right or wrong together carry a tenth of the evidence: the interval widens by the root of 10."""
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(300) < 0.8, 10).astype(float)
    alone, together = np.arange(3000), np.repeat(np.arange(300), 10)
    width = [np.ptp(np.quantile(learning.bootstrap(right[None], labels, SETTINGS)[0], [0.05, 0.95])) for labels in (alone, together)]
    assert width[1] / width[0] == pytest.approx(10**0.5, rel=0.15)


def test_every_task_and_place_on_the_other_axis_has_its_line():
    rank = "finetune.rank"
    points = curve({1: 0.5, 2: 0.9}, **{rank: 4}) + curve({1: 0.9, 2: 0.9}, **{rank: 8})
    found = {(row["axis"], *row["where"].values()): row["smallest"] for row in section(points, SETTINGS)}
    assert found == {(AXIS, 4): None, (AXIS, 8): 1, (rank, 1): None, (rank, 2): 4}


def test_what_cannot_be_compared_says_why():
    points = curve({1: 0.5, 2: 0.9})
    bleu = section([replace(point, score=point.score + 0.1) for point in points], SETTINGS)[0]
    assert (bleu["points"], bleu["smallest"]) == ([], None)
    assert bleu["why"] == "the metric is not a mean over examples, so single examples cannot be paired"
    other = section([points[0], replace(points[1], exam="another")], SETTINGS)[0]
    assert other["why"] == "its points were not tried on the same held-out examples"


def test_no_axis_no_section():
    assert section(curve({1: 0.5}), SETTINGS) == []
    assert section([replace(point, where={"finetune.targets": "qv"}) for point in curve({1: 0.5, 2: 0.6})], SETTINGS) == []


def test_level_where_the_truth_is_the_margin():
    """A size that is worse by exactly the margin is called enough in at most 5 % of test sets, up to the noise of 400 of them."""
    rng, called = np.random.default_rng(1), 0
    for trial in range(400):
        hard = rng.random(300)
        rows = [(hard < level).astype(float) for level in (0.87, 0.9)]
        points = [Point("t", {AXIS: size}, "e", float(row.mean()), row, np.arange(300)) for size, row in enumerate(rows)]
        called += section(points, replace(SETTINGS, resamples=400, seed=trial))[0]["smallest"] is not None
    assert called / 400 < 0.08
