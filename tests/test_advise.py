"""`loralift advise`: what it recommends, what its interval rests on, and how forecasts are compared with results."""

import json
import math
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.commands import advice_table, advice_words, advise, calibration, job_estimates, job_status, views
from pipeline.config import recipe as recipes
from pipeline.data import few_shot_prompts, inline
from pipeline.errors import DataError, RecipeError
from pipeline.lora_land import expected_lift, published
from pipeline.machine import Work
from pipeline.measures import recommendation, text_figures
from pipeline.page import fmt
from pipeline.planning import advice_jobs
from pipeline.planning.plan import plan
from pipeline.sandbox import sandbox
from pipeline.stages import forecast as forecast_stage
from pipeline.stages import sample_validation
from pipeline.store import records
from pipeline.store.artifact import Artifact, ArtifactSpec, Store, file_hashes, json_sha256
from pipeline.store.folders import HeldoutFolder, PredictionsFolder, TrainFolder
from pipeline.store.forecast import ForecastFolder
from pipeline.store.records import Example, Prediction
from tests import ROOT, no_namespaces, project, tiny

NO_SANDBOX = """
from pipeline.commands import preflight
from pipeline.config.recipe import Recipe
from pipeline.machine import Machine
from pipeline.page import fmt
from pipeline.planning import advice_jobs
recipe = Recipe.model_validate({"name": "a", "base": "mistral-7b", "tasks": ["mbpp"]})
jobs = advice_jobs.jobs_of(advice_jobs.advised(recipe, ask=False))
print(preflight.unsafe_tasks(jobs, Machine())["mbpp"][0])
print(preflight.unsafe_tasks(jobs, Machine(unsafe_code=True)))
"""
CELLS = {task: [(base, cell.score) for cell, base, _ in published.scores_with_lift(task)] for task in published.tasks()}
MANY = {"prepare.train_examples": 120, "prepare.dev_examples": 30}


def closed(base, tuned):
    """The share of the gap to 1 that is closed."""
    return (tuned - base) / (1 - base)


# --- the interval


def test_the_interval_holds_whole_tasks_that_it_has_not_seen():
    """Recounted: each task from the 30 others, whose cells are sorted and cut at the rank of hierarchical conformal prediction."""
    hits = []
    for task, cells in CELLS.items():
        others = sorted(closed(*cell) for name, rows in CELLS.items() if name != task for cell in rows)
        rank = math.ceil(0.9 * 31 / 30 * len(others))
        low, high = others[-rank], others[rank - 1]
        shares = expected_lift.shares(without=task)
        assert (shares.low, shares.high) == pytest.approx((low, high), abs=1e-3)
        hits += [low - 1e-9 <= closed(*cell) <= high + 1e-9 for cell in cells]
    assert len(hits) == 310
    assert expected_lift.coverage() == pytest.approx(sum(hits) / 310)
    assert expected_lift.LEVEL <= expected_lift.coverage() < 0.9


def test_the_lift_is_a_share_of_what_is_left_to_gain():
    shares = expected_lift.shares()
    assert -0.1 < shares.low < 0.2 < shares.middle < 0.8 < shares.high <= 1
    low, middle, high = shares.lifts(0.9)
    assert (low, middle, high) == pytest.approx((0.1 * shares.low, 0.1 * shares.middle, 0.1 * shares.high))
    assert 0.9 + high <= 1
    assert shares.lifts(1.0) == (0, 0, 0)


def test_published_scores_of_the_same_task():
    low, high = expected_lift.range_on("winogrande")
    assert (low, high) == (min(score for _, score in CELLS["winogrande"]), max(score for _, score in CELLS["winogrande"]))
    assert expected_lift.range_on("pets") is None


# --- the texts


def test_texts_that_repeat_are_told_from_random_ones():
    letters = random.Random(0)
    noise = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz ", k=300)) for _ in range(5)]
    repeated = text_figures.measure([Example("a", "the cat sat on the mat. " * 30, "the cat sat on the mat.")])
    random_texts = text_figures.measure([Example(str(n), text, "zzz") for n, text in enumerate(noise)])
    assert 5 * repeated["compressibility"] < random_texts["compressibility"] < 1
    assert random_texts["overlap"] == 0
    copied = text_figures.measure([Example("a", "one two three", "one two three"), Example("b", "one two three", "four")])
    assert copied == {"examples": 2, "compressibility": pytest.approx(copied["compressibility"]), "overlap": 0.5}


# --- the recommendation


def arm(name, score):
    return {"name": name, "score": score, "low": score - 0.1, "high": score + 0.1, "unparsed": 0}


def data(**more):
    return {"sample": 50, "train": 1000, "test": 500, **more}


def recommended(base, more=None, other=(), seeds=1):
    rows = [arm("base", base), *(arm(*row) for row in other)]
    low, middle, high = (base + lift for lift in expected_lift.shares().lifts(base))
    return recommendation.recommend(rows, {"low": low, "middle": middle, "high": high}, data(**(more or {})), 0.95, seeds)


@pytest.mark.parametrize(
    ("base", "more", "other", "words"),
    [
        (0.3, {}, (), "fine-tune"),
        (0.3, {}, [("base_fewshot", 0.5)], "fine-tune"),
        (0.3, {}, [("base_fewshot", 0.8)], "prompt first"),
        (0.3, {}, [("base_constrained", 0.8)], "prompt first"),
        (0.3, {}, [("constant", 0.8)], "fine-tune"),  # no prompt makes a constant answer
        (0.97, {}, (), "prompt suffices"),
        (0.3, {}, [("base_fewshot", 0.96)], "prompt suffices"),
        (0.3, {"train": 60}, (), "more data first"),
        (0.3, {"sample": 12}, (), "more data first"),
        (0.97, {"sample": 12}, (), "more data first"),
        (0.8, {"test": 30}, (), "more data first"),  # 30 test examples detect 0.23, and 0.19 is the most to expect
        (0.8, {"test": 300}, (), "fine-tune"),
    ],
)
def test_the_recommendation(base, more, other, words):
    assert recommended(base, more, other) == words


def test_two_seeds_detect_less():
    assert recommended(0.3, {"test": 100}) == "fine-tune"
    assert recommended(0.3, {"test": 100}, seeds=2) == "more data first"


# --- the sample


def test_the_sample_is_of_validation_examples_first_and_shows_no_few_shot_example(tmp_path):
    rows = tiny.examples(40)
    train = tiny.write_part(tmp_path / "train", rows[10:], rows[:10])
    heldout = tiny.write_part(tmp_path / "heldout", tiny.examples(5, 900))
    HeldoutFolder(heldout).write_preface("Look:\n")
    params = {"examples": 24, "shots": 3, "shots_seed": 7}
    facts = sample_validation.run(tiny.work(tmp_path / "sample", params, train=train, heldout=heldout))
    sample = HeldoutFolder(tmp_path / "sample")
    ids = [example.id for example in sample.examples()]
    shots = {example.id for example in few_shot_prompts.choose(TrainFolder(train).examples(), 3, 7)}
    assert facts == {"examples": 24, "training_examples": 14}
    assert ids[:10] == [example.id for example in rows[:10]]
    assert len(shots) == 3
    assert not shots & set(ids)
    assert len(set(ids)) == 24
    assert sample.preface() == "Look:\n"


def test_thoughts_of_validation_examples_are_no_part_of_the_sample(tmp_path):
    thinking = Example("t", "q", "a", extra={records.THOUGHT: "hm"})
    train = tiny.write_part(tmp_path / "train", [], [thinking])
    heldout = tiny.write_part(tmp_path / "heldout", [])
    sample_validation.run(tiny.work(tmp_path / "sample", {"examples": 5, "shots": 1, "shots_seed": 0}, train=train, heldout=heldout))
    (example,) = HeldoutFolder(tmp_path / "sample").examples()
    assert records.THOUGHT not in example.extra


# --- the stage, with answers of models that are not at hand


def sealed(folder, stage, facts):
    spec, files = ArtifactSpec(stage, "", 1, {}, {}), file_hashes(folder)
    Artifact(folder, stage, spec.key, json_sha256(files), 1, {}, {}, files, facts, {}).write_manifest(folder)
    return folder


def forecast_of(root, answers, train_facts=None, test=500, constant="yes"):
    """The forecast of arms whose answers to 50 examples are planted: by arm, how many of them are right."""
    examples = [replace(example, choices=("yes", "no maybe")) for example in tiny.examples(50)]
    train = tiny.write_part(root / "train", tiny.examples(300, 1000))
    counts = {
        "examples": 300, "dev": 50, "looked_at": 360, "overlap_exact": 0, "overlap_near": 0, "shared_groups": 0,
        "constant_answer": constant, "tokens": {"prompt": {"mean": 9.0, "max": 20}, "target": {"mean": 2.0, "max": 3}},
    }  # fmt: skip
    inputs = {
        "train": sealed(train, "prepare", counts | (train_facts or {})),
        "heldout": sealed(tiny.write_part(root / "heldout", []), "prepare", {"examples": test}),
        "sample": sealed(tiny.write_part(root / "sample", examples), "sample_validation", {"examples": 50, "training_examples": 0}),
    }
    for name, right in answers.items():
        rows = [Prediction(e.id, e.target if n < right else "bird", 1, "eos") for n, e in enumerate(examples)]
        folder = root / name
        folder.mkdir(parents=True)
        PredictionsFolder(folder).write_predictions(rows)
        inputs["base" if name == "base" else f"arm.{name}"] = sealed(folder, "generate", {"examples": 50})
    task = recipes.Recipe.model_validate({"name": "pets", "base": "quickstart-base", "tasks": [task_entry(root)]}).tasks[0]
    params = {
        "task": inline.spec(task), "model": {"repo": "Qwen/Qwen2.5-1.5B", "folder": None, "revision": None}, "constant": True,
        "absent": [], "seeds": 1, "confidence": 0.95, "resamples": 200, "seed": 0,
    }  # fmt: skip
    out = root / "forecast"
    out.mkdir()
    forecast_stage.run(Work(params, inputs, out, out, advise.judging_machine_of()))
    return ForecastFolder(out).forecast()


def task_entry(root):
    return {**project.TASK, "data": {"train": str(root / "a.jsonl"), "heldout": str(root / "b.jsonl")}}


def test_a_task_that_the_base_solves(tmp_path):
    forecast = forecast_of(tmp_path, {"base": 49, "base_fewshot": 30})
    assert forecast["recommendation"] == "prompt suffices"
    assert forecast["best"] == "base"
    assert [(row["name"], row["score"]) for row in forecast["arms"]] == [("base", 0.98), ("base_fewshot", 0.6), ("constant", 0.5)]
    assert forecast["lift"]["high"] <= 0.02
    base = forecast["arms"][0]
    assert (base["low"], base["high"]) == pytest.approx((0.8950, 0.9965), abs=1e-3)  # Wilson
    assert forecast["parameters"] == pytest.approx(1.54e9, rel=0.02)


def test_a_task_that_a_prompt_nearly_solves(tmp_path):
    forecast = forecast_of(tmp_path, {"base": 10, "base_fewshot": 42})
    assert forecast["recommendation"] == "prompt first"
    assert forecast["effect"]["middle"] == pytest.approx(forecast["tuned"]["middle"] - 0.84)
    assert forecast["lift"]["middle"] == pytest.approx(forecast["tuned"]["middle"] - 0.2)
    assert forecast["arms"][0]["unparsed"] == 40


def test_a_constant_answer_that_solves_it(tmp_path):
    forecast = forecast_of(tmp_path, {"base": 10}, constant="no maybe")
    assert {row["name"]: row["score"] for row in forecast["arms"]}["constant"] == 0.5
    assert forecast["best"] == "constant"


def test_programs_without_tests_are_refused():
    task = inline.find("magicoder")
    with pytest.raises(DataError, match="magicoder: 2 of 3 training examples have no tests"):
        forecast_stage.check_tests(task, [Example(str(n), "p", "t", extra={"tests": "assert f()"} if n else {}) for n in (0, 0, 1)])
    forecast_stage.check_tests(inline.find("boolq"), [Example("a", "p", "t")])


# --- a whole run


@pytest.fixture(scope="module")
def base_folder(model):
    return model["folder"]


def make_recipe(root, base, duplicates=0, rows=160):
    """The small project with enough rows; the first training rows are duplicates of test rows."""
    recipe = project.make(root, base)
    lines = [json.dumps({"question": f"{e.prompt} {e.id}", "answer": e.target}) for e in tiny.examples(rows)]
    (root / "train.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    if duplicates:
        test = (root / "test.jsonl").read_text("utf-8").splitlines()
        (root / "train.jsonl").write_text("\n".join([*test[:duplicates], *lines]) + "\n", "utf-8")
    return recipe


@pytest.fixture
def type_in(call_cli):
    """Run a command line; returns what it prints, of an error stderr."""

    def run(*words, status=0):
        code, out, err = call_cli(*words)
        assert code == status, err
        return out if status == 0 else err

    return run


def overrides(**more):
    return [f"{key}={value}" for key, value in (MANY | more).items()]


def artifacts(root, stage):
    return [artifact for artifact in Store(root / "data", root / "checkpoints").all() if artifact.stage == stage]


def test_a_forecast_is_kept_and_scored_by_the_run_that_follows(tmp_path, base_folder, type_in):
    recipe = make_recipe(tmp_path, base_folder)
    arguments = (recipe, *overrides(), "--store", tmp_path)
    output = type_in("advise", *arguments, "--device", "cpu")
    assert re.search(r"^pets on \S+/base: ", output, re.M)
    assert re.search(r"lift over the base +\+0\.\d\d \[\+0\.\d\d, \+0\.\d\d\]", output)
    assert "310 lifts on 31 tasks" in output
    assert "120 training, 30 validation and 20 test examples." in output
    assert {artifact.path.name.split("--")[2] for artifact in artifacts(tmp_path, "generate")} == {
        "base-sample", "base_fewshot-sample", "base_constrained-sample",
    }  # fmt: skip
    assert len(artifacts(tmp_path, "finetune")) == 0
    long_lines = [line for line in output.splitlines() if len(line) > 80 and str(tmp_path) not in line]
    assert long_lines == []

    again = type_in("advise", *arguments, "--device", "cpu")
    assert "done in" not in again
    assert "jobs cached" in again
    assert "1 forecast, 0 with a result." in type_in("advise", "--calibration", "--store", tmp_path)
    assert "not compared yet" in type_in("advise", "--calibration", "--store", tmp_path)

    stages = project.carry_out(recipe, tmp_path, MANY)
    assert stages == ["finetune", "generate", "generate", "compare", "report"]  # the examples are those of the forecast
    (row,) = calibration.outcomes(Store(tmp_path / "data", tmp_path / "checkpoints"))
    lift = json.loads(next(tmp_path.glob("data/compare/*/comparisons.jsonl")).read_text().splitlines()[0])["lift"]
    (forecast,) = artifacts(tmp_path, "forecast")
    ends = ForecastFolder(forecast.path).forecast()["lift"]
    assert row.lift == lift
    assert row.state == ("inside" if ends["low"] <= lift <= ends["high"] else "outside")
    assert row.error == pytest.approx(lift - ends["middle"])
    inside = int(row.state == "inside")
    output = type_in("advise", "--calibration", "--store", tmp_path)
    assert f"1 forecast, 1 with a result: {inside} inside the interval ({100 * inside} %, meant 80 %)." in output
    assert all(len(line) <= 80 for line in output.splitlines())


def test_a_comparison_is_the_same_with_and_without_a_forecast(tmp_path, base_folder):
    recipe = recipes.load(make_recipe(tmp_path, base_folder), MANY)
    advised = {job for row in advice_jobs.advised(recipe) for job in advice_jobs.jobs_of([row])}
    compared = set(plan(recipe))
    assert {job.stage for job in advised & compared} == {"prepare"}
    assert {job.stage for job in advised - compared} == {"sample_validation", "generate", "forecast"}


def test_an_adapter_that_was_there_before_scores_no_forecast(tmp_path, base_folder, type_in):
    recipe = make_recipe(tmp_path, base_folder)
    project.carry_out(recipe, tmp_path, MANY)
    type_in("advise", recipe, *overrides(), "--store", tmp_path, "--device", "cpu")
    output = type_in("advise", "--calibration", "--store", tmp_path)
    assert "trained before" in output
    assert "1 forecast, 0 with a result." in output


def outcome_of(tmp_path, forecasts, results):
    """The outcome of forecasts and results with these times."""
    rows = []
    for time in forecasts:
        folder = tmp_path / f"f{time}"
        folder.mkdir()
        middle = time / 10
        ForecastFolder(folder).write({"lift": {"low": middle - 0.1, "middle": middle, "high": middle + 0.1}})
        rows.append(Artifact(folder, "forecast", "", "", 1, {}, {}, {}, {}, {"at": str(time)}, label=f"f{time}"))
    return calibration.outcome(rows, [calibration.Result(str(time), lift) for time, lift in results])


def test_the_last_forecast_before_the_first_training_counts(tmp_path):
    row = outcome_of(tmp_path, [5, 2, 4], [(7, 0.9), (4, 0.45), (1, 0.0)])
    assert (row.label, row.lift, row.state) == ("f4", 0.45, "inside")
    assert row.error == pytest.approx(0.05)


def test_a_result_outside_of_the_interval(tmp_path):
    assert outcome_of(tmp_path, [2], [(3, 0.31)]).state == "outside"


def test_duplicates_of_test_prompts_are_named(tmp_path, base_folder, type_in):
    recipe = make_recipe(tmp_path, base_folder, duplicates=24, rows=130)
    output = " ".join(type_in("advise", recipe, *overrides(), "--store", tmp_path, "--device", "cpu").split())
    (train,) = (one for one in artifacts(tmp_path, "prepare") if one.params["split"] == "train")
    count = train.facts["overlap_exact"]
    assert count >= 10
    assert f"{count} exact duplicates and 0 near-duplicates of test prompts among {train.facts['looked_at']}" in output
    assert "check it" in output


def test_too_few_training_examples(tmp_path, base_folder, type_in):
    recipe = make_recipe(tmp_path, base_folder, rows=40)
    output = " ".join(type_in("advise", recipe, "prepare.train_examples=30", "--store", tmp_path, "--device", "cpu").split())
    assert "not enough data yet" in output
    assert "30 training examples: by a rule of thumb, fewer than 100" in output
    assert "training examples were answered too" in output


def test_gc_keeps_the_forecast_of_a_recipe_that_is_named(tmp_path, base_folder, type_in, monkeypatch):
    recipe = make_recipe(tmp_path, base_folder)
    recipe.write_text(
        json.dumps(json.loads(recipe.read_text()) | {"prepare": {**json.loads(recipe.read_text())["prepare"], "train_examples": 120}})
    )
    type_in("advise", recipe, "--store", tmp_path, "--device", "cpu")
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    paths = {artifact.path for artifact in store.all()}
    assert len(paths) == 7
    views.collect_garbage(Console(), store, True, [recipe])
    assert {artifact.path for artifact in store.all()} == paths
    monkeypatch.setattr(forecast_stage, "__file__", str(Path(shutil.copy(forecast_stage.__file__, tmp_path / "forecast.py"))))
    (tmp_path / "forecast.py").write_text("x = 1\n")  # other code, another key
    views.collect_garbage(Console(), store, True, [recipe])
    assert artifacts(tmp_path, "forecast")


def test_the_price_of_the_trainings(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    recipe = recipes.Recipe.model_validate({"name": "a", "base": "mistral-7b", "tasks": ["boolq"], "finetune": {"seeds": [0, 1]}})
    (row,) = advice_jobs.advised(recipe, ask=False)
    first, text = advice_table.cost_lines(row, {}, 2.5)
    hours = sum(job_estimates.estimate_of(job, {}).costs["H100"].seconds for job in row.trainings) / 3600
    assert first == "This machine has no CUDA device."
    assert text.startswith("Training 2 adapters takes ")
    assert f"{job_status.duration_text(hours)}, {fmt.dollars(2.5 * hours)} on H100" in text
    assert "$" not in list(advice_table.cost_lines(row, {}, None))[1]


def test_a_base_without_an_estimate(tmp_path, base_folder):
    (row,) = advice_jobs.advised(recipes.load(make_recipe(tmp_path, base_folder)))
    assert list(advice_table.cost_lines(row, {}, 2.5))[1] == "Training 1 adapter: there is no estimate for this base with these settings."


@pytest.mark.parametrize("seeds", [1, 2])
def test_whatever_is_too_little_is_said(seeds):
    """Two seeds detect less, so that the test set alone may be too small for them."""
    tuned = {"low": 0.4, "middle": 0.6, "high": 0.97}
    counts = data(test=100 if seeds == 2 else 8, looked_at=1000)
    rows = [arm("base", 0.3)]
    assert recommendation.recommend(rows, tuned, counts, 0.95, seeds) == "more data first"
    forecast = {"arms": rows, "best": "base", "tuned": tuned, "data": counts, "confidence": 0.95, "seeds": seeds}
    (line,) = advice_words.shortages(forecast)
    assert line.startswith(f"{counts['test']} test examples detect effects of ")
    assert "the high end, +0.67, is that large" in line


def test_arms_that_rank_the_same_are_one_row():
    rows = [arm("base", 0.3), arm("base_constrained", 0.4), arm("base_constrained_raw", 0.4)]
    assert [row["name"] for row in advice_table.distinct(rows)] == ["base", "base_constrained"]
    assert len(list(advice_table.distinct([*rows[:2], arm("base_constrained_raw", 0.5)]))) == 3


@pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox on this machine: {sandbox.available()}")
def test_programs_are_refused_where_there_is_no_sandbox():
    program = no_namespaces.SETUP + NO_SANDBOX
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    refused, allowed = ran.stdout.splitlines()
    assert refused.startswith("mbpp: pass_at_1 runs generated code, and this machine has no sandbox")
    assert allowed == "{}"


# --- bad inputs


def test_neither_a_recipe_nor_calibration_or_both(type_in, tmp_path):
    for words in ((), ("quickstart", "--calibration")):
        assert "advise takes a recipe or --calibration, and not both." in type_in("advise", *words, "--store", tmp_path, status=2)


def test_a_store_without_forecasts(type_in, tmp_path):
    assert "There is no forecast in this store." in type_in("advise", "--calibration", "--store", tmp_path)


def test_a_recipe_that_trains_nothing(tmp_path, base_folder):
    body = json.loads(make_recipe(tmp_path, base_folder).read_text())
    body["variants"] = [{"name": "mine", "endpoint": "http://127.0.0.1:9/v1", "model": "m"}]
    with pytest.raises(RecipeError, match="pets: it trains nothing"):
        advice_jobs.advised(recipes.Recipe.model_validate(body))
    assert advice_jobs.jobs_if_any(recipes.Recipe.model_validate(body), None) == []


def test_a_sweep_is_forecast_once_for_each_base(tmp_path, base_folder):
    recipe = recipes.load(make_recipe(tmp_path, base_folder), {"sweep": {"finetune.rank": [1, 2]}})
    (row,) = advice_jobs.advised(recipe)
    assert [job.params["rank"] for job in row.trainings] == [1, 2]
