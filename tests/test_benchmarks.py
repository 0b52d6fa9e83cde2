"""The benchmarks run, on small sizes, and `make bench` runs all of them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks import arms, fuzz_serve, soak_serve, verdicts
from benchmarks.peers import tables
from pipeline.commands import call as calls
from pipeline.machine import Machine
from tests import browser

ROOT = Path(__file__).parents[1]
SMALL = ["prepare.train_examples=48", "prepare.dev_examples=8", "prepare.heldout_examples=12", "finetune.max_steps=2"]
SMALL += ["compare.resamples=2000", "compare.relevance_examples=6", "compare.speed_prompts=0", "general.suites=[]"]
SURROUNDINGS = {"python", "system", "packages", "cpu", "git", "gpu"}


def bench(name, *words, **more):
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *words], cwd=ROOT, capture_output=True, text=True, check=True, **more
    )


def test_make_bench_runs_every_script_as_a_module():
    """As a file, a script finds its own folder first, and in it `statistics` instead of Python's."""
    target = re.search(r"^bench:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert target
    called = re.findall(r"^\t\$\(BIN\)/python -m benchmarks\.(\w+)$", target[1], re.M)
    assert len(called) == target[1].count("\n")
    assert sorted([*called, "real_shape", "soak_serve", "fuzz_serve"]) == sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


def test_without_a_browser_the_page_is_skipped(tmp_path):
    done = bench("page", "--out", str(tmp_path), env={"PATH": str(tmp_path)})
    assert "skipped, there is no Chromium here" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@browser.needed
def test_a_page_is_timed_and_verified(tmp_path):
    bench("page", "--examples", "60", "--openings", "2", "--out", str(tmp_path))
    written = json.loads((tmp_path / "page-cpu.json").read_text("utf-8"))
    results = written.pop("results")
    assert written.keys() == SURROUNDINGS
    assert (results["examples"], results["arms"], results["openings"]) == (60, 6, 2)
    assert "1 comparisons rescored" in results["verify_said"]
    assert "named by hash" not in results["verify_said"]
    assert results["stage_seconds"].keys() == {"prepare", "compare", "report"}
    took = {name: row["median"] for name, row in results["opening"].items()}
    assert all(row["low"] <= row["median"] <= row["high"] for row in results["opening"].values())
    assert took["usable_seconds"] > took["listed_seconds"] > 0
    assert took["first_search_seconds"] > 0.15
    assert took["last_example_seconds"] > 0
    assert took["height_px"] > 5000
    assert 5 < took["scroll_median_gap_ms"] <= took["scroll_longest_gap_ms"]


def test_the_arms_that_answer_are_told_from_general_tasks(tmp_path):
    counts = {}
    for name, words in arms.RUNS.items():
        call = calls.parse_call([str(arms.RECIPE), words], tmp_path, Machine())
        jobs = arms.answering(call.jobs)
        assert len(jobs) < sum(job.stage == "generate" for job in call.jobs)
        counts[name] = sorted(job.label.removeprefix("quickstart-base--shop_").split("--")[1] for job in jobs)
    assert counts["base and tuned"] == ["base"] * 3 + ["r16-s0"] * 3
    assert counts["default arms"] == ["base"] * 3 + ["base_constrained"] * 2 + ["base_fewshot"] * 3 + ["r16-s0"] * 3


def test_a_run_without_its_adapters_is_not_timed(tmp_path):
    with pytest.raises(RuntimeError, match=r"prepare shop_sentiment--heldout should be there"):
        arms.compared([str(arms.RECIPE), *SMALL], tmp_path)


def test_ratios_are_medians_of_rounds():
    alone = [{"answering": 10.0, "process": seconds} for seconds in (20.0, 25.0, 50.0)]
    default = [{"answering": seconds, "process": 50.0} for seconds in (22.0, 21.0, 29.0)]
    ratios = arms.ratios({"base and tuned": alone, "default arms": default})
    assert ratios["answers"] == {"median": 2.2, "low": 2.1, "high": 2.9}
    assert ratios["whole comparison"] == {"median": 2.0, "low": 1.0, "high": 2.5}
    assert ratios["whole comparison over answers of base and tuned"] == {"median": 5.0, "low": 5.0, "high": 5.0}


@pytest.mark.slow
def test_arms_are_timed_on_fresh_stores(tmp_path):
    store, out = tmp_path / "store", tmp_path / "out"
    bench("arms", "--rounds", "1", "--out", str(out), "--store", str(store), *SMALL)
    results = json.loads(next(out.glob("arms-*.json")).read_text("utf-8"))["results"]
    ((alone,), (default,)) = (results["rounds"][name] for name in arms.RUNS)
    assert (alone["answering_jobs"], default["answering_jobs"]) == (6, 11)
    for run in (alone, default):
        assert run["stages"].keys() == {"generate", "relevance", "compare", "report"}
        assert run["answering"] == pytest.approx(run["stages"]["generate"], abs=0.02)  # no general task is asked
        assert sum(run["stages"].values()) < run["process"]
    assert results["ratios"]["answers"]["median"] == pytest.approx(default["answering"] / alone["answering"], abs=1e-3)
    assert not (store / "data" / "generate").exists()
    shutil.copytree(store / "data", tmp_path / "answered" / "data")
    with pytest.raises(RuntimeError, match=r"finetune .* should be there"):
        arms.compared([str(arms.RECIPE), *SMALL], tmp_path / "answered")


@pytest.mark.slow
def test_a_short_soak_has_no_fault_and_sees_wrong_answers(tmp_path, monkeypatch):
    """Which memory is lost only shows after minutes: see benchmarks/results."""
    results = soak_serve.run_soak(tmp_path / "soak", 10, 8)
    assert (results["faults"], results["exit_code"], results["tracebacks"]) == ([], 0, 0)
    assert results["evictions"] > 0
    assert results["different_answers"] > 20
    assert sum(results["requests"].values()) > 8
    monkeypatch.setattr(soak_serve.Soak, "ask_alone", mistaken(soak_serve.Soak.ask_alone))
    assert "in place of" in soak_serve.run_soak(tmp_path / "mistaken", 3, 4)["faults"][0]


def mistaken(ask_alone):
    """The answers that are expected, each of the model beside its own."""

    def mistake(soak):
        ask_alone(soak)
        answers = {(model, prompt): soak.answers[other, prompt] for model, other in beside(soak.models) for prompt in soak_serve.PROMPTS}
        soak.answers = answers

    return mistake


def beside(models):
    return zip(models, [*models[1:], models[0]], strict=True)


def test_the_table_of_served_models_follows_from_its_results():
    table = (ROOT / "docs" / "serve.md").read_text("utf-8")
    price = float(re.search(r"assumes ([\d.]+) USD per hour", table)[1])
    rows = json.loads((ROOT / "benchmarks" / "results" / "bench-serve-cpu.json").read_text("utf-8"))["results"]
    speeds = [row["tokens_per_second"] for row in rows if row["clients"] == 32 and row["adapters"] in (0, 1)]
    lines = re.findall(r"^\| `.*` \| 192 tokens \| (\d+) tok/s \| ([\d.]+) USD \|", table, re.M)
    assert lines == [(f"{speed:.0f}", f"{price / (0.0036 * speed):.2f}") for speed in speeds]


def test_the_statuses_of_all_responses_are_counted():
    event = {"a": [{"response": {"status_code": 400}}, {"status_code": 500, "b": {"status_code": 200}}], "status_code": None}
    assert fuzz_serve.statuses_in(event) == [400, 500, 200]


RESULTS = json.loads(tables.RESULTS.read_text("utf-8"))["results"]


def test_the_page_of_verdicts_follows_from_its_results():
    assert tables.page(RESULTS) == tables.PAGE.read_text("utf-8"), "run: python -m benchmarks.peers.tables"
    assert len(RESULTS["cells"]) == len(verdicts.CELLS) == 100


def test_our_verdicts_keep_their_level_and_no_lost_cell_is_hidden():
    assert tables.above_level(RESULTS) == []
    text = tables.summary(RESULTS)
    assert max(row["tools"][verdicts.OURS_WITH_MARGIN]["same"] for row in RESULTS["cells"] if row["gain"] >= verdicts.MARGIN) <= 0.071
    assert all(f"{row['kind']}, n = {row['n']:,}, {row['effect']}" in text for row in tables.lost(RESULTS))


@pytest.mark.parametrize("kind", verdicts.KINDS)
@pytest.mark.parametrize("effect", verdicts.EFFECTS, ids=lambda effect: effect.name)
def test_simulated_data_sets_have_the_true_effect(kind, effect):
    data = verdicts.Cell(kind, 300, effect).draw(400)
    gains = (data.tuned.mean(axis=1) - data.base).mean(axis=1)
    assert gains.mean() == pytest.approx(effect.gain, abs=4 * gains.std() / 20)
    assert min(data.base.min(), data.tuned.min()) >= 0
    assert max(data.base.max(), data.tuned.max()) <= 1


def test_our_verdicts_are_those_of_the_product():
    """Of 0/1 scores p is exact, so an independent test must agree, but where the interval alone holds a verdict back."""
    cell = verdicts.Cell("0/1", 300, verdicts.EFFECTS[2])
    data = cell.draw(40)
    words = verdicts.ours(cell, data)
    for before, after, word in zip(data.base, data.tuned[:, 0], words["loralift"], strict=True):
        fixed, broken = int((after > before).sum()), int((after < before).sum())
        if binomtest(fixed, fixed + broken).pvalue > 0.05:
            assert word == "inconclusive"
        elif abs(fixed - broken) > 2.5 * np.sqrt(fixed + broken):
            assert word == ("improved" if fixed > broken else "worse")
    assert words["loralift"].count("improved") >= words["in a report"].count("improved") > 0


def test_what_is_false():
    equal, small, large = (verdicts.EFFECTS[index] for index in (0, 4, 3))
    assert [verdicts.is_false(word, equal) for word in verdicts.WORDS] == [True, True, False, False]
    assert [verdicts.is_false(word, small) for word in verdicts.WORDS] == [False, True, False, False]
    assert [verdicts.is_false(word, large) for word in verdicts.WORDS] == [False, True, True, False]
    assert verdicts.false_reports(["inconclusive"] * 19 + ["worse"], equal) == 0.5


def test_peers_that_did_not_answer_keep_their_last_verdicts():
    key = {"kind": "0/1", "n": 100, "effect": "equal"}
    earlier = {"cells": [key | {"tools": {"loralift": {"same": 0}, "mlflow": {"same": 1}}, "false_reports": {"mlflow": 0.4}}]}
    rows = [key | {"tools": {"loralift": {"same": 2}}, "false_reports": {"loralift": 0.1}}]
    verdicts.merge(earlier, rows, ["loralift"])
    assert rows[0]["tools"] == {"loralift": {"same": 2}, "mlflow": {"same": 1}}
    assert rows[0]["false_reports"] == {"mlflow": 0.4, "loralift": 0.1}


def test_other_kinds_of_scores_keep_their_rows():
    rows = [
        {"kind": kind, "n": 100, "effect": "equal", "run": run} for kind, run in (("3 seeds", "new"), ("0/1", "old"), ("3 seeds", "old"))
    ]
    assert [row["run"] for row in verdicts.with_others(rows[:1], rows[1:])] == ["old", "new"]


@pytest.mark.slow
def test_verdicts_are_counted(tmp_path):
    bench("verdicts", "--data-sets", "10", "--out", str(tmp_path))
    results = json.loads((tmp_path / "verdicts.json").read_text("utf-8"))["results"]
    assert len(results["cells"]) == 100
    assert all(sum(row["tools"]["loralift"].values()) == pytest.approx(1) for row in results["cells"])
