"""Predictions that exist already are compared like our own: same scores and statistics, nothing made up, no row left out in silence."""

import csv
import json
import math
import random
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.commands import call, gate_rules, recompute_page, views
from pipeline.commands.options import RunOptions
from pipeline.commands.page_file import ProofError
from pipeline.commands.score_recipe import ScoreRequest, pairing_of, with_predictions
from pipeline.config import recipe as recipes
from pipeline.data import copied_columns
from pipeline.errors import DataError, MachineError, RecipeError, UserError
from pipeline.machine import Machine
from pipeline.measures.report_types import Report
from pipeline.planning.plan import plan
from pipeline.progress import Terminal
from pipeline.runner import Site, run
from pipeline.store.artifact import Store
from pipeline.store.folders import PredictionsFolder
from pipeline.store.result_folders import ReportFolder
from tests import preparing, project
from tests.test_report_schema import faults

ROWS = [{"id": f"q{number}", "prompt": f"Is {number} even?", "completion": "yes" if number % 2 == 0 else "no"} for number in range(60)]


def answers(share, seed):
    """One answer to each row, of which about a share is right."""
    draws = random.Random(seed)
    return [row["completion"] if draws.random() < share else {"yes": "no", "no": "yes"}[row["completion"]] for row in ROWS]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with test rows and the base's predictions."""
    monkeypatch.chdir(tmp_path)
    write_jsonl(Path("test.jsonl"), ROWS)
    write_jsonl(Path("base.jsonl"), [{"id": row["id"], "prediction": text} for row, text in zip(ROWS, answers(0.5, 1), strict=True)])
    return tmp_path


def score(*arguments, data="test.jsonl", pairing=None, **options):
    """Run `loralift score` in the current folder; returns the report's folder and report.json."""
    changes = ["compare.resamples=200"]
    request = ScoreRequest((*arguments, *changes), data, **{"metric": "accuracy", **options})
    planned = call.parse_call(with_predictions(request, pairing or {}), Path(), Machine(), RunOptions(detail="quiet"))
    folder = ReportFolder(call.make_report(planned).path)
    return folder, folder.data()


def share(texts):
    return sum(text == row["completion"] for row, text in zip(ROWS, texts, strict=True)) / len(ROWS)


def write_csv(texts):
    with Path("tuned.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [["id", "answer"], *([row["id"], text] for row, text in zip(ROWS, texts, strict=True))]
        csv.writer(file).writerows([rows[0], *random.Random(0).sample(rows[1:], len(ROWS))])
    return "tuned.csv"


def write_parquet(texts):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"response": texts, "id": [row["id"] for row in ROWS]}), "tuned.parquet")
    return "tuned.parquet"


def write_lines(texts):
    Path("tuned.txt").write_text("\r\n".join(texts) + "\r\n", "utf-8")
    return "tuned.txt"


def write_by_order(texts):
    write_jsonl(Path("tuned.jsonl"), [{"prompt": row["prompt"], "output": text} for row, text in zip(ROWS, texts, strict=True)])
    return "tuned.jsonl"


def write_own(texts):
    rows = [
        {"example": f"test-{n}", "text": text, "tokens": 1, "stopped": "eos", "logprobs": [], "samples": []}
        for n, text in enumerate(texts, 1)
    ]
    Path("folder").mkdir()
    write_jsonl(Path("folder/predictions.jsonl"), rows[::-1])
    return "folder"


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_lines, write_by_order, write_own])
def test_scores_are_those_of_the_file(write, folder):
    texts = answers(0.8, 2)
    _, report = score("base=base.jsonl", f"tuned={write(texts)}")
    [cell] = report["cells"]
    assert (cell["comparisons"][0]["base"], cell["comparisons"][0]["tuned"]) == (
        pytest.approx(share(answers(0.5, 1))),
        pytest.approx(share(texts)),
    )
    assert cell["predictions"][1]["paired_by"] == {"write_csv": "id", "write_parquet": "id", "write_own": "ids of examples"}.get(
        write.__name__, "order"
    )


def test_same_figures_as_the_comparison_that_made_the_predictions(model, tmp_path, monkeypatch):
    """The predictions of a whole run, scored as files by the same recipe: every score, interval and p is the same."""
    monkeypatch.chdir(tmp_path)
    path = project.make(tmp_path, model["folder"])
    project.carry_out(path, tmp_path)
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    base, tuned = (
        next(str(one.path) for one in store.all() if one.stage == "generate" and ("adapter" in one.inputs) is has_adapter)
        for has_adapter in (False, True)
    )
    before = json.loads(next((tmp_path / "data" / "report").glob("*/report.json")).read_text("utf-8"))["cells"][0]
    other = tmp_path / "other"
    request = ScoreRequest((str(path), f"base={base}", f"mine={tuned}"))
    planned = call.parse_call(with_predictions(request, {}), other, Machine(), RunOptions(detail="quiet"))
    after = ReportFolder(call.make_report(planned).path).data()["cells"][0]
    assert after["comparisons"] == before["comparisons"]
    assert [{**row, "arm": ""} for row in after["answers"]] == [{**row, "arm": ""} for row in before["answers"]]
    assert {job.stage for job in planned.jobs} == {"prepare", "import_predictions", "compare", "report"}


def test_nothing_is_made_up(folder):
    """What no file says is null on the page, and said to be unknown."""
    place, report = score("base=base.jsonl", f"tuned={write_lines(answers(0.8, 2))}")
    [cell] = report["cells"]
    assert [(row["truncated"], row["endless"], row["mean_tokens"]) for row in cell["answers"]] == [(None, None, None)] * 2
    assert (cell["adapters"], cell["liveness"], cell["rank"], cell["cost"], cell["speed"], cell["forgetting"]) == (
        [],
        [],
        None,
        None,
        None,
        [],
    )
    assert report["setup"]["predictions"] == ["base (base.jsonl)", "tuned (tuned.txt)"]
    assert (report["setup"]["quantization"], report["setup"]["hardware"]) == ([], [])
    assert [line for line in report["warnings"] if "Nothing is known of the models, prompts, decoding and seeds" in line]
    assert [line for line in report["notes"] if "latency, cost, prompt relevance" in line]
    opening = "Predictions come from files: base (base.jsonl) and tuned (tuned.txt). Nothing is known"
    assert [line.startswith(opening) for line in report["warnings"]].count(True) == 1
    assert [line for line in report["warnings"] if line.startswith("Answers of tuned.txt are paired with test rows by order alone")]
    assert [line for line in report["warnings"] if line.startswith("It is unknown what tuned was trained on")]
    assert faults(report, Report) == []
    text = place.page.read_text("utf-8")
    assert "LoRA adapter" not in text.partition("<main>")[0].partition("<body>")[2]
    assert "not known" in text


def test_a_page_proves_itself_and_is_judged(folder):
    place, _ = score("base=base.jsonl", f"tuned={write_csv(answers(0.9, 2))}")
    assert recompute_page.verify(place.page).comparisons == 1
    Path("gate.yaml").write_text("rules: [{figure: lift, at_least: 0.01}]", "utf-8")
    planned = call.parse_call(["score-test.yaml", "compare.resamples=200"], Path(), Machine())
    rules = gate_rules.load(Path("gate.yaml"), planned.recipe, planned.jobs[-1])
    assert views.show_gate(Terminal(), Path("gate.yaml"), rules, call.make_report(planned), planned.site.store) == 0
    Path("gate.yaml").write_text("rules: [{figure: latency_p50, at_most: 1}]", "utf-8")
    with pytest.raises(RecipeError, match="compares predictions, and no model is loaded"):
        gate_rules.load(Path("gate.yaml"), planned.recipe, planned.jobs[-1])
    Path("gate.yaml").write_text("rules: [{figure: training_effect, at_least: 0.1}]", "utf-8")
    with pytest.raises(RecipeError, match="no baseline besides the base") as error:
        gate_rules.load(Path("gate.yaml"), planned.recipe, planned.jobs[-1])
    assert error.value.remedy.startswith("Write figure: lift")
    page = place.page.read_text("utf-8")
    assert str(folder) not in page


@pytest.mark.parametrize("name", ["charts/scores.svg", "charts/scores.png", "manifest.json"])
def test_figures_beside_a_page_prove_themselves_too(name, folder):
    write_jsonl(Path("tuned.jsonl"), [{"id": row["id"], "text": text} for row, text in zip(ROWS, answers(0.8, 2), strict=True)])
    report, _ = score("base=base.jsonl", "tuned=tuned.jsonl")
    recompute_page.verify(report.page)
    file = report.path / name
    old, new = {"manifest.json": (b'"claims": 1', b'"claims": 2')}.get(name, (b"0", b"1"))
    assert old in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(old, new, 1))
    with pytest.raises(ProofError, match="was altered"):
        recompute_page.verify(report.page)


def test_tasks_on_the_rows_of_one_file_are_pooled_as_one(folder):
    """Two prompts over one file: the interval of the mean is that of either, and over another file it is narrower."""
    write_jsonl(Path("tuned.jsonl"), [{"id": row["id"], "text": text} for row, text in zip(ROWS, answers(0.8, 2), strict=True)])
    write_jsonl(Path("other.jsonl"), [{**row, "prompt": f"{row['prompt']} Again?"} for row in ROWS])
    for second, is_shared in (("test.jsonl", True), ("other.jsonl", False)):
        tasks = [{"name": name, "data": {"test": file}, "metrics": ["accuracy"]} for name, file in (("one", "test.jsonl"), ("two", second))]
        for name in ("one", "two"):
            for arm in ("base", "tuned"):
                Path(f"{arm}-{name}.jsonl").write_text(Path(f"{arm}.jsonl").read_text("utf-8"), "utf-8")
        variants = [{"name": "mine", "predictions": "tuned-{task}.jsonl"}]
        body = {"name": "both", "base": "base", "tasks": tasks, "base_predictions": "base-{task}.jsonl", "variants": variants}
        Path("both.yaml").write_text(json.dumps(body | {"compare": {"resamples": 200}}), "utf-8")
        planned = call.parse_call(["both.yaml"], Path(), Machine(), RunOptions(detail="quiet"))
        folder = ReportFolder(call.make_report(planned).path)
        widths = [cell["headline"]["high"] - cell["headline"]["low"] for cell in folder.data()["cells"]]
        together = folder.data()["overview"]
        assert together["high"] - together["low"] == pytest.approx((sum(widths) if is_shared else math.hypot(*widths)) / 2)
        assert recompute_page.verify(folder.page).comparisons == 2


def test_several_names_are_points_and_files_of_one_name_are_seeds(folder):
    for number in range(4):
        write_jsonl(
            Path(f"{number}.jsonl"), [{"id": row["id"], "text": text} for row, text in zip(ROWS, answers(0.8, number), strict=True)]
        )
    _, report = score("base=base.jsonl", "one=0.jsonl", "one=1.jsonl", "one=2.jsonl", "two=3.jsonl")
    one, two = report["cells"]
    assert (one["point"], one["seeds"], two["point"], two["seeds"]) == ({"variant": "one"}, [0, 1, 2], {"variant": "two"}, [0])
    assert one["comparisons"][0]["tuned"] == pytest.approx(sum(share(answers(0.8, number)) for number in range(3)) / 3)
    assert [row["arm"] for row in one["predictions"]] == ["base", "one, seed 0", "one, seed 1", "one, seed 2"]
    assert [row["arm"] for row in two["predictions"]] == ["base", "two"]


def test_columns_of_answers_by_file(folder):
    texts = answers(0.8, 2)
    rows = [{"id": row["id"], "prediction": "-", "output": text} for row, text in zip(ROWS, texts, strict=True)]
    write_jsonl(Path("tuned.jsonl"), rows)
    named = ["tuned=output", "base=prediction"]
    for pairing in (pairing_of(["tuned=output"]), pairing_of(named), pairing_of(named, common_rows=True)):
        _, report = score("base=base.jsonl", "tuned=tuned.jsonl", pairing=pairing)
        [one] = report["cells"][0]["comparisons"]
        assert (one["base"], one["tuned"]) == (pytest.approx(share(answers(0.5, 1))), pytest.approx(share(texts)))
    assert [path.name for path in folder.glob("*.yaml")] == ["score-test.yaml"]  # of one comparison
    _, report = score("base=base.jsonl", "tuned=tuned.jsonl", pairing=pairing_of(["prediction"]))
    assert report["cells"][0]["comparisons"][0]["tuned"] == 0
    with pytest.raises(DataError, match=r"base\.jsonl has no column 'response'"):
        score("base=base.jsonl", "tuned=tuned.jsonl", pairing=pairing_of(["base=response", "tuned=output"]))
    with pytest.raises(RecipeError, match=r"pairing\.answers names other, and the predictions are those of base, tuned"):
        score("base=base.jsonl", "tuned=tuned.jsonl", pairing=pairing_of(["other=output"]))
    for wrong in (["output", "prediction"], ["base=a", "base=b"], ["base=a", "output"], ["base="], ["=a"]):
        with pytest.raises(RecipeError, match="does not name one column for each file"):
            pairing_of(wrong)


def test_files_with_the_same_answers_are_called_one_run(folder):
    texts = answers(0.8, 2)
    write_jsonl(Path("a.jsonl"), [{"id": row["id"], "text": text} for row, text in zip(ROWS, texts, strict=True)])
    Path("b.csv").write_text("id,answer\n" + "".join(f"{row['id']},{text}\n" for row, text in zip(ROWS, texts, strict=True)), "utf-8")
    write_jsonl(Path("c.jsonl"), [{"id": row["id"], "text": text} for row, text in zip(ROWS, answers(0.8, 3), strict=True)])
    for other, is_one_run in (("b.csv", True), ("c.jsonl", False)):
        _, report = score("base=base.jsonl", "mine=a.jsonl", f"mine={other}")
        assert any(line.startswith(f"a.jsonl and {other} hold the same answers") for line in report["warnings"]) == is_one_run


def test_a_recommendation_for_all_files_names_variants(folder):
    for name in "ab":
        write_jsonl(Path(f"{name}.jsonl"), [{"id": row["id"], "text": row["completion"]} for row in ROWS])
    _, report = score("base=base.jsonl", "one=a.jsonl", "two=b.jsonl")
    assert report["summary"][0]["text"] == "Use the fine-tuned model for test with every variant."


def test_lists_are_answers_where_targets_are_lists(folder):
    """Elsewhere they are refused (tests/cases/predictions/list_answers.txt): as text they would be wrong without a word."""
    rows = [{"id": row["id"], "prompt": row["prompt"], "completion": json.dumps([row["completion"]])} for row in ROWS]
    write_jsonl(Path("lists.jsonl"), rows)
    write_jsonl(Path("one.jsonl"), [{"id": row["id"], "text": [row["completion"]]} for row in ROWS])
    write_jsonl(Path("none.jsonl"), [{"id": row["id"], "text": []} for row in ROWS])
    _, report = score("base=none.jsonl", "tuned=one.jsonl", data="lists.jsonl", metric="exact_match")
    assert report["cells"][0]["comparisons"][0]["tuned"] == 1.0


@pytest.mark.parametrize(("name", "start"), [("x.eval", "PK"), ("x.json", '{\n  "version": 2,\n  "status": "success"')])
def test_a_log_of_inspect_asks_for_its_library(name, start, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)  # as where it is not installed
    Path(name).write_text(start, "utf-8")
    for arguments, data in (((f"base={name}", "tuned=base.jsonl"), None), (("base=base.jsonl", f"tuned={name}"), "test.jsonl")):
        with pytest.raises(MachineError) as error:
            score(*arguments, data=data)
        assert error.value.problem == f"{name} is a log of Inspect, and inspect_ai is not installed."
        assert error.value.remedy == "Run: pip install 'loralift[inspect]'"


def test_a_file_that_is_missing_leaves_no_recipe_behind(folder):
    with pytest.raises(DataError, match=r"no file of predictions nothing\.jsonl"):
        score("base=base.jsonl", "tuned=nothing.jsonl")
    assert not list(folder.glob("*.yaml"))


def test_rows_that_not_every_file_answers_are_left_out_only_where_that_is_asked_for(folder):
    texts = answers(0.8, 2)
    rows = [{"id": row["id"], "text": text} for row, text in zip(ROWS, texts, strict=True)]
    write_jsonl(Path("tuned.jsonl"), [*rows[:50], rows[3], {"id": "q99", "text": "yes"}])
    with pytest.raises(DataError) as error:
        score("base=base.jsonl", "tuned=tuned.jsonl")
    assert error.value.problem == (
        "tuned.jsonl: 10 test rows without an answer (first: q50, q51, q52), 1 test row with several answers (first: q3), "
        "1 answer to no test row (first: q99); paired by the column id."
    )
    _, report = score("base=base.jsonl", "tuned=tuned.jsonl", pairing={"common_rows": True})
    [cell] = report["cells"]
    assert cell["comparisons"][0]["n"] == 49
    remaining = [number for number in range(50) if number != 3]
    assert cell["comparisons"][0]["tuned"] == pytest.approx(sum(texts[n] == ROWS[n]["completion"] for n in remaining) / 49)
    [warning] = [line for line in report["warnings"] if "common_rows" in line]
    assert "11 of 60 test rows are left out: not answered once by every file" in warning
    assert "1 answer to no test row" in warning
    assert report["setup"]["rows"][0]["test_left_out"]["not answered once by every file"] == 11
    assert cell["predictions"][0]["unused"] == 11


def test_answers_to_rows_that_a_recipe_does_not_draw_are_counted(folder):
    write_jsonl(Path("tuned.jsonl"), [{"id": row["id"], "text": text} for row, text in zip(ROWS, answers(0.8, 2), strict=True)])
    body = {
        "name": "drawn", "base": "mine", "prepare": {"heldout_examples": 20}, "compare": {"resamples": 200},
        "tasks": [{"name": "even", "data": {"test": "test.jsonl"}}],
        "base_predictions": "base.jsonl", "variants": [{"name": "mine", "predictions": "tuned.jsonl"}],
    }  # fmt: skip
    Path("drawn.yaml").write_text(yaml.safe_dump(body), "utf-8")
    _, report = score("drawn.yaml", data=None, metric=None)
    [cell] = report["cells"]
    assert (cell["comparisons"][0]["n"], cell["predictions"][1]["unused"]) == (20, 40)
    assert cell["base"] == "mine"


def test_files_beside_the_recipe_are_taken_and_their_content_is_the_key(folder, monkeypatch):
    write_csv(answers(0.8, 2))
    score("base=base.jsonl", "tuned=tuned.csv")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    jobs = {job.label: job for job in plan(recipes.load(folder / "score-test.yaml"))}
    before = jobs["test--tuned"].params["predictions"]
    assert list(before) == [str(folder / "tuned.csv")]
    (folder / "tuned.csv").write_text((folder / "tuned.csv").read_text("utf-8").replace("yes", "no"), "utf-8")
    with pytest.raises(DataError, match=r"tuned.csv was changed after this run was planned"):
        run(list(jobs.values()), Site(Store(Path("data"), Path("checkpoints")), Machine()), lambda *_: None)
    again = {job.label: job for job in plan(recipes.load(folder / "score-test.yaml"))}
    assert again["test--tuned"].params["predictions"] != before


def test_our_own_predictions_keep_what_they_know(folder):
    _, report = score("base=base.jsonl", f"tuned={write_own(answers(0.8, 2))}")
    [cell] = report["cells"]
    assert [(row["truncated"], row["mean_tokens"]) for row in cell["answers"]] == [(None, None), (0, 1.0)]
    [imported] = [one for one in Store(Path("data"), Path("checkpoints")).all() if one.label == "test--tuned"]
    assert PredictionsFolder(imported.path).predictions()[0].stopped == "eos"


def test_training_rows_give_the_constant_answer_and_are_searched_where_they_are_named(folder):
    write_csv(answers(0.8, 2))
    write_jsonl(
        Path("train.jsonl"),
        [{"prompt": f"Is {number} odd?", "completion": "yes"} for number in range(9)] + [ROWS[0] | {"id": "t"}, ROWS[1]],
    )
    _, report = score("base=base.jsonl", "tuned=tuned.csv", train="train.jsonl")
    assert [line for line in report["warnings"] if "hold 2 exact and 0 near duplicates of 2 of the 60 test prompts" in line]
    body = yaml.safe_load(Path("score-test.yaml").read_text("utf-8"))
    body["tasks"][0]["data"]["train"] = "train.jsonl"
    Path("constant.yaml").write_text(yaml.safe_dump(body | {"name": "constant"}), "utf-8")
    _, report = score("constant.yaml", data=None, metric=None)
    [cell] = report["cells"]
    assert {arm["name"]: arm["score"] for arm in cell["arms"]}["constant"] == 0.5
    assert {row["arm"] for row in cell["absent"]} == {"base_fewshot", "base_constrained"}


def test_a_smoke_test_reads_a_few_rows(folder):
    write_csv(answers(0.8, 2))
    request = ScoreRequest(("base=base.jsonl", "tuned=tuned.csv"), "test.jsonl", metric="accuracy")
    planned = call.parse_call(with_predictions(request, {}), Path(), Machine(), RunOptions(limit=8, detail="quiet"))
    report = ReportFolder(call.make_report(planned).path).data()
    assert report["cells"][0]["comparisons"][0]["n"] == 8
    assert report["preliminary"]["kind"] == "smoke test"


def test_columns_become_prompts_without_a_recipe(folder):
    """Rows in no known format are read by templates; training rows give a constant answer to beat."""
    for name, verb in (("columns.jsonl", "Is"), ("before.jsonl", "Was yesterday, on the way home, the number of the house")):
        rows = [row["prompt"].replace("Is", verb) for row in ROWS]
        write_jsonl(
            Path(name), [{"id": row["id"], "review": text, "verdict": row["completion"]} for row, text in zip(ROWS, rows, strict=True)]
        )
    options = {"prompt": "{review}", "target": "{verdict}", "choices": "no, yes"}
    _, report = score("base=base.jsonl", f"tuned={write_csv(answers(0.8, 2))}", data="columns.jsonl", train="before.jsonl", **options)
    [cell] = report["cells"]
    assert cell["comparisons"][0]["tuned"] == pytest.approx(share(answers(0.8, 2)))
    assert (cell["constraint"], {arm["name"] for arm in cell["arms"]}) == ("choices", {"base", "tuned", "constant"})
    with pytest.raises(DataError) as error:
        score("base=base.jsonl", "tuned=tuned.csv", data="columns.jsonl")
    assert error.value.remedy.endswith("such as prompt: '{review}', target: '{verdict}' (without a recipe --prompt, --target).")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there is neither a recipe nor --data"),
        (("a.yaml", "b.yaml"), "'b.yaml' is a second recipe"),
        (("base=base.jsonl", "tuned=x.jsonl"), "there is neither a recipe nor --data"),
        (("base=gone.jsonl", "tuned=x.jsonl"), "there is no file of predictions gone.jsonl"),
        (("--", "=x.jsonl"), "'=x.jsonl' is not NAME=FILE"),
        (("a.yaml", "base="), "'base=' is not NAME=FILE"),
        (("a.yaml", "tuned=x.jsonl"), "no predictions are called base"),
        (("a.yaml", "base=x.jsonl"), "nothing to compare with base"),
        (("a.yaml", "base=x.jsonl", "base=y.jsonl", "tuned=z.jsonl"), "base has 2 files"),
        (("a.yaml", "base=x.jsonl", "tuned=x.jsonl"), "x.jsonl is named twice"),
    ],
)
def test_the_command_line_says_what_is_missing(arguments, words, folder):
    with pytest.raises(UserError, match=words):
        with_predictions(ScoreRequest(arguments), {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_predictions": None}, "base_predictions is missing: variants has the predictions of mine"),
        ({"variants": []}, "base_predictions has nothing to be compared with"),
        ({"variants": [{"name": "mine", "predictions": "a"}, "trained here"]}, "variants: trained here has no predictions"),
        ({"variants": [{"name": "mine", "predictions": "a", "adapter": "b"}]}, "mine must be one of adapter, adapters, predictions"),
        ({"references": [{"name": "x", "endpoint": "http://x/v1", "model": "m"}]}, "references: no endpoint is asked"),
        ({"tasks": ["boolq", "gsm8k"]}, "base.jsonl would answer 2 tasks"),
        ({"variants": [{"name": "mine", "predictions": []}]}, "predictions"),
        ({"sweep": {"base_predictions": ["a", "b"]}}, "base_predictions cannot be swept"),
    ],
)
def test_a_recipe_of_predictions_is_whole(changes, words, tmp_path):
    body = {"name": "x", "base": "b", "tasks": ["boolq"], "base_predictions": "base.jsonl"}
    body |= {"variants": [{"name": "mine", "predictions": "a.jsonl"}]} | changes
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in body.items() if value is not None}), "utf-8")
    with pytest.raises(RecipeError, match=words):
        recipes.load(path)


CASES = sorted((Path(__file__).parent / "cases" / "predictions").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_bad_files_end_in_one_line(case, folder):
    """Each case holds files (beside four test rows and answers of the base), the file of `tuned`, and options; dashes; the message."""
    text, _, message = case.read_text("utf-8").partition("\n---\n")
    write_jsonl(Path("test.jsonl"), ROWS[:4])
    write_jsonl(Path("base.jsonl"), [{"id": row["id"], "prediction": "yes"} for row in ROWS[:4]])
    body = yaml.safe_load(text)
    for name, content in body.get("files", {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        preparing.write_file(folder / name, content)
    for name, content in body.get("bytes", {}).items():
        (folder / name).write_bytes(bytes.fromhex(content))
    for name, target in body.get("links", {}).items():
        (folder / name).symlink_to(target)
    with pytest.raises(UserError) as error:
        score(
            "base=base.jsonl", f"tuned={body.get('tuned', 'tuned.jsonl')}", pairing=body.get("pairing"), data=body.get("data", "test.jsonl")
        )
    assert "\n" not in error.value.problem
    assert f"{error.value.problem}\n{error.value.remedy}" == message.strip()


def test_there_are_cases():
    assert len(CASES) >= 30


def test_a_column_of_answers_that_is_named_may_equal_the_targets(folder):
    """Not named it is refused (tests/cases/predictions/targets_as_answers.txt); without another column that may hold answers it is none."""
    rows = [{"id": row["id"], "completion": row["completion"], "seconds": n / 7, "model": "m"} for n, row in enumerate(ROWS)]
    write_jsonl(Path("tuned.jsonl"), rows)
    _, report = score("base=base.jsonl", "tuned=tuned.jsonl")
    assert report["cells"][0]["comparisons"][0]["tuned"] == 1.0
    write_jsonl(Path("tuned.jsonl"), [row | {"mine": text} for row, text in zip(rows, answers(0.5, 2), strict=True)])
    with pytest.raises(DataError, match="the answers may be in mine"):
        score("base=base.jsonl", "tuned=tuned.jsonl")
    for column, expected in (("completion", 1.0), ("mine", share(answers(0.5, 2)))):
        _, report = score("base=base.jsonl", "tuned=tuned.jsonl", pairing=pairing_of([f"tuned={column}"]))
        assert report["cells"][0]["comparisons"][0]["tuned"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("own", "test", "expected"),
    [
        ("What is 2+2?", "What is 2+2?", True),
        ("<user>\nWhat is  2+2?</user>", "What is 2+2?", True),
        ("What is", "What is 2+2?", True),
        ("What is 3+2?", "What is 2+2?", False),
        ("Was ist 2+2?", "What is 2+2?", False),
        ("", "What is 2+2?", True),
        (None, 3, True),
        ("nan", None, True),
        ("3.0", 3, True),
        (0.10000000149, 0.1, True),
        ("3", 4, False),
        ("True", True, True),
        ("['b', 'a']", ["a", "b"], True),
        ("['b', 'c']", ["a", "b"], False),
        ("c++", "...", False),
    ],
)
def test_a_column_of_both_may_be_written_in_another_form(own, test, expected):
    assert copied_columns.may_be_same(own, test) == expected


def test_rendered_prompts_pair_by_id(folder):
    texts = answers(0.8, 2)
    rows = [{"id": row["id"], "prompt": f"<|user|>{row['prompt']}\n", "pred": text} for row, text in zip(ROWS, texts, strict=True)]
    write_jsonl(Path("tuned.jsonl"), rows[::-1])
    _, report = score("base=base.jsonl", "tuned=tuned.jsonl")
    assert report["cells"][0]["comparisons"][0]["tuned"] == pytest.approx(share(texts))
