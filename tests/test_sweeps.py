"""The points of a sweep: of a grid, of a list, and of random draws, which are the same everywhere and stay when more are drawn."""

import math

import pytest

from pipeline.commands import plan_summary
from pipeline.config import recipe as recipes
from pipeline.errors import RecipeError
from pipeline.planning.plan import plan
from tests.test_plan_summary import printed

RATE, RANK = "finetune.learning_rate", "finetune.rank"


def recipe_with(sweep, **more):
    return recipes.build({"name": "a", "base": "quickstart-base", "tasks": ["shop_notice"], "sweep": sweep, **more})


def coordinates(sweep):
    return [point for point, _ in recipe_with(sweep).points()]


def test_draws_are_crossed_with_lists():
    points = coordinates({RANK: [4, 16], RATE: {"log_uniform": [5e-5, 5e-4], "samples": 8}})
    rates = [point[RATE] for point in points[:8]]
    assert points == [{RANK: rank, RATE: rate} for rank in (4, 16) for rate in rates]
    assert len(set(rates)) == 8
    assert all(5e-5 <= rate <= 5e-4 for rate in rates)


def test_draws_stay_the_same_when_more_are_drawn_and_differ_by_seed_and_key():
    def rates(samples, key=RATE, **more):
        return [point[key] for point in coordinates({key: {"log_uniform": [5e-5, 5e-4], "samples": samples, **more}})]

    assert rates(3) == [1.74e-4, 8.83e-5, 2.45e-4]  # of any machine and Python: they are part of keys
    assert rates(8)[:3] == rates(3)
    assert rates(3, seed=1) != rates(3)
    assert rates(3, "finetune.weight_decay") != rates(3)


@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
def test_draws_spread_over_their_range(kind):
    draw = {kind: [0.01, 1.0], "samples": 900}
    values = recipe_with({"finetune.max_grad_norm": draw}).swept["finetune.max_grad_norm"]
    scale = math.log10 if kind == "log_uniform" else float
    shares = [(scale(value) - scale(0.01)) / (scale(1.0) - scale(0.01)) for value in values]
    for third in range(3):
        inside = sum(third / 3 <= share < (third + 1) / 3 for share in shares) / len(shares)
        assert inside == pytest.approx(1 / 3, abs=0.05)


def test_whole_numbers_are_drawn_whole_and_each_is_one_point():
    ranks = [point[RANK] for point in coordinates({RANK: {"log_uniform": [1, 8], "samples": 400}})]
    assert sorted(ranks) == list(range(1, 9))
    assert all(type(rank) is int for rank in ranks)


def test_several_keys_are_drawn_together():
    draws = {RATE: {"log_uniform": [1e-4, 1e-3], "samples": 5}, "finetune.dropout": {"uniform": [0, 0.2], "samples": 5}}
    points = coordinates({RANK: [4, 8], **draws})
    assert len(points) == 10
    assert [list(point) for point in points] == [[RANK, RATE, "finetune.dropout"]] * 10
    assert [{key: point[key] for key in draws} for point in points[:5]] == [{key: point[key] for key in draws} for point in points[5:]]
    assert len({point["finetune.dropout"] for point in points}) == 5


def test_a_list_of_points_is_run_as_it_is():
    points = [{RANK: 4, "finetune.epochs": 2}, {RANK: 8, "finetune.epochs": 1}]
    built = recipe_with(points).points()
    assert [point for point, _ in built] == points
    assert [(recipe.finetune.rank, recipe.finetune.epochs) for _, recipe in built] == [(4, 2), (8, 1)]
    assert recipe_with(points).swept == {RANK: [4, 8], "finetune.epochs": [2, 1]}


def test_what_was_drawn_is_what_the_recipe_holds():
    """So a report shows numbers, and its points are found again."""
    recipe = recipe_with({RATE: {"log_uniform": [1e-4, 1e-3], "samples": 3}})
    again = recipes.Recipe.model_validate(recipe.model_dump())
    assert again.points()[2][0] == recipe.points()[2][0]
    assert again.sweep == {RATE: recipe.swept[RATE]}


def test_words_of_yaml_are_numbers_in_every_form_of_a_sweep(tmp_path):
    for text in ("{finetune.learning_rate: {log_uniform: [5e-5, 5e-4], samples: 2}}", "[{finetune.learning_rate: 1e-4}]"):
        path = tmp_path / "r.yaml"
        path.write_text(f"name: a\nbase: quickstart-base\ntasks: [shop_notice]\nsweep: {text}\n", "utf-8")
        assert all(type(point[RATE]) is float for point, _ in recipes.load(path).points())


def test_points_of_equal_jobs_share_them():
    jobs = plan(recipe_with([{RANK: 4, RATE: 1e-4}, {RANK: 8, RATE: 1e-4}], general={"suites": ()}))
    count = {stage: sum(job.stage == stage for job in jobs) for stage in ("prepare", "finetune", "report")}
    assert count == {"prepare": 2, "finetune": 2, "report": 1}


def test_more_draws_than_points_that_are_run_are_refused():
    with pytest.raises(RecipeError, match="it has 2,000 points, and at most 1,000 are run"):
        recipe_with({RANK: [4, 8], RATE: {"log_uniform": [1e-4, 1e-3], "samples": 1000}})


@pytest.mark.parametrize(
    ("sweep", "line"),
    [
        ({RANK: [4, 8], RATE: [1e-4, 2e-4, 4e-4]}, f"Sweep of 6 points: 2 of {RANK} x 3 of {RATE}."),
        ([{RANK: 4, RATE: 1e-4}, {RANK: 8, RATE: 2e-4}], f"Sweep of 2 points: over {RANK}, {RATE}."),
        ({}, ""),
    ],
)
def test_plan_says_how_many_points_there_are(sweep, line):
    assert " ".join(printed(plan_summary.show_sweep, recipe_with(sweep))) == line
