"""What a plan says that the test sets can show, checked against the tests that will be made of them."""

import re
from dataclasses import replace
from io import StringIO
from statistics import NormalDist

import numpy as np
import pytest
from rich.console import Console

from pipeline.commands import power
from pipeline.commands.job_estimates import lengths_of
from pipeline.commands.plan_table import show_plan
from pipeline.config import recipe as recipes
from pipeline.data import inline
from pipeline.errors import RecipeError
from pipeline.measures import claims, non_inferiority
from pipeline.planning.plan import plan
from pipeline.scoring import stats, verdict
from pipeline.store.artifact import Store
from tests import ROOT

LEAN = {"arms": ["base", "tuned"], "relevance_examples": 0, "speed_prompts": 0}
QUICKSTART = ROOT / "recipes" / "tour.yaml"
MODERN = ROOT / "recipes" / "modern" / "mistral_7b_v0_3.yaml"


def jobs_of(tasks, compare=None, general=None, **more):
    body = {
        "name": "r",
        "base": "quickstart-base",
        "tasks": tasks,
        "compare": {**LEAN, **(compare or {})},
        "general": general or {"suites": []},
    }
    return plan(recipes.build({**body, **more}), ask=False)


def family(*arguments, **more):
    return power.family_of(jobs_of(*arguments, **more)[-1])


def shown_by_power(jobs, unprepared=()):
    """The lines, and all of them as one.

    Args:
        unprepared: names of the tasks of which the size is a bound.
    """
    screen = StringIO()
    exams = {job: lengths_of(job, {}).examples for job in jobs if job.stage == "prepare" and job.params["split"] == "heldout"}
    bounds = {job for job in exams if inline.from_spec(job.params["task"]).name in unprepared}
    power.show(Console(file=screen, highlight=False, width=80), jobs[-1], exams, bounds)
    return screen.getvalue().splitlines(), " ".join(screen.getvalue().split())


def planned(recipe, **changes):
    return plan(recipes.load(recipe, {key.replace("__", "."): value for key, value in changes.items()}), ask=False)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 15),  # of each of three tasks: lift, training effect, the paragraphs and two others
        ({"compare__arms": ["base", "tuned"]}, 12),
        ({"compare__arms": ["base", "tuned", "constant"]}, 15),  # the constant answer is a baseline
        ({"general__suites": ["paragraphs"]}, 9),
        ({"sweep": {"finetune.rank": [4, 8]}}, 30),
        ({"sweep": {"compare.speed_prompts": [0, 8]}}, 15),  # both points share their comparisons
    ],
)
def test_the_claims_of_a_recipe_are_counted(changes, count):
    assert power.family_of(planned(QUICKSTART, **changes)[-1]).claims == count


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.995])
@pytest.mark.parametrize("correction", ["holm", "none"])
def test_lifts_are_said_for_one_claim_and_for_the_family(confidence, correction):
    lines, whole = shown_by_power(planned(QUICKSTART, compare__confidence=confidence, compare__correction=correction))
    alpha, normal = 1 - confidence, NormalDist()
    alone, first = (normal.inv_cdf(1 - z / 2) + normal.inv_cdf(0.8) for z in (alpha, alpha / 15))
    assert f"Minimum detectable lift (80 % power, alpha {alpha:.3g}, base and fine-tuned differ on 20 % of the test examples):" in whole
    assert f"     500  {100 * alone * (0.2 / 500) ** 0.5:4.1f} points  shop_sentiment, shop_extraction, shop_notice" in lines
    needed = [int(line[:8].replace(",", "")) for line in lines if "examples needed" in line]
    examples = [np.ceil(z**2 * 0.2 / 0.02**2) for z in (alone, first)]
    assert needed == (examples if correction == "holm" else examples[:1])
    together = f"With Holm correction over up to 15 tests (first p {alpha / 15:.2g}): up to {100 * first * (0.2 / 500) ** 0.5:.1f} points"
    assert (together in whole) == (correction == "holm")


def test_one_claim_has_no_family():
    lines, whole = shown_by_power(jobs_of(["shop_notice"]))
    assert len([line for line in lines if "examples needed" in line]) == 1
    assert "Holm" not in whole


def suite_verdict(n, margin, level):
    """What is said of a general task of which not one answer changed, at this level of the two-sided p."""
    row = {"id": "", "prompt": "", "target": "", "base": "", "tuned": "", "scores": (1.0, 1.0)}
    suite = non_inferiority.task_suite([row] * n, np.arange(n), margin, 0.95)
    names = {name: "x" for name in ("cell", "task", "label")}
    claim = claims.non_inferiority(names, {**suite, "suite": "x", "metric_name": "x"})
    return claims.judge([claim], 1 - level, "none")[0].verdict


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.2])
@pytest.mark.parametrize("level", [0.05, 0.05 / 155])
def test_with_so_many_examples_no_regression_is_shown_and_with_one_fewer_it_is_not(margin, level):
    needed = power.needed_for_non_inferiority(margin, level)
    assert [suite_verdict(n, margin, level) for n in (needed - 1, needed)] == ["inconclusive", "no regression"]


def test_general_tasks_of_too_few_examples_are_warned_of():
    tasks, suites = ["shop_notice", "shop_sentiment"], {"suites": ["paragraphs", "shop_notice", "shop_extraction"]}
    needed = power.needed_for_non_inferiority(0.02, 0.05 / 7)  # two lifts, the paragraphs twice, three times another task
    lines, whole = shown_by_power(jobs_of(tasks, general={**suites, "examples": needed}))
    assert f"{needed:>8,} examples" in lines
    assert "Non-inferiority on another task (margin 0.02) needs, if no answer changes, Holm-corrected over 7 tests, at least" in whole
    assert "warning" not in whole
    _, fewer = shown_by_power(jobs_of(tasks, general={**suites, "examples": needed - 1}))
    assert f"warning: 2 of 2 have fewer, down to {needed - 1} (general.examples={needed - 1})" in fewer
    alone, _ = shown_by_power(jobs_of(tasks, {"correction": "none", "margin": 0.05}, {**suites, "examples": needed}))
    assert f"{power.needed_for_non_inferiority(0.05, 0.05):>8,} examples" in alone
    assert "to be kept" not in shown_by_power(jobs_of(tasks, general={"suites": ["paragraphs"]}))[1]


def test_sizes_that_are_not_prepared_yet_are_bounds():
    tasks, general = ["shop_notice", "shop_sentiment"], {"suites": ["shop_extraction"], "examples": 200}
    sizes = {"heldout_examples": 500}
    lines, whole = shown_by_power(jobs_of(tasks, general=general, prepare=sizes), unprepared=["shop_notice", "shop_extraction"])
    assert "     500   5.6 points  shop_sentiment" in lines
    assert "   <=500   5.6 points  shop_notice" in lines
    assert 'test examples); "<=": upper bound, not prepared yet, so the lift is a lower bound ("at best"):' in whole
    assert re.search(r": \d\.\d points at best on the smallest of these sets", whole)
    assert "warning: at least 1 of 1 have fewer, down to <=200 (general.examples=200)" in lines
    assert max(map(len, lines)) <= power.COLUMNS
    _, prepared = shown_by_power(jobs_of(tasks, general=general))
    assert "warning: 1 of 1 have fewer, down to 200 (" in prepared
    assert not any(words in prepared for words in ("<=", "at best", "at least 1 of"))


@pytest.mark.parametrize("resamples", [100, 399])
def test_no_randomization_gives_less_than_the_smallest_p(resamples):
    apart = stats.stack(np.stack([np.zeros((60, 1)), np.full((60, 1), 0.7)]), lambda sums: sums[..., 0] / 60)
    (sample,) = stats.resample([apart], resamples, seed=0)
    assert sample.difference(stats.TUNED, stats.BASE).p == family(["shop_notice"], {"resamples": resamples}).smallest_p(1)


@pytest.mark.parametrize("correction", ["holm", "none"])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("count", [1, 7, 930])
def test_what_is_out_of_reach_is_what_no_verdict_could_show(correction, confidence, count):
    base = family(["shop_notice"], {"correction": correction, "confidence": confidence})
    needed = base.needed_resamples(count)
    for resamples in (needed - 1, needed):
        (comparison,) = base.comparisons
        changed = replace(comparison, params_json=comparison.params_json.replace('"resamples":10000', f'"resamples":{resamples}'))
        now = replace(base, comparisons=(changed,))
        assert now.resamples == resamples
        least = verdict.adjust([1 / (resamples + 1)] * count, correction)[0]
        can_be_shown = verdict.decide(least, 0.1, 0.2, confidence) == "improved"
        assert now.is_out_of_reach(count) == (not can_be_shown) == (resamples < needed)


def test_only_claims_that_are_surely_by_randomization_are_refused():
    compare = {"confidence": 0.999, "resamples": 100}
    problem, remedy = power.out_of_reach(family(["shop_notice", "shop_sentiment"], compare))
    assert problem.startswith("compare.resamples=100: 1 of 2 tests are by randomization, and their smallest p, corrected (holm), is 1/101")
    assert remedy == "Set compare.resamples=999 or more."
    assert power.out_of_reach(family(["shop_sentiment"], compare)) is None  # right or wrong, one seed: exact McNemar
    seeded, _ = power.out_of_reach(family(["shop_sentiment"], compare, finetune={"seeds": [0, 1]}))
    assert "1 of 1 tests" in seeded


def test_a_plan_warns_of_claims_that_no_resampling_reaches():
    _, whole = shown_by_power(planned(MODERN, sweep={"finetune.rank": [1, 2, 4, 8, 16, 32]}))
    assert (
        "is 930/10001 = 0.093, above 0.05: no such test can be significant before others are. compare.resamples=18599 is enough." in whole
    )
    _, refused = shown_by_power(jobs_of(["shop_notice"], {"confidence": 0.999, "resamples": 100}))
    assert "warning, a run will be refused: compare.resamples=100: 1 of 1 tests" in refused
    _, maybe = shown_by_power(jobs_of(["shop_sentiment"], {"confidence": 0.999, "resamples": 100, "correction": "none"}))
    assert "is 1/101 = 0.0099, above 0.001: no such test can be significant. compare.resamples=999 is enough." in maybe
    assert "warning" not in shown_by_power(jobs_of(["shop_notice", "shop_sentiment"], {"resamples": 100}))[1]


@pytest.mark.parametrize("changes", [{}, {"compare__resamples": 100}, {"compare__resamples": 100, "compare__confidence": 0.9999}])
def test_lines_are_no_wider_than_a_terminal(changes, tmp_path):
    recipe = recipes.load(MODERN, {key.replace("__", "."): value for key, value in changes.items()})
    screen = StringIO()
    console, store = Console(file=screen, highlight=False, width=80), Store(tmp_path / "d", tmp_path / "c")
    for all_cards in (True, False):
        show_plan(console, recipe, plan(recipe, ask=False), store, all_cards=all_cards)
    assert [line for line in screen.getvalue().splitlines() if len(line) > power.COLUMNS] == []


@pytest.mark.parametrize(("resamples", "is_refused"), [(99, True), (100, False), (10_000_000, False), (10_000_001, True)])
def test_resamples_are_bounded(resamples, is_refused):
    if is_refused:
        with pytest.raises(RecipeError, match=r"compare\.resamples"):
            recipes.load(QUICKSTART, {"compare.resamples": resamples})
    else:
        assert recipes.load(QUICKSTART, {"compare.resamples": resamples}).compare.resamples == resamples
