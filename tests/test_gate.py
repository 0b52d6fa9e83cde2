"""A gate passes, fails or is inconclusive by the interval; a rule that cannot be judged is refused before anything runs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import cli
from pipeline.commands import gate, gate_figures, gate_rules
from pipeline.commands.gate_rules import Gate
from pipeline.config.recipe import build
from pipeline.errors import RecipeError
from pipeline.measures import non_inferiority
from pipeline.planning.plan import plan
from pipeline.scoring import stats
from pipeline.store.artifact import Artifact, Store
from tests import project

RECIPE = {"name": "r", "base": "quickstart-base", "tasks": ["shop_notice", "shop_sentiment"]}
CONSTRAINED = {**RECIPE, "compare": {"arms": ["base", "base_constrained", "tuned"]}}
PRICED = {**RECIPE, "cost": {"gpu_hour": 2.0}}


def cell(task: str = "shop_notice", **changes) -> dict:
    tuned = {"name": "tuned", "score": 0.8, "low": 0.7, "high": 0.9, "counts": {"n": 200, "unparsed": 5, "truncated": 10}}
    tuned |= {"relevance": {"auc": 0.9, "auc_low": 0.85, "auc_high": 0.95}, "hallucination": {"rate": 0.1, "low": 0.05, "high": 0.2}}
    tuned |= {"speed": {"p50": 0.3, "p95": 0.5, "overhead": 1.2}, "cost": {"request": 0.002}}
    suites = [
        {"suite": name, "kind": kind, "difference": value, "low": value - 0.01, "high": value + 0.01, "measurable": True}
        for name, kind, value in (("paragraphs", "loss", 0.0), ("boolq", "task", -0.05))
    ]
    return {
        "cell": f"cell-{task}", "task": task, "label": task, "seeds": [0], "arms": [{"name": "base"}, tuned], "forgetting": suites,
        "comparisons": [{"n": 200, "lift": 0.3, "low": 0.2, "high": 0.4}],
        "decomposition": {"parts": [{"name": "training", "value": 0.1, "low": -0.05, "high": 0.25}]},
        "cost": {"training": {"dollars": 1.5}}, "hallucination": "text", **changes,
    }  # fmt: skip


def loaded(path, body) -> Gate:
    recipe = build(body)
    return gate_rules.load(path, recipe, plan(recipe)[-1])


def judged(rule: dict, *cells: dict, confidence: float = 0.95) -> list[str]:
    return [row["result"] for row in gate.judge(Gate.model_validate({"rules": [rule]}), report(*cells or [cell()], confidence=confidence))]


def report(*cells: dict, confidence: float = 0.95) -> dict:
    return {"confidence": confidence, "cells": cells}


@pytest.mark.parametrize(
    ("figure", "passes", "fails"),
    [
        ("lift", ("at_least", 0.2), ("at_least", 0.41)),
        ("training_effect", ("at_least", -0.05), ("at_least", 0.26)),
        ("score", ("at_least", 0.7), ("at_least", 0.91)),
        ("hallucination", ("at_most", 0.2), ("at_most", 0.04)),
        ("unparsed", ("at_most", 0.058), ("at_most", 0.01)),
        ("truncated", ("at_most", 0.09), ("at_most", 0.027)),
        ("relevance", ("at_least", 0.85), ("at_least", 0.96)),
        ("request_cost", ("at_most", 0.002), ("at_most", 0.001)),
        ("training_cost", ("at_most", 1.5), ("at_most", 1.4)),
        ("latency_p50", ("at_most", 0.3), ("at_most", 0.2)),
        ("latency_p95", ("at_most", 0.5), ("at_most", 0.4)),
        ("overhead", ("at_most", 1.2), ("at_most", 1.1)),
    ],
)
def test_every_figure_passes_and_fails(figure, passes, fails):
    assert judged({"figure": figure, passes[0]: passes[1]}) == ["pass"]
    assert judged({"figure": figure, fails[0]: fails[1]}) == ["fail"]


def test_every_figure_is_tried_above():
    tried = {args[0] for args in test_every_figure_passes_and_fails.pytestmark[0].args[1]}
    assert tried | {"forgetting"} == set(gate_figures.NAMES)


@pytest.mark.parametrize(
    ("limits", "result"),
    [
        ({"at_least": 0.3}, "inconclusive"), ({"at_most": 0.3}, "inconclusive"), ({"at_most": 0.4}, "pass"), ({"at_most": 0.19}, "fail"),
        ({"at_least": 0.1, "at_most": 0.5}, "pass"), ({"at_least": 0.25, "at_most": 0.5}, "inconclusive"),
        ({"at_least": 0.0, "at_most": 0.1}, "fail"),
    ],
)  # fmt: skip
def test_an_interval_decides_as_a_whole(limits, result):
    assert judged({"figure": "lift", **limits}) == [result]


def test_a_rule_without_a_task_is_about_every_one():
    cells = cell(), cell("shop_sentiment", comparisons=[{"n": 200, "lift": 0.0, "low": -0.1, "high": 0.1}])
    assert judged({"figure": "lift", "at_least": 0.15}, *cells) == ["pass", "fail"]
    assert judged({"figure": "lift", "task": "shop_notice", "at_least": 0.15}, *cells) == ["pass"]
    ungrounded = cell("a", hallucination=None, arms=[{**cell()["arms"][1], "hallucination": None}])
    assert judged({"figure": "hallucination", "at_most": 0.5}, ungrounded, cell()) == ["pass"]


def test_forgetting_is_asked_of_every_suite_or_of_one():
    assert judged({"figure": "forgetting", "at_most": 0.02}) == ["pass", "fail"]
    assert judged({"figure": "forgetting", "suite": "paragraphs", "at_most": 0.02}) == ["pass"]
    with pytest.raises(RecipeError, match=r"forgetting was not measured for the suite paragraph.*\n.*Did you mean 'paragraphs'"):
        judged({"figure": "forgetting", "suite": "paragraph", "at_most": 0.02})


def test_forgetting_is_what_a_score_lost_and_what_a_loss_gained():
    """Positive is worse for both, with the ends of the interval in order."""
    for kind, sign in (("task", -1), ("loss", 1)):
        low, high = sorted((0.03 * sign, 0.08 * sign))
        suite = {"suite": "x", "kind": kind, "difference": 0.05 * sign, "low": low, "high": high}
        assert gate_figures.drop(suite) == (0.05, 0.03, 0.08)
        measured = cell(forgetting=[suite | {"measurable": True}])
        results = [judged({"figure": "forgetting", "at_most": limit}, measured) for limit in (0.02, 0.05, 0.08)]
        assert results == [["fail"], ["inconclusive"], ["pass"]]


def test_the_constant_answer_is_a_baseline(tmp_path):
    """So a training effect can be asked for where no other arm without training is compared."""
    path = tmp_path / "gate.yaml"
    path.write_text("rules: [{figure: training_effect, at_least: 0}]")
    compared = {**RECIPE, "compare": {"arms": ["base", "tuned", "constant"]}}
    assert [rule.figure for rule in loaded(path, compared).rules] == ["training_effect"]


def test_a_suite_on_which_nothing_can_be_lost_is_not_passed():
    suite = {"suite": "boolq", "kind": "task", "difference": 0.0, "low": -0.001, "high": 0.001, "measurable": False}
    rule = {"figure": "forgetting", "at_most": 0.02}
    assert judged(rule, cell(forgetting=[suite])) == ["inconclusive"]
    assert judged(rule, cell(forgetting=[suite | {"measurable": True}])) == ["pass"]
    (row,) = gate.judge(Gate.model_validate({"rules": [rule]}), report(cell(forgetting=[suite])))
    assert gate.line(row) == "inconclusive  forgetting on boolq, shop_notice  not testable (at most 0.02)"


@pytest.mark.parametrize("figure", ["unparsed", "truncated"])
@pytest.mark.parametrize(
    ("n", "seeds", "result"), [(5, 1, "inconclusive"), (150, 1, "inconclusive"), (600, 3, "pass"), (450, 3, "inconclusive")]
)
def test_few_answers_without_a_fault_are_not_passed(figure, n, seeds, result):
    """None of n answers: Wilson's bound is z^2 / (m + z^2) of m examples, however many seeds answered each."""
    arm = {**cell()["arms"][1], "counts": {"n": n, "unparsed": 0, "truncated": 0}}
    assert judged({"figure": figure, "at_most": 0.02}, cell(arms=[arm], seeds=list(range(seeds)))) == [result]


@pytest.mark.parametrize("n", [5, 50, 100, 200])
def test_what_was_not_lost_is_passed_as_seldom_as_the_verdict_says_no_regression(n):
    """A suite as `compare` leaves it: no answer flips, and the gate goes by the same test as the claim."""
    rows = [{**dict.fromkeys(("id", "prompt", "target", "base", "tuned"), ""), "scores": (1.0, 1.0)}] * n
    suite = non_inferiority.task_suite(rows, np.arange(n), 0.02, 0.95)
    result = judged({"figure": "forgetting", "at_most": 0.02}, cell(forgetting=[suite | {"suite": "boolq", "measurable": True}]))
    assert result == ["pass" if n == 200 else "inconclusive"]
    assert (suite["p"] <= 0.025) == (n == 200)


@pytest.mark.parametrize(("results", "code"), [("pass pass", 0), ("pass fail", 3), ("inconclusive fail", 3), ("inconclusive pass", 4)])
def test_exit_code(results, code):
    rows = [{"result": word, "tier": "critical"} for word in results.split()]
    assert gate.STATUS[gate.conclude(Gate.model_validate({"rules": [{"figure": "lift"}]}), report(), rows)] == code


@pytest.mark.parametrize(
    ("rule", "recipe", "says"),
    [
        ("{figure: lft, at_least: 0}", RECIPE, "there is no figure 'lft'.*Did you mean 'lift'"),
        ("{figure: cost, at_most: 1}", PRICED, "There are two: request_cost and training_cost"),
        ("{figure: lift}", RECIPE, "lift has no limit.*Add at_least or at_most"),
        ("{figure: lift, at_least: 2, at_most: 1}", RECIPE, "at_least 2 is more than at_most 1"),
        ("{figure: lift, at_least: 0, task: shop_notic}", RECIPE, "the recipe has no task 'shop_notic'.*Did you mean 'shop_notice'"),
        ("{figure: lift, at_least: 0, suite: paragraphs}", RECIPE, "lift has no suites"),
        ("{figure: lift, atleast: 0}", RECIPE, "atleast is not a key.*Did you mean 'at_least'"),
        ("{figure: lift, at_least: '0.1'}", RECIPE, "must be a number"),
        ("{figure: lift, at_least: .nan}", RECIPE, "must be a finite number"),
        ("{at_least: 0.1}", RECIPE, "figure is missing"),
        ("{figure: request_cost, at_most: 1}", RECIPE, "the price of an hour is not set.*cost.gpu_hour"),
        ("{figure: training_cost, at_most: 1}", RECIPE, "the price of an hour is not set.*cost.gpu_hour"),
        ("{figure: request_cost, at_most: 1}", {**PRICED, "compare": {"speed_prompts": 0}}, "compare.speed_prompts is 0"),
        ("{figure: latency_p95, at_most: 1}", RECIPE, "speed_prompts is 16, and a 95th percentile needs 40.*latency_p50"),
        ("{figure: overhead, at_most: 1}", {**RECIPE, "compare": {"speed_prompts": 0}}, "compare.speed_prompts is 0"),
        ("{figure: relevance, at_least: 1}", {**RECIPE, "compare": {"relevance_examples": 0}}, "compare.relevance_examples is 0"),
        ("{figure: training_effect, at_least: 0}", {**RECIPE, "compare": {"arms": ["base", "tuned"]}}, "no baseline besides the base"),
        ("{figure: forgetting, at_most: 0}", {**RECIPE, "general": {"suites": []}}, "general.suites is empty"),
        ("{figure: forgetting, suite: paragraph, at_most: 0}", RECIPE, "suites are paragraphs.*Did you mean 'paragraphs'"),
        ("{figure: forgetting, suite: shop_notice, task: shop_notice, at_most: 0}", RECIPE, "suites are paragraphs, shop_sentiment"),
        ("{figure: hallucination, task: shop_sentiment, at_most: 0}", RECIPE, "for the task shop_sentiment: its answers may say"),
        ("{figure: training_effect, task: shop_notice, at_least: 0}", CONSTRAINED, "for the task shop_notice: no baseline besides"),
    ],
)  # fmt: skip
def test_bad_rules_are_one_line(tmp_path, rule, recipe, says):
    path = tmp_path / "gate.yaml"
    path.write_text(f"rules:\n  - {rule}\n")
    with pytest.raises(RecipeError, match=f"(?s){says}") as raised:
        loaded(path, recipe)
    assert str(path) in raised.value.problem
    assert "\n" not in raised.value.problem


CASES = sorted((Path(__file__).parent / "cases" / "gate").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_what_is_said_of_bad_gate_files(case, tmp_path, monkeypatch):
    """Each file is a gate file, a line of dashes, and what is said of it."""
    monkeypatch.chdir(tmp_path)
    body, _, expected = case.read_text("utf-8").partition("---\n")
    Path("gate.yaml").write_text(body, "utf-8")
    with pytest.raises(RecipeError) as raised:
        loaded(Path("gate.yaml"), RECIPE)
    assert str(raised.value) == expected.rstrip("\n")
    assert "\n" not in raised.value.problem


def test_there_are_cases_of_bad_gate_files():
    assert len(CASES) >= 12


@pytest.mark.parametrize("body", ["rules: []", "rule: 1", "rules: {figure: lift}", "[1]"])
def test_bad_files(tmp_path, body):
    path = tmp_path / "gate.yaml"
    path.write_text(body)
    with pytest.raises(RecipeError):
        loaded(path, RECIPE)


def test_a_good_file(tmp_path):
    path = tmp_path / "gate.yaml"
    rules = [
        "figure: training_effect, at_least: 0.02",
        "figure: forgetting, suite: shop_notice, at_most: 0.02",
        "figure: request_cost, at_most: 1",
    ]
    path.write_text("rules:\n" + "".join(f"- {{{rule}}}\n" for rule in rules))
    assert [rule.figure for rule in loaded(path, PRICED).rules] == ["training_effect", "forgetting", "request_cost"]


def test_a_line_fits_the_terminal():
    gate_rules = Gate.model_validate({"rules": [{"figure": "lift", "at_least": 0.1, "at_most": 0.5}]})
    lines = [gate.line(gate.judge(gate_rules, report(cell(label=label)))[0]) for label in ("boolq", "winogrande_with_a_name, rank 16")]
    assert lines == [
        "pass          lift boolq  0.3 [0.2, 0.4] (at least 0.1 and at most 0.5)",
        "pass          lift winogrande_with_a_name, rank 16\n              0.3 [0.2, 0.4] (at least 0.1 and at most 0.5)",
    ]


def test_a_long_name_fits_the_terminal():
    gate_rules = Gate.model_validate({"rules": [{"figure": "forgetting", "at_most": 0.02}]})
    long = cell(label="hellaswag_processed, rank 16, learning rate 0.0002, alpha per rank 2, dropout 0.05")
    lines = gate.line(gate.judge(gate_rules, report(long))[0]).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == f"pass forgetting on paragraphs, {long['label']} 0 [-0.01, 0.01] (at most 0.02)"


@pytest.mark.parametrize(
    ("figure", "limits", "expected"),
    [
        ((0.020004, None, None), {"at_most": 0.02}, "fail 0.020004 (at most 0.02)"),
        ((0.02, None, None), {"at_most": 0.02}, "pass 0.02 (at most 0.02)"),
        ((0.12354, None, None), {"at_most": 0.12358}, "pass 0.1235 (at most 0.12358)"),  # 0.124 would lie above it
        ((1e-9, None, None), {"at_most": 0.0}, "fail 1e-09 (at most 0)"),
        ((0.30000000000000004, None, None), {"at_most": 0.3}, "fail 0.30000000000000004 (at most 0.3)"),
        ((0.2, None, None), {"at_most": 0.12345678}, "fail 0.2 (at most 0.12345678)"),
        ((0.3, 0.2, 0.40004), {"at_most": 0.4}, "inconclusive 0.3 [0.2, 0.40004] (at most 0.4)"),
        ((0.3, 0.19996, 0.4), {"at_least": 0.2, "at_most": 0.5}, "inconclusive 0.3 [0.19996, 0.4] (at least 0.2 and at most 0.5)"),
    ],
)
def test_a_figure_and_its_limit_are_told_apart(figure, limits, expected):
    """A line never shows them alike, or on the other side of each other, through rounding."""
    value, low, high = figure
    rules = Gate.model_validate({"rules": [{"figure": "lift", **limits}]})
    row = {"rule": 0, "figure": "lift", "label": "x", "suite": None, "value": value, "low": low, "high": high, "measurable": True}
    row |= {"tier": "critical", "base": None}
    row |= {"threshold": limits, "result": gate.result(rules.rules[0], row)}
    assert " ".join(gate.line(row).split()).replace("lift x ", "") == expected


def test_the_evidence(tmp_path):
    artifact = Artifact(tmp_path / "r--0123", "report", "k" * 64, "d" * 64, 1, {"recipe": {"name": "r"}}, {}, {}, {}, {})
    rules = Gate.model_validate({"rules": [{"figure": "forgetting", "at_most": 0.02}]})
    advice = [{"cell": "cell-shop_notice", "verdict": "improved", "use": "yes", "sentences": [{"text": "Use it."}]}]
    judged = gate.evidence(rules, report(cell()) | {"advice": advice}, gate.judge(rules, report(cell())))
    path = gate.write(Store(tmp_path / "data", tmp_path), tmp_path / "gate.yaml", artifact, judged)
    evidence = json.loads(path.read_text())
    assert path == tmp_path / "data" / "gate" / "r.json"
    assert (evidence["result"], evidence["missing"]) == ("fail", [])
    assert (evidence["status"], evidence["key"], evidence["digest"]) == (3, "k" * 64, "d" * 64)
    assert evidence["headlines"] == [{"cell": "cell-shop_notice", "verdict": "improved", "use": "yes", "text": "Use it."}]
    assert evidence["rules"][1] == {
        "rule": 0, "figure": "forgetting", "cell": "cell-shop_notice", "label": "shop_notice", "suite": "boolq", "value": 0.05,
        "low": pytest.approx(0.04), "high": pytest.approx(0.06), "measurable": True, "threshold": {"at_most": 0.02}, "result": "fail",
        "tier": "critical", "base": None,
    }  # fmt: skip


@pytest.mark.slow
def test_exit_codes_of_the_command_line(tmp_path, model, monkeypatch, capsys):
    recipe, rules = project.make(tmp_path, model["folder"]), tmp_path / "gate.yaml"
    project.carry_out(recipe, tmp_path, {"general.suites": ["paragraphs"]})
    monkeypatch.setattr(
        sys, "argv", ["loralift", "report", str(recipe), "general.suites=[paragraphs]", "--store", str(tmp_path), "--gate", str(rules)]
    )
    counts = json.loads(next(tmp_path.glob("data/report/*/report.json")).read_text())["cells"][0]["answers"][1]
    low, high = stats.wilson(counts["unparsed"] / counts["n"], counts["n"], 0.95)
    assert low < high
    gate_rules = [("unparsed", f"at_most: {limit}", *expected) for limit, *expected in ((high, 0, "pass"), (low - 0.01, 3, "fail"))]
    gate_rules.append(("unparsed", f"at_most: {(low + high) / 2}", 4, "inconclusive"))
    gate_rules.append(("forgetting", "suite: paragraphs, at_most: 5", 4, "inconclusive"))  # this base guesses no better than evenly
    for figure, limit, code, word in gate_rules:
        rules.write_text(f"rules: [{{figure: {figure}, {limit}}}]")
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        output = capsys.readouterr().out
        assert (stopped.value.code or 0) == code
        assert any(line.startswith(word) and f"{figure} " in line and "pets" in line for line in output.splitlines())
        assert f"gate: {tmp_path / 'data' / 'gate' / 'pets.json'}" in output
        assert json.loads((tmp_path / "data" / "gate" / "pets.json").read_text())["status"] == code
    rules.write_text("rules: [{figure: lft, at_least: 0}]")
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert "Did you mean 'lift'?" in capsys.readouterr().err


@pytest.mark.parametrize(("n", "expected"), [(5, "inconclusive"), (500, "pass")])
def test_five_examples_that_agree_are_no_proof(n, expected):
    """Resamples of equal differences are all equal, so the interval has no width."""
    same = cell(comparisons=[{"n": n, "lift": 0.0, "low": 0.0, "high": 0.0}])
    assert judged({"figure": "lift", "at_least": -0.01}, same) == [expected]


@pytest.mark.parametrize(("confidence", "fewest"), [(0.8, 161), (0.95, 299), (0.99, 459)])
@pytest.mark.parametrize("figure", ["lift", "training_effect", "score"])
def test_agreeing_examples_are_held_to_the_confidence_of_the_report(figure, confidence, fewest):
    """That 99 of 100 examples show the same is shown by n of n where 0.99^n is at most 1 - confidence."""
    flat = {"low": 0.0, "high": 0.0}
    for n, expected in ((fewest - 1, "inconclusive"), (fewest, "pass")):
        arm = {**cell()["arms"][1], "score": 0.0, **flat}
        same = cell(
            arms=[arm], comparisons=[{"n": n, "lift": 0.0, **flat}], decomposition={"parts": [{"name": "training", "value": 0.0, **flat}]}
        )
        assert judged({"figure": figure, "at_least": -0.01}, same, confidence=confidence) == [expected]


def tiered(results: str, may_fail: int = 0, required: tuple[str, ...] = ()) -> str:
    """The word of a gate with these results, `<tier> <result>` each."""
    rows = [dict(zip(("tier", "result"), pair.split(), strict=True)) for pair in results.split(", ")]
    rules = Gate.model_validate({"rules": [{"figure": "lift"}], "supporting_may_fail": may_fail, "required": required})
    return gate.conclude(rules, report(cell()), rows)


@pytest.mark.parametrize(
    ("results", "may_fail", "word"),
    [
        ("critical pass, advisory fail", 0, "pass"),
        ("critical pass, advisory inconclusive", 0, "pass"),
        ("critical pass, supporting fail", 0, "fail"),
        ("critical pass, supporting fail", 1, "pass"),
        ("critical pass, supporting fail, supporting fail", 1, "fail"),
        ("critical pass, supporting fail, supporting inconclusive", 1, "inconclusive"),
        ("critical pass, supporting inconclusive", 1, "pass"),
        ("critical pass, supporting inconclusive", 0, "inconclusive"),
        ("critical fail, supporting pass", 9, "fail"),
        ("critical inconclusive, supporting fail", 0, "fail"),
    ],
)
def test_tiers(results, may_fail, word):
    assert tiered(results, may_fail) == word


@pytest.mark.parametrize(
    ("results", "word"), [("critical pass", "missing"), ("critical inconclusive", "missing"), ("critical fail", "fail")]
)
def test_a_required_task_that_was_not_run(results, word):
    assert tiered(results, required=("viggo",)) == word
    assert tiered("critical pass", required=("shop_notice",)) == "pass"
    assert gate.STATUS["missing"] == 5


def test_a_rule_of_a_missing_task_waits_for_it(tmp_path):
    """It is neither refused before the run nor after it."""
    path = tmp_path / "gate.yaml"
    path.write_text("required: [viggo]\nrules: [{figure: score, task: viggo, at_least: 0.5}, {figure: lift, at_least: 0.1}]")
    rules = loaded(path, RECIPE)
    rows = gate.judge(rules, report(cell()))
    assert [(row["figure"], row["result"]) for row in rows] == [("lift", "pass")]
    assert gate.missing(rules, report(cell())) == ["viggo"]
    assert gate.missing_line("viggo") == "missing       viggo (required, and was not run)"


LOST = {"low": -0.06, "high": -0.02}
SUITE = {"suite": "boolq", "kind": "task", "base": 0.8, "difference": -0.04, **LOST, "measurable": True}
LOSS = {"suite": "paragraphs", "kind": "loss", "base": 2.0, "difference": 0.1, "low": 0.05, "high": 0.15, "measurable": True}
BY_PART = {"headline": {"baseline_score": 0.5}, "decomposition": {"parts": [{"name": "training", "value": -0.04, **LOST}]}}


@pytest.mark.parametrize(
    ("figure", "changes", "expected"),
    [
        ("lift", {"comparisons": [{"n": 200, "base": 0.8, "lift": -0.04, **LOST}]}, (0.05, 0.025, 0.075)),
        ("training_effect", BY_PART, (0.08, 0.04, 0.12)),
        ("forgetting", {"forgetting": [SUITE]}, (0.05, 0.025, 0.075)),
        ("forgetting", {"forgetting": [LOSS]}, (0.05, 0.025, 0.075)),
    ],
)
def test_a_relative_drop_is_a_share_of_what_there_was(figure, changes, expected):
    value, low, high = expected
    for limit, word in ((high + 1e-9, "pass"), (value, "inconclusive"), (low - 1e-6, "fail")):
        (row,) = gate.judge(Gate.model_validate({"rules": [{"figure": figure, "max_relative_drop": limit}]}), report(cell(**changes)))
        assert (row["value"], row["low"], row["high"]) == pytest.approx(expected)
        assert row["result"] == word


def test_a_relative_drop_from_almost_nothing_is_not_testable():
    low_base = cell(comparisons=[{"n": 200, "base": 0.04, "lift": -0.03, "low": -0.04, "high": -0.02}])
    rule = {"figure": "lift", "max_relative_drop": 0.1}
    (row,) = gate.judge(Gate.model_validate({"rules": [rule]}), report(low_base))
    assert gate.line(row) == "inconclusive  lift shop_notice  not testable of 0.04 (max relative drop 0.1)"
    assert judged(rule | {"relative_from": 0.01}, low_base) == ["fail"]
    nothing = cell(comparisons=[{"n": 200, "base": 0.0, "lift": 0.0, "low": 0.0, "high": 0.0}])
    assert judged(rule | {"relative_from": 1e-9}, nothing) == ["inconclusive"]


def test_a_line_says_tier_and_base():
    changes = {"comparisons": [{"n": 200, "base": 0.8, "lift": -0.04, "low": -0.06, "high": -0.02}]}
    rule = {"figure": "lift", "max_relative_drop": 0.1, "tier": "advisory"}
    (row,) = gate.judge(Gate.model_validate({"rules": [rule]}), report(cell(**changes)))
    assert " ".join(gate.line(row).split()) == "pass lift shop_notice 0.05 [0.025, 0.075] of 0.8 (max relative drop 0.1; advisory)"
    rules = Gate.model_validate({"rules": [rule | {"tier": "supporting"}], "supporting_may_fail": 1})
    assert gate.supporting_line(rules, gate.judge(rules, report(cell(**changes)))) == "supporting: 0 of 1 failed, 1 may"
    assert gate.supporting_line(rules, [row]) is None
