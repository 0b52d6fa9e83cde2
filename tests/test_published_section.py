"""Our figures beside the published ones: a whole run of a task of the paper on a small base, and the rule on planted figures."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from pipeline.config import recipe as recipes
from pipeline.page import cells, fmt, published_section
from pipeline.planning.plan import plan
from pipeline.runner import Site, run
from pipeline.store.artifact import Artifact, Store
from tests import ROOT, tiny

MOODS = ("Positive", "Neutral", "Negative")


def write_tweets(folder):
    folder.mkdir(parents=True)
    for split, count in (("train", 90), ("test", 45)):
        with (folder / f"Corona_NLP_{split}.csv").open("w", encoding="latin-1", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["UserName", "ScreenName", "Location", "TweetAt", "OriginalTweet", "Sentiment"])
            rows.writerows([n, n, "Köln", "16-03-2020", f"{split} shop number {n} has bread", MOODS[n % 9 // 4]] for n in range(count))


@pytest.fixture(scope="module")
def small_run(tmp_path_factory, model):
    """The report of a run with the paper's set-up, made small, and the recipe that it is of."""
    root = tmp_path_factory.mktemp("land")
    write_tweets(root / "sources" / "covid")
    body = {
        "extends": str(ROOT / "recipes" / "lora_land" / "_paper.yaml"), "name": "small", "base": model["folder"], "needs_cuda": False,
        "tasks": ["covid"], "prepare": {"train_examples": 60, "dev_examples": 4, "heldout_examples": 40},
        "finetune": {"max_steps": 3, "compute": "fp32"}, "generate": {"compute": "fp32"}, "compare": {"resamples": 200},
    }  # fmt: skip
    (root / "small.yaml").write_text(json.dumps(body), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORALIFT_SOURCES", str(root / "sources"))
        recipe = recipes.load(root / "small.yaml")
        done = run(plan(recipe), Site(Store(root / "data", root / "checkpoints"), tiny.Machine(device="cpu")), lambda *_: None)
    return recipe.model_dump(mode="json"), {job.stage: artifact for job, artifact in done.items()}, done


@pytest.fixture(scope="module")
def row(small_run):
    report = small_run[1]["report"]
    (published_row,) = json.loads((report.path / "report.json").read_text("utf-8"))["published"]
    return published_row


def test_the_first_rows_are_held_out_in_their_order(small_run):
    heldout = next(artifact for job, artifact in small_run[2].items() if job.label == "covid--heldout")
    ids = [json.loads(line)["id"] for line in (heldout.path / "examples.jsonl").read_text("utf-8").splitlines()]
    assert ids == [f"test-{n}" for n in range(1, 41)]


def test_the_adapter_is_on_queries_and_values(small_run):
    assert small_run[1]["finetune"].params["targets"] == ["q_proj", "v_proj"]
    assert (small_run[1]["finetune"].params["rank"], small_run[1]["finetune"].params["dropout"]) == (8, 0.05)


def test_figures_of_the_paper_stand_beside_ours(row):
    assert (row["task"], row["metric"], row["n"], row["gpt35"], row["gpt4"], row["paper_n"]) == (
        "covid",
        "paper_accuracy",
        40,
        0.334,
        0.309,
        1000,
    )
    assert [row["figures"][name]["paper"] for name in ("base", "tuned", "lift")] == [None, None, None]
    assert all(figure["word"] == "not comparable" for figure in row["figures"].values())
    assert "the paper has no such base" in row["figures"]["base"]["why"]
    assert row["setup"] == ["max_steps 3 (paper: 2500)"]
    assert any("37,361" in difference for difference in row["differs"])


def test_the_best_constant_answer_stands_beside_ours(row):
    right = [MOODS[n % 9 // 4] for n in range(40)]
    assert row["constant"] == {"answer": "Positive", "score": pytest.approx(right.count("Positive") / 40)}


def test_the_page_and_the_markdown_show_them(small_run):
    folder = small_run[1]["report"].path
    page, text = (folder / "report.html").read_text("utf-8"), (folder / "report.md").read_text("utf-8")
    assert '<section id="published">' in page
    assert '<section id="references">' not in page
    assert "## Compared with LoRA Land" in text
    assert "| covid | 40 |" in text
    assert "0.309" in text


def cell_of(small_run, paper, **facts):
    """The cell of the run, as if its base were one of the paper's and its exam had other facts."""
    recipe, by_stage, done = small_run
    report = by_stage["report"]
    inputs = {name.partition(".")[2]: artifact.path for name, artifact in named(done).items()}
    opened = {name: Artifact.open(path) for name, path in inputs.items()}
    opened["heldout"] = replace(opened["heldout"], facts=opened["heldout"].facts | facts)
    assert report.path.exists()
    return cells.Cell("cell0000", "covid", "b", {}, 8, [0], paper, opened), recipe


def named(done):
    (report,) = [job for job in done if job.stage == "report"]
    return {name: done[job] for name, job in report.inputs}


def figures(small_run, paper=None, score=0.5, **facts):
    cell, recipe = cell_of(small_run, paper or {"model": "mistral-7b", "forced_chat": False}, **facts)
    del recipe
    return figures_of(cell, score)


def figures_of(cell, score):
    row = {"metric": "accuracy", "base": 0.19, "tuned": score, "lift": score - 0.19, "n": 1000, "low": 0.28, "high": 0.34}
    row |= {"seed_errors": None}
    return published_section.published_row(cell, [row, {**row, "metric": "paper_accuracy"}])


SAME = {"source": {}}


def test_a_planted_figure_agrees_or_is_higher_or_lower(small_run):
    words_of = {score: figures(small_run, score=score, **SAME)["figures"]["tuned"]["word"] for score in (0.77, 0.79, 0.9, 0.5)}
    assert words_of == {0.77: "agree", 0.79: "agree", 0.9: "higher", 0.5: "lower"}
    assert figures(small_run, **SAME)["figures"]["base"]["word"] == "agree"


@pytest.mark.parametrize(
    ("paper", "facts", "reason"),
    [
        ({"model": "mistral-7b", "forced_chat": True}, SAME, "the recipe forces the chat template"),
        (None, {"source": {"expected_rows": 3798}, "rows": 45}, "another version of the data: 45 rows here, 3,798 there"),
        ({"model": ""}, SAME, "the paper has no such base"),
    ],
)
def test_what_cannot_be_compared_says_why(small_run, paper, facts, reason):
    figure_rows = figures(small_run, paper, **facts)["figures"]
    assert {figure["word"] for figure in figure_rows.values()} == {"not comparable"}
    assert reason in figure_rows["lift"]["why"]


def test_drawn_rows_are_not_the_first_ones(small_run):
    cell, _ = cell_of(small_run, {"model": "mistral-7b"}, **SAME)
    random_order = replace(cell.inputs["heldout"], params=cell.inputs["heldout"].params | {"order": "drawn"})
    assert (
        "ours are drawn" in published_section.incomparable_reasons(replace(cell, inputs={**cell.inputs, "heldout": random_order}), 1000)[0]
    )
    everything = replace(random_order, facts=random_order.facts | {"selected": 45, "rows": 45})
    assert published_section.incomparable_reasons(replace(cell, inputs={**cell.inputs, "heldout": everything}), 1000) == []


def test_a_score_of_a_constant_answer_has_learned_nothing(small_run):
    constant = next(
        answer for answer in json.loads((small_run[1]["compare"].path / "beside.json").read_text())["paper_accuracy"]["constants"]
    )
    assert figures(small_run, score=constant["score"], **SAME)["marks"] == {"tuned": constant["answer"]}
    assert figures(small_run, score=constant["score"] + 0.001, **SAME)["marks"] == {}


def test_money_and_scores_in_words():
    assert [fmt.dollars(value) for value in (None, 0, 0.00012, 3.456)] == ["", "$0.00", "$0.0001", "$3.46"]
    assert [fmt.three_digits(value, name) for value, name in ((None, ""), (0.5, "base"), (0.5, "lift"), (-0.5, "lift"))] == [
        "-", "0.500", "+0.500", "-0.500",
    ]  # fmt: skip


def test_a_user_task_of_that_name_is_not_meant(small_run):
    cell, _ = cell_of(small_run, {"model": "mistral-7b"})
    inline = replace(cell.inputs["comparison"], params=cell.inputs["comparison"].params | {"task": {"name": "covid"}})
    assert published_section.paper_of(cell)
    assert published_section.paper_of(replace(cell, inputs={**cell.inputs, "comparison": inline})) is None


def test_what_stands_in_the_way_is_that_of_the_cell(small_run):
    cell, _ = cell_of(small_run, {"model": "mistral-7b"}, **SAME)
    dense = replace(cell.inputs["base"], params=cell.inputs["base"].params | {"quantization": "none"})
    assert published_section.incomparable_reasons(replace(cell, inputs={**cell.inputs, "base": dense}), 1000) == [
        "the paper's bases are in 4 bit, ours are not"
    ]
    assert published_section.incomparable_reasons(cell, 1000) == []


def test_a_task_with_other_rows_than_the_papers_is_never_compared(small_run, monkeypatch):
    from pipeline.tasks import covid, reuters

    assert "no topic" in reuters.TASK.paper.incomparable_reason
    cell, _ = cell_of(small_run, {"model": "mistral-7b"}, **SAME)
    monkeypatch.setattr(covid, "TASK", replace(covid.TASK, paper=replace(covid.TASK.paper, incomparable_reason="other rows: planted")))
    assert published_section.incomparable_reasons(cell, 1000) == ["other rows: planted"]


def test_modules_are_said_where_they_are_not_the_papers(small_run):
    cell, _ = cell_of(small_run, {"model": "mistral-7b"})
    wide = replace(cell.inputs["adapter0"], params=cell.inputs["adapter0"].params | {"targets": "all-linear", "rank": 16})
    assert published_section.setup_differences(replace(cell, inputs={**cell.inputs, "adapter0": wide})) == [
        "rank 16 (paper: 8)", "max_steps 3 (paper: 2500)", "adapters on all-linear (paper: q_proj and v_proj)",
    ]  # fmt: skip


def test_any_constant_answer_of_a_closed_set_counts_and_of_numbers_the_best_one(small_run, tmp_path):
    constants = [{"answer": "a", "score": 0.5}, {"answer": "b", "score": 0.3}]
    cell, _ = cell_of(small_run, {"model": "mistral-7b", "forced_chat": False}, **SAME)
    for zero_one, marks in ((True, {"tuned": "b"}), (False, {})):
        folder = shutil.copytree(cell.inputs["comparison"].path, tmp_path / str(zero_one))
        beside = {"paper_accuracy": {"constants": constants, "score_sd": {"base": 0.5, "tuned": 0.5}, "zero_one": zero_one}}
        (folder / "beside.json").write_text(json.dumps(beside), "utf-8")
        comparison = replace(cell.inputs["comparison"], path=folder)
        assert figures_of(replace(cell, inputs={**cell.inputs, "comparison": comparison}), 0.3)["marks"] == marks


def test_other_data_are_warned_of(small_run):
    report = json.loads((small_run[1]["report"].path / "report.json").read_text("utf-8"))
    (warning,) = [line for line in report["warnings"] if "The data differ" in line]
    assert "the test source has 45 rows, not 3,798 as expected; the training source has 90 rows, not 41,157 as expected" in warning


RECIPE = {"compare": {"confidence": 0.95}, "sweep": {}}


def lift_row(ours: float | None, paper: float | None, half: float) -> dict:
    return {"figures": {"lift": {"ours": ours, "paper": paper}}, "interval": [(ours or 0) - half, (ours or 0) + half]}


def test_the_mean_lift_stands_beside_the_papers():
    """Of the tasks that both have: errors of 0.01 and 0.02 make sqrt(5) / 200 of the mean."""
    rows = [lift_row(0.2, 0.3, 0.0196), lift_row(0.4, 0.32, 0.0392), lift_row(0.9, None, 0.1), lift_row(None, 0.5, 0.1)]
    mean = published_section.mean_lift(rows, RECIPE)
    assert (mean["tasks"], mean["ours"], mean["paper"]) == (2, pytest.approx(0.3), pytest.approx(0.31))
    assert (mean["low"], mean["high"]) == pytest.approx((0.3 - 1.96 * 5**0.5 / 200, 0.3 + 1.96 * 5**0.5 / 200), abs=1e-5)
    assert mean["sentence"] == "Mean lift over the same 2 tasks: ours +0.300 [0.278, 0.322], the paper's +0.310."
    assert published_section.mean_lift(rows[1:], RECIPE) is None
    assert published_section.mean_lift(rows, RECIPE | {"sweep": {"finetune.rank": [1, 2]}}) is None
