"""The published numbers: every figure that is printed, computed a second time from the file and held against the reference."""

import csv
import gzip
import io
import json
from collections import Counter

import pytest
from rich.console import Console

from pipeline.errors import RecipeError
from pipeline.lora_land import headlines, published
from pipeline.lora_land import view as views_published
from pipeline.lora_land.published import learned_nothing
from tests import ROOT
from tests.tiny import SHARED

# base, tuned (at least base), lift (none below 0), tuned - GPT-4 (at least base), beats base, tuned, strictly beats GPT-4
BASES = {
    "gemma-2b": (".145", ".657", ".512", "-.004", 31, ".657", 18),
    "gemma-2b-instruct": (".326", ".645", ".319", "-.016", 30, ".644", 17),
    "gemma-7b": (".187", ".645", ".458", "-.016", 29, ".644", 16),
    "gemma-7b-instruct": (".377", ".656", ".279", "-.005", 26, ".629", 18),
    "phi-2": (".274", ".677", ".403", ".016", 31, ".677", 20),
    "llama-2-7b": (".252", ".696", ".444", ".035", 30, ".695", 19),
    "llama-2-7b-chat": (".370", ".708", ".337", ".047", 31, ".708", 20),
    "mistral-7b": (".271", ".732", ".461", ".071", 31, ".732", 23),
    "mistral-7b-instruct": (".462", ".724", ".263", ".063", 31, ".724", 21),
    "zephyr-7b-beta": (".350", ".742", ".392", ".081", 31, ".742", 22),
}
# GPT-3.5, GPT-4, mean base, best base, mean tuned, best tuned
TASKS = {
    "bc5cdr": (0.732, 0.890, 0.219, 0.703, 0.965, 0.972, ("mistral-7b",)),
    "conllpp": (0.810, 0.742, 0.216, 0.733, 0.979, 0.989, ("gemma-7b", "gemma-7b-instruct")),
    "magicoder": (0.683, 0.829, 0.067, 0.201, 0.264, 0.433, ("gemma-7b",)),
    "glue_stsb": (0.857, 0.773, 0.628, 0.814, 0.881, 0.913, ("mistral-7b",)),
    "arc_combined": (0.926, 0.947, 0.411, 0.673, 0.731, 0.915, ("phi-2", "mistral-7b")),
    "reuters": (0.026, 0.014, 0.006, 0.010, 0.434, 0.479, ("zephyr-7b-beta",)),
    "gsm8k": (0.622, 0.373, 0.133, 0.364, 0.419, 0.569, ("gemma-7b",)),
}
HEADLINES = {
    "lift over the base": "+38.4", "none below 0": "+38.7", "median lift": "+36.3", "median task": "+33.6",
    "fine-tuned > base": "301", "fine-tuned < base": "9", "best over GPT-4": "+9.5",
    "mean over GPT-4": "+2.4", "none below base": "+2.7", "fine-tuned > GPT-4": "194", "GPT-4 ahead of all": "6",
    "GPT-3.5 ahead of all": "1", "best > GPT-4": "24", "7B over 2B": "28", "plain bases": ".683", "instructed bases": ".692",
}  # fmt: skip
HOW = {
    "best over GPT-4": ".756 - .661", "fine-tuned > GPT-4": "10 ties", "best > GPT-4": "1 tie",
    "GPT-3.5 ahead of all": "gsm8k",
    "plain bases": "before: .214", "instructed bases": "before: .360",
}  # fmt: skip
LABELS = {
    "glue_sst2": ("validation", lambda row: str(row["label"])),
    "glue_cola": ("validation", lambda row: str(row["label"])),
    "glue_mrpc": ("validation", lambda row: str(row["label"])),
    "glue_wnli": ("validation", lambda row: str(row["label"])),
    "boolq": ("validation", lambda row: "yes" if row["answer"] else "no"),
    "winogrande": ("validation", lambda row: row["answer"]),
}


@pytest.fixture(scope="module")
def rows():
    """The file, read by plain code: (task, model) to (score, lift or None)."""
    with (ROOT / "data/published/lora_land.csv").open() as file:
        csv_rows = list(csv.DictReader(file))
    return {(row["task"], row["model"]): (float(row["score"]), float(row["lift"]) if row["lift"] else None) for row in csv_rows}


def seen(what):
    out = Console(width=80, file=io.StringIO())
    views_published.show(out, what)
    return out.file.getvalue()


# The table


def test_all_cells_are_there(rows):
    assert len(rows) == 372
    assert (len(published.tasks()), len(published.models())) == (31, 10)
    assert sum(score.lift is None for task in published.tasks() for score in published.row(task).values()) == 62
    for (task, model), (score, lift) in rows.items():
        assert (published.cell(task, model).score, published.cell(task, model).lift) == (score, lift)


@pytest.mark.skipif(not (SHARED / "reference").is_dir(), reason="the reference is not here")
def test_the_table_is_the_references():
    assert (ROOT / "data/published/lora_land.csv").read_bytes() == (SHARED / "reference/lora_land_table.csv").read_bytes()


def test_scores_are_whole_numbers_of_answers():
    counted = [task for task in published.tasks() if published.cell(task, "phi-2").n < 200 or task in ("glue_mrpc", "glue_sst2")]
    assert counted == ["magicoder", "customer_support", "glue_mrpc", "glue_sst2", "glue_wnli"]
    for task in counted:
        for cell in published.row(task).values():
            for score in filter(None, (cell.score, cell.base)):
                assert score == pytest.approx(round(score * cell.n) / cell.n, abs=5.1e-4), cell


def test_rows_scored():
    by_task = {task: published.cell(task, "gpt-4").rows for task in published.tasks()}
    assert {task: scored.n for task, scored in by_task.items() if scored.n != 1000} == {
        "tldr_content_gen": 794, "tldr_headline_gen": 794, "magicoder": 164, "customer_support": 100,
        "glue_mrpc": 408, "glue_sst2": 872, "glue_wnli": 71,
    }  # fmt: skip
    assert [task for task, scored in by_task.items() if not scored.is_certain] == ["customer_support"]
    assert Counter(scored.evidence for scored in by_task.values()) == {"rule": 23, "scores": 7, "guess": 1}
    assert (by_task["arc_combined"].subset, by_task["glue_mnli"].split) == ("ARC-Easy", "validation_matched")


def test_sizes_of_splits_follow_the_rule():
    for row in published.read("rows.csv"):
        if row["evidence"] != "guess":
            assert int(row["rows"]) == min(1000, int(row["split_rows"])), row


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda: published.cell("glue_wnly", "phi-2"), "glue_wnli"),
        (lambda: published.cell("boolq", "phi2"), "phi-2"),
        (lambda: published.gpt("bolq"), "boolq"),
        (lambda: headlines.of_model("zephyr-7b"), "zephyr-7b-beta"),
        (lambda: seen("mistral-7"), "mistral-7b"),
        (lambda: seen("gsmk8"), "gsm8k"),
    ],
)
def test_unknown_names(call, near):
    with pytest.raises(RecipeError) as error:
        call()
    assert f"'{near}'" in error.value.remedy


# Figures


@pytest.mark.parametrize("model", BASES)
def test_averages_of_bases(model, rows):
    averages, (base, floored, lift, over, beats, raw, strict) = headlines.of_model(model), BASES[model]
    gpt4 = sum(score for (_, name), (score, _) in rows.items() if name == "gpt-4") / 31
    assert (averages.beats_base, averages.beats_gpt4) == (beats, strict)
    figures = (averages.base, averages.tuned_floored, averages.lift_floored, averages.tuned_floored - gpt4, averages.tuned)
    for figure, expected in zip(figures, (base, floored, lift, over, raw), strict=True):
        assert figure == pytest.approx(float(expected), abs=0.00051)
    own = [(score, change) for (_, name), (score, change) in rows.items() if name == model]
    assert averages.lift == pytest.approx(sum(change for _, change in own) / 31)
    assert averages.tuned == pytest.approx(sum(score for score, _ in own) / 31)
    assert averages.over_gpt4 == pytest.approx(averages.tuned - gpt4)


def test_best_of_a_task(rows):
    winners = Counter()
    for task in published.tasks():
        scores = {model: score for (name, model), (score, _) in rows.items() if name == task and model != "gpt-3.5-turbo"}
        best = [model for model in scores if scores[model] == max(scores.values())]
        winners.update(best if len(best) == 1 else [])
    assert winners.pop("gpt-4") == 6
    assert winners == {model: n for model in published.models() if (n := headlines.of_model(model).best_of_task)}
    assert sum(winners.values()) == 23


@pytest.mark.parametrize("task", TASKS)
def test_figures_of_tasks_as_in_the_reference(task):
    task_figures, expected = headlines.of_task(task), TASKS[task]
    figures = (
        task_figures.gpt35,
        task_figures.gpt4,
        task_figures.mean_base,
        task_figures.best_base,
        task_figures.mean_tuned,
        task_figures.best_tuned,
    )
    assert figures == pytest.approx(expected[:-1], abs=0.00051)
    assert task_figures.best_models == expected[-1]


def test_figures_of_all_tasks_again(rows):
    for task in published.tasks():
        own = [cell for (name, model), cell in rows.items() if name == task and not model.startswith("gpt")]
        task_figures = headlines.of_task(task)
        assert task_figures.mean_lift == pytest.approx(sum(lift for _, lift in own) / 10)
        assert task_figures.mean_base == pytest.approx(sum(score - lift for score, lift in own) / 10)
        assert task_figures.best_base == pytest.approx(max(score - lift for score, lift in own))
        assert (task_figures.gpt35, task_figures.gpt4) == (rows[task, "gpt-3.5-turbo"][0], rows[task, "gpt-4"][0])


def test_headlines_are_the_references():
    by_name = {row.name.strip(): row for row in headlines.headlines()}
    assert {name: row.ours for name, row in by_name.items()} == HEADLINES
    assert [name for name, part in HOW.items() if part not in by_name[name].how] == []
    claims = {"lift over the base": "+34", "fine-tuned > GPT-4": "224", "best over GPT-4": "+10", "7B over 2B": "29"}
    assert {name: by_name[name].claim for name in claims} == claims


def test_headlines_again(rows):
    lifts = sorted(lift for _, lift in rows.values() if lift is not None)
    floored = [max(0, lift) for lift in lifts]
    gaps = [round(score - rows[task, "gpt-4"][0], 3) for (task, _), (score, lift) in rows.items() if lift is not None]
    best = [max(gaps[start : start + 10]) for start in range(0, 310, 10)]
    gpt35 = [score for (_, model), (score, _) in rows.items() if model == "gpt-3.5-turbo"]
    rest = [
        [score for (name, m), (score, _) in rows.items() if (name, m) != (task, "gpt-3.5-turbo") and name == task]
        for task in published.tasks()
    ]
    medians = sorted(headlines.of_task(task).mean_lift for task in published.tasks())
    again = {
        "lift over the base": f"{100 * sum(lifts) / 310:+.1f}", "none below 0": f"{100 * sum(floored) / 310:+.1f}",
        "median lift": f"{50 * (lifts[154] + lifts[155]):+.1f}", "median task": f"{100 * medians[15]:+.1f}",
        "fine-tuned > base": str(310 - sum(lift <= 0 for lift in lifts)), "fine-tuned < base": str(sum(lift < 0 for lift in lifts)),
        "best over GPT-4": f"{100 * sum(best) / 31:+.1f}", "mean over GPT-4": f"{100 * sum(gaps) / 310:+.1f}",
        "fine-tuned > GPT-4": str(sum(gap > 0 for gap in gaps)), "GPT-4 ahead of all": str(sum(gap < 0 for gap in best)),
        "best > GPT-4": str(sum(gap > 0 for gap in best)),
        "GPT-3.5 ahead of all": str(sum(older > max(others) for older, others in zip(gpt35, rest, strict=True))),
    }  # fmt: skip
    printed_figures = {row.name.strip(): row.ours for row in headlines.headlines()}
    assert again == {name: printed_figures[name] for name in again}


def test_categories_and_gpt():
    gaps = {name: round(100 * gap, 1) for name, gap in headlines.categories().items()}
    assert gaps == {"Classic NLP": 13.8, "Coding": -20.3, "Knowledge": 10.6, "Reasoning": 10.3, "Math": 19.6}
    assert headlines.gpt_means() == pytest.approx((0.599, 0.661), abs=0.0005)


# Learned nothing


def test_cells_that_learned_nothing():
    marked = {(cell.task, cell.model, arm) for cell, arm, _ in published.all_constant_marks()}
    assert {(task, model) for task, model, arm in marked if arm == "tuned"} == {
        *(("glue_wnli", f"gemma-{size}") for size in ("2b", "2b-instruct", "7b", "7b-instruct")),
        *(("winogrande", model) for model in ("gemma-2b", "gemma-7b", "gemma-7b-instruct", "llama-2-7b")),
        *(("hellaswag", model) for model in ("gemma-2b-instruct", "gemma-7b", "gemma-7b-instruct")),
        *(("glue_cola", model) for model in ("gemma-7b", "gemma-7b-instruct")),
        ("glue_mrpc", "gemma-7b-instruct"), ("arc_combined", "gemma-7b"),
    }  # fmt: skip
    assert all(constant.rows == cell.n for cell, _, constant in published.all_constant_marks())
    assert Counter(task for task, _, arm in marked if arm == "base") == {"glue_wnli": 7, "glue_cola": 3, "glue_mrpc": 1, "arc_combined": 1}


@pytest.mark.parametrize(
    ("score", "answer"), [(0.69149, "yes"), (0.6906, "yes"), (0.6904, None), (0.692, None), (0.309, "no"), (0.5, None)]
)
def test_learned_nothing_to_three_digits(score, answer):
    constant = learned_nothing(score, 1000, {"yes": 0.691, "no": 0.309})
    assert (constant and constant.answer) == answer
    assert constant is None or constant.rows == 1000


def test_a_row_more_of_71_is_something():
    shares = {"0": 40 / 71, "1": 31 / 71}
    assert [bool(learned_nothing(right / 71, 71, shares)) for right in (39, 40, 41, 31)] == [False, True, False, True]


def shares_of(answers):
    """The share of each answer, to three digits as in the file."""
    return {answer: round(count / len(answers), 3) for answer, count in Counter(answers).items()}


@pytest.mark.parametrize("task", LABELS)
def test_constants_of_real_rows(task):
    split, label = LABELS[task]
    rows = real(task, split)
    constants = {constant.answer: constant.score for constant in published.constants(task)}
    assert shares_of([label(row) for row in rows]) == constants
    assert {constant.rows for constant in published.constants(task)} == {len(rows)}


def test_constants_of_arc_and_stsb():
    rows = real("arc_easy", "test")
    places = [("first", "second", "third", "fourth", "fifth")[row["choices"]["label"].index(row["answerKey"])] + " option" for row in rows]
    shares = shares_of(places) | shares_of([row["answerKey"] for row in rows])
    constants = {constant.answer: constant.score for constant in published.constants("arc_combined")}
    assert {answer: shares[answer] for answer in constants} == constants
    likeness = [row["label"] for row in real("glue_stsb", "validation")]
    scores = {tenth / 10: 1 - sum(abs(label - tenth / 10) for label in likeness) / 5 / len(likeness) for tenth in range(51)}
    ((answer, score),) = [(constant.answer, constant.score) for constant in published.constants("glue_stsb")]
    assert (float(answer), score) == (max(scores, key=scores.get), round(max(scores.values()), 3))


def real(task, split):
    path = SHARED / "data" / task / f"{split}.jsonl.gz"
    if not path.is_file():
        pytest.skip("the real data is not here")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file][:1000]


# Beside our own figures


def test_beside_a_base_of_the_paper():
    comparison = published.comparison_with("glue_wnli", "gemma-2b-instruct")
    assert (comparison["paper_base"], comparison["paper_tuned"], comparison["paper_lift"]) == (0.437, 0.563, 0.126)
    assert (comparison["gpt35"], comparison["gpt4"], comparison["n"]) == (0.521, 0.930, 71)
    assert comparison["constant"] == {"answer": "0", "score": 0.563, "rows": 71}
    assert comparison["marks"] == {"base": "1", "tuned": "0"}
    assert "2405.00732" in comparison["source"]
    assert json.loads(json.dumps(comparison)) == comparison


def test_beside_another_base_or_task():
    comparison = published.comparison_with("gsm8k", None)
    assert (comparison["paper_tuned"], comparison["marks"], comparison["constant"], comparison["gpt4"]) == (None, {}, None, 0.373)
    assert published.comparison_with("gsm8k", "qwen2.5-1.5b") == comparison
    assert published.comparison_with("shop_sentiment", "mistral-7b") is None


# The views


@pytest.mark.parametrize("what", [None, *published.tasks(), *published.models(), *published.GPT])
def test_views_fit_80_columns(what):
    lines = seen(what).splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]


def printed(score):
    return "1.00" if score > 0.9995 else f"{score:.3f}"[1:]


def line_of(text, name):
    """The words of the line that begins with this name, which must be alone."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return line.removeprefix(name).split()


def test_the_view_of_everything(rows):
    overview, bases, headline_lines, marks = seen(None).lstrip().split("\n\n")
    for task in published.tasks():
        own = {model: cell for (name, model), cell in rows.items() if name == task}
        tuned = [cell for cell in own.values() if cell[1] is not None]
        scores = [own["gpt-3.5-turbo"][0], own["gpt-4"][0], max(score - lift for score, lift in tuned), max(score for score, _ in tuned)]
        words = line_of(overview, task)
        assert words[2:6] == [printed(score) for score in scores]
        assert float(words[-1]) == pytest.approx(10 * sum(lift for _, lift in tuned), abs=0.0501)  # one mean ends in 5
    assert line_of(overview, "mean") == [".599", ".661", ".506", ".756", "+38.4"]
    assert line_of(overview, "glue_mrpc") == ["acc.", "408", ".689", ".777", ".694", ".887", "mistral-7b", "+20.2"]
    assert line_of(bases, "gemma-7b-instruct") == [".377", ".629", "+25.2", "+27.9", "-3.2", "26", "18", "1"]
    for row in headlines.headlines():
        assert line_of(headline_lines, row.name) == [*row.ours.split(), *row.claim.split(), *row.how.split()]
    assert "Classic NLP +13.8, Coding -20.3, Knowledge +10.6, Reasoning +10.3, Math +19.6 points" in " ".join(headline_lines.split())
    assert "15 fine-tuned and 12 base" in marks
    assert "glue_cola, fine-tuned, .691 (always 1): gemma-7b, gemma-7b-instruct\n" in marks


def test_a_line_for_every_task():
    table = seen(None).split("─\n")[1].split("\nmean ")[0].rstrip().splitlines()
    assert [line.split()[0] for line in table] == published.tasks()
    assert (table[1].split()[-3:-1], table[18].split()[-3:-1]) == (["2", "tie"], ["phi-2,", "mistral-7b"])


@pytest.mark.parametrize("task", ["winogrande", "customer_support", "glue_wnli"])
def test_the_view_of_a_task(task, rows):
    text, gpt4 = seen(task), rows[task, "gpt-4"][0]
    for model in published.models():
        score, lift = rows[task, model]
        gap = f"{100 * round(score - gpt4, 3):+.1f}"
        assert line_of(text, model)[:4] == [printed(score - lift), printed(score), f"{100 * lift:+.1f}", gap]
    mean = headlines.of_task(task)
    gap = f"{100 * (mean.mean_tuned - gpt4):+.1f}"
    figures = [printed(mean.mean_base), printed(mean.mean_tuned), f"{100 * mean.mean_lift:+.1f}", gap]
    assert line_of(text, "mean of ten") == figures
    assert line_of(text, "gpt-4") == [printed(gpt4)]


@pytest.mark.parametrize("model", ["gemma-7b", "gemma-7b-instruct"])
def test_the_view_of_a_model(model, rows):
    text = seen(model)
    for task in published.tasks():
        score, lift = rows[task, model]
        figures = [printed(score - lift), printed(score), f"{100 * lift:+.1f}", printed(rows[task, "gpt-4"][0])]
        assert line_of(text, task)[2 : 2 + len(figures)] == figures


def test_the_view_of_a_model_that_nobody_tuned(rows):
    text = seen("gpt-3.5-turbo")
    for task in published.tasks():
        best = max(rows[task, model][0] for model in published.models())
        assert line_of(text, task)[2:] == [printed(rows[task, "gpt-3.5-turbo"][0]), printed(best)]
    assert "base" not in text.splitlines()[1]


def test_gpt_stands_under_base():
    header, line = (next(line for line in seen("boolq").splitlines() if line.startswith(word)) for word in ("model", "gpt-4"))
    assert len(line.rstrip()) == header.index("base") + 4


def test_what_is_said_below_the_tables():
    text = " ".join(seen("gemma-7b-instruct").split())
    assert "Mean .377 -> .629, lift +25.2 points (+27.9 with negative lifts as 0), -3.2 over GPT-4;" in text
    assert "above its base in 26 of 31, above GPT-4 in 18, the best in 1 (GPT-3.5 apart)." in text
    assert "scores: 2 .507, 1 .493." in " ".join(seen("winogrande").split())
    assert "is not known" in seen("gsm8k")
    assert line_of(seen("winogrande"), "gemma-7b")[4:] == ["fine-tuned", "(1)"]
    assert line_of(seen("gemma-7b"), "winogrande")[6:] == ["fine-tuned", "(1)"]
