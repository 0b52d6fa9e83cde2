"""Faults that once misled readers of a report, and what holds now; ELSEWHERE names the tests in other files."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipeline.page import fmt
from pipeline.scoring.verdict import INCONCLUSIVE
from tests import ROOT
from tests.page_reader import Page
from tests.report_inputs import Chartless, Inputs

ELSEWHERE = {
    "a fine-tune that failed was reported as inconclusive": ["headlines.every_surface_says_the_same_truth"],
    "the best baseline left out the constant answer": [
        "decompose.a_lift_that_a_constant_answer_reaches_is_no_training_effect",
        "arms_table.every_step_of_the_decomposition_has_a_default_arm",
    ],
    "a base below the constant answer was said to have regressed": [
        "compare.a_suite_whose_base_does_not_beat_the_constant_answer_is_not_testable"
    ],
    "few-shot without examples was generated, timed and priced again": [
        "few_shot.where_no_example_fits_nothing_is_generated",
        "report_arms.an_arm_whose_prompts_are_mostly_those_of_the_base_is_not_tested",
    ],
    "an arm that changed a third of its prompts was scored": ["untested.an_arm_below_ninety_percent_of_the_prompts_is_not_tested"],
    "p95 of 16 requests was their maximum": ["speed.the_quantiles_and_overheads_of_known_times"],
    "a total that repeats the ranking was drawn twice": ["page_tables.the_first_figure_tells_the_report"],
    "a recommendation rested on baselines that were not tested": ["claims.a_training_effect_is_claimed_where_a_baseline_was_tried"],
}
"""Fault -> the tests that hold it, as file and function without `test_`."""
SCORE = re.compile(r"[+−]?[01]\.(\d+)")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Chartless:
    arms = ("base_fewshot", "base_constrained", "constant")
    recipe = {"finetune": {"seeds": [0, 1]}}
    return Chartless(Inputs(tmp_path_factory.mktemp("faults"), recipe, n=60, arms=arms, measured=True, two_metrics=True))


@pytest.mark.parametrize("name", sorted({name for names in ELSEWHERE.values() for name in names}))
def test_every_fault_that_is_tested_elsewhere_is(name: str) -> None:
    file, _, function = name.partition(".")
    assert hasattr(import_module(f"tests.test_{file}"), f"test_{function}")


def test_every_change_is_fine_tuned_minus_base(report: Chartless) -> None:
    """One sign: a drop on another task is below zero and so is its margin; of a loss both are above."""
    for cell in report.json["cells"]:
        for row in cell["comparisons"]:
            assert row["lift"] == pytest.approx(row["tuned"] - row["base"])
        assert cell["headline"]["effect"] == pytest.approx(cell["headline"]["tuned"] - cell["headline"]["baseline_score"])
        for suite in cell["forgetting"]:
            assert suite["difference"] == pytest.approx(suite["tuned"] - suite["base"])
            assert (suite["margin"] > 0) == (suite["kind"] == "loss")
    changes = [change for row in report.json["other_tasks"]["rows"] for change in row["changes"] if change]
    assert {change["change"] for change in changes} == {
        suite["difference"] for cell in report.json["cells"] for suite in cell["forgetting"]
    }


@pytest.mark.parametrize(
    ("low", "high", "threshold", "text"),
    [
        (0.0163, 0.0328, 0.02, "+0.022 [0.016, 0.033]"),
        (0.0098, 0.0203, 0.02, "+0.0220 [0.0098, 0.0203]"),  # with three decimals it would end on the margin
        (-0.0202, 0.01, -0.02, "+0.0220 [-0.0202, 0.0100]"),
    ],
)
def test_rounding_hides_no_decision(low: float, high: float, threshold: float, text: str) -> None:
    row: Any = {"unit": "score", "value": 0.0220, "low": low, "high": high, "threshold": threshold, "reason": ""}
    assert fmt.rule_value(row) == text
    ends = [float(number) for number in re.findall(r"-?\d\.\d+(?=[,\]])", text)]
    assert [end > threshold for end in ends] == [low > threshold, high > threshold]


def test_a_score_has_one_value_in_every_section(report: Chartless) -> None:
    for cell in report.json["cells"]:
        headline, primary = cell["headline"], cell["comparisons"][0]
        scores = {arm["name"]: arm["score"] for arm in cell["arms"]}
        for arm in ("base", "tuned"):
            assert scores[arm] == pytest.approx(headline[arm]) == pytest.approx(primary[arm])
        assert headline["baseline_score"] == pytest.approx(scores[headline["baseline"]])
        assert sum(part["value"] for part in cell["decomposition"]["parts"]) == pytest.approx(primary["lift"])
        assert cell["decomposition"]["lift"] == pytest.approx(primary["lift"])
        (point,) = [row for row in report.json["advice"] if row["cell"] == cell["cell"]]
        assert point["verdict"] == headline["verdict"]


def test_scores_in_a_column_have_one_number_of_decimals(report: Chartless) -> None:
    """Three, or four where an end of the interval would round to zero."""
    columns = 0
    for table in Page(report.html).tables:
        for head in table.heads:
            texts = [row[head].split()[0] for row in table.rows if row.get(head, "").split()]
            digits = [len(match[1]) for text in texts if (match := SCORE.fullmatch(text))]
            if head in ("Score", "Base", "Fine-tuned", "Lift", "Change", "Fine-tuned vs. this arm") and digits:
                columns += 1
                assert set(digits) <= {3, 4}, (table.label, head)
                assert digits.count(4) <= sum("0.000" in text for text in texts) + 1
    assert columns > 8


def test_a_recommendation_names_the_baseline_that_it_beats_and_no_condition(report: Chartless) -> None:
    for advised, cell in zip(report.json["advice"], report.json["cells"], strict=True):
        first = advised["sentences"][0]["text"]
        assert f"{cell['headline']['baseline_score']:.2f}" in first
        assert "not tested" not in first
        if cell["headline"]["verdict"] == INCONCLUSIVE:
            assert first.startswith(("Inconclusive", "Do not use"))


def test_the_readme_says_that_other_machines_give_other_numbers() -> None:
    readme = (Path(ROOT) / "README.md").read_text("utf-8")
    assert "Your numbers will differ by a few points" in readme
    quickstart = readme.partition("<!-- quickstart -->")[2].partition("<!-- end -->")[0]
    assert "regress" not in quickstart  # the tasks of the quickstart have no other tasks on which the base could lose
