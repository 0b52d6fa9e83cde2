"""Planted learning curves: the smallest size that is enough is found, and no smaller one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.measures.sufficient_size import Point, Settings, section
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
    assert line["points"][0]["against_largest"]["difference"] == pytest.approx(-0.3)
    assert line["points"][0]["against_largest"]["p"] > 0.99
    assert line["points"][1]["against_largest"]["p"] < 0.01


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
    assert (point["low"], point["high"]) == stats.wilson(0.8, 10_000)


def test_groups_are_one_unit():
    """Ten examples a document that are right or wrong together carry a tenth of the evidence: the interval widens by the root of 10."""
    rng = np.random.default_rng(0)
    rows = [np.repeat(rng.random(300) < level, 10).astype(float) for level in (0.8, 0.9)]
    alone, together = np.arange(3000), np.repeat(np.arange(300), 10)
    against = [
        section([point({AXIS: size}, row, labels) for size, row in enumerate(rows)], SETTINGS)[0]["points"][0]["against_largest"]
        for labels in (alone, together)
    ]
    widths = [interval["high"] - interval["low"] for interval in against]
    assert widths[1] / widths[0] == pytest.approx(10**0.5, rel=0.05)


def test_the_largest_against_itself_is_no_worse():
    largest = section(curve({1: 0.8, 2: 0.9}), SETTINGS)[0]["points"][-1]
    assert largest["against_largest"] == {"difference": 0, "low": 0, "high": 0, "p": 0}


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
        called += section(points, settings)[0]["smallest"] is not None
    assert called / 600 <= 0.06


def test_enough_is_what_the_bound_says():
    """`smallest`, p and the bound agree at every margin."""
    points = curve({1: 0.87, 2: 0.9}, n=500)
    low = section(points, SETTINGS)[0]["points"][0]["against_largest"]["low"]
    for margin, smallest in ((-low * 1.001, 1), (-low * 0.999, None)):
        assert section(points, Settings(margin=margin))[0]["smallest"] == smallest


def test_a_score_has_the_interval_of_the_table_of_arms(tmp_path: Path):
    report = BuiltReport(Inputs(tmp_path, {"tasks": ["boolq"], "sweep": {"finetune.rank": [4, 16]}}, n=30))
    arms = [next(arm for arm in cell["arms"] if arm["name"] == "tuned") for cell in report.json["cells"]]
    points = report.json["learning"][0]["points"]
    assert [(point["low"], point["high"]) for point in points] == [(arm["low"], arm["high"]) for arm in arms]
