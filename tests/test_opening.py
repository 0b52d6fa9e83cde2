"""The first sentence of page, report.md and terminal: counts and the mean effect of many tasks, and of a sweep how much is enough."""

import html
import io
import json
import math
import random
import re
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

import pytest
from rich.console import Console

from pipeline.commands import report_table
from pipeline.measures import overview
from pipeline.page import opening_section, render
from pipeline.scoring import stats
from tests import report_answers
from tests.report_inputs import Chartless, Inputs, placeholder_charts

Row = dict[str, Any]
TASKS = [f"team{number}" for number in range(7)]
DATA = {"data": {"train": "a.jsonl", "heldout": "b.jsonl"}, "prompt": "{text}", "target": "{team}", "metrics": ["accuracy"]}


def first_words(report: Row) -> dict[str, str]:
    """By surface, how its text begins after the title, with all white space folded."""
    console = Console(width=80, file=io.StringIO())
    console.print(report_table.summary(report))
    page = render.page(report, {}, placeholder_charts(report)).partition('<p class="summary">')[2].partition("</p>")[0]
    texts = {
        "page": html.unescape(re.sub(r"&nbsp;<a[^>]*>\d</a>|<[^>]+>", "", page)).replace("−", "-"),
        "report.md": render.markdown(report).partition("\n\n")[2].replace("\\", ""),
        "terminal": console.file.getvalue().partition(report["title"])[2],
    }
    return {surface: " ".join(text.split()) for surface, text in texts.items()}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Chartless:
    tasks = [{"name": name, **DATA} for name in TASKS]
    return Chartless(Inputs(tmp_path_factory.mktemp("many"), {"tasks": tasks}, n=30))


def headline(effect: float, low: float | None, high: float | None, verdict: str, kind: str = "training effect") -> Row:
    return {"effect": effect, "low": low, "high": high, "verdict": verdict, "kind": kind, "seed_errors": None}


def test_many_tasks_are_counted_with_their_mean(many: Chartless) -> None:
    report = many.json
    together, headlines = report["overview"], [cell["headline"] for cell in report["cells"]]
    assert together["mean"] == pytest.approx(fmean(row["effect"] for row in headlines))
    words = [row["verdict"] for row in headlines]
    assert together["verdicts"] == {word: words.count(word) for word in ("improved", "worse", "inconclusive")}
    counts = together["verdicts"].values()
    assert sum(counts) == together["tasks"] == 7
    improved, worse, inconclusive = counts
    expected = (
        f"Improved on {improved} of 7 tasks, worse on {worse}, inconclusive on {inconclusive}; mean lift over the 7 tasks: "
        f"{together['mean']:+.2f} [{together['low']:.2f}, {together['high']:.2f}] (every task counts once, by its own metric)."
    )
    for surface, text in first_words(report).items():
        assert text.startswith(expected), (surface, text[:300])


def test_many_tasks_come_by_effect_everywhere(many: Chartless) -> None:
    report = json.loads(json.dumps(many.json))
    ranked = [f"team{number}" for number in (3, 0, 6, 2, 5, 1, 4)]
    for cell in report["cells"]:
        cell["headline"]["effect"] = 0.9 - ranked.index(cell["task"]) / 10
    page = render.page(report, {}, placeholder_charts(report))
    table = page.partition('aria-label="What to use for every task"')[2].partition("</table>")[0]
    assert re.findall(r'<a href="#cell\d+">([^<]+)</a>', table) == ranked
    assert re.findall(r"^\| (\w+) \|", render.markdown(report).partition("|--:|\n")[2].partition("\n\n")[0], re.M) == ranked
    assert [str(cell) for cell in report_table.verdict_table(report).columns[0].cells] == ranked


def test_the_mean_of_31_planted_effects_is_covered_by_its_interval() -> None:
    """19 of 20 times, where the tasks' errors are those of their intervals."""
    draw = random.Random(7)
    truths = [draw.uniform(-0.1, 0.4) for _ in range(31)]
    errors = [draw.uniform(0.005, 0.05) for _ in range(31)]
    hits = 0
    for _ in range(2000):
        rows = []
        for truth, error in zip(truths, errors, strict=True):
            seen = draw.gauss(truth, error)
            rows.append(headline(seen, seen - 1.96 * error, seen + 1.96 * error, "improved"))
        together = overview.overview(rows, 0.95)
        hits += together["low"] <= fmean(truths) <= together["high"]
    assert 0.935 < hits / 2000 < 0.965


def test_without_an_interval_of_every_task_the_mean_has_none() -> None:
    together = overview.overview([headline(0.1, 0.0, 0.2, "inconclusive"), headline(0.3, None, None, "improved", "lift")], 0.95)
    assert (together["mean"], together["low"], together["kind"]) == (pytest.approx(0.2), None, "training effect")


def swept(tmp_path: Path, texts: dict[int, dict[str, str]], values: tuple[Any, ...] = (4, 8, 16), **inputs: Any) -> Row:
    recipe = {"tasks": ["boolq"], "sweep": {inputs.pop("key", "finetune.rank"): list(values)}}
    return Chartless(Inputs(tmp_path, recipe, texts=texts, **inputs)).json


def right_on(n: int, share: float) -> dict[int, dict[str, str]]:
    """The same answers at every point of a sweep, right on this share of the examples."""
    examples = report_answers.examples("boolq", n)
    wrong = {row.target: next(choice for choice in report_answers.CHOICES if choice != row.target) for row in examples}
    return {number: {"tuned": row.target if number % 10 < 10 * share else wrong[row.target]} for number, row in enumerate(examples)}


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("finetune.rank", (4, 8, 16), "Rank 4 is enough, {} for boolq: score at 4 minus score at 16 0.000 [-0.0"),
        ("prepare.train_examples", (10, 20), "10 training examples are enough, {} for boolq: score at 10 minus score at 20 0.000"),
    ],
)
def test_a_sweep_says_first_how_much_is_enough(tmp_path: Path, key: str, values: tuple[int, ...], words: str) -> None:
    report = swept(tmp_path, right_on(300, 0.9), values, key=key, n=300)
    assert report["summary"][0]["evidence"] == ["#enough0"]
    for surface, text in first_words(report).items():
        assert text.startswith(words.format("the least that was tried,")), (surface, text[:300])
        assert ", margin 0.02. Use the fine-tuned model for boolq at every point" in text, (surface, text[:300])


def test_a_sweep_says_first_that_less_is_not_enough_or_cannot_be_told(tmp_path: Path) -> None:
    """The invented answers gain with the rank, by much or by little."""
    much = swept(tmp_path / "much", {}, (2, 32), n=200, gain=0.3)
    words = "A rank below 32 is not enough for boolq: score at 2 minus score at 32 -0."
    for surface, text in first_words(much).items():
        assert text.startswith(words), (surface, text[:300])
    little = swept(tmp_path / "little", {}, (15, 16), n=30)
    for surface, text in first_words(little).items():
        assert text.startswith("It cannot be told whether a rank below 16 is enough for boolq: score at 15 minus score at 16 "), (
            surface,
            text,
        )


def line(task: str, smallest: int | None, high: float, reason: str | None = None) -> Row:
    points = [
        {"value": value, "tuned": 0.5, "against_best": {"difference": high - 0.01, "low": high - 0.02, "high": high}} for value in (4, 16)
    ]
    row = {
        "task": task,
        "axis": "finetune.rank",
        "point": {},
        "values": [4, 16],
        "margin": 0.02,
        "smallest": smallest,
        "best": 16,
        "reason": reason,
    }
    return row | {"points": [] if reason else points, "why": "its points were not tried on the same held-out examples" if reason else ""}


def test_what_cannot_be_compared_says_why() -> None:
    (sentence,) = opening_section.section([], None, [line("a", None, 0.0, "different examples")])
    assert sentence["text"] == (
        "It cannot be told whether a rank below 16 is enough for a: its points were not tried on the same held-out examples."
    )


def test_many_tasks_of_a_sweep_are_counted() -> None:
    lines = [
        line("a", 4, 0.0),
        line("b", 4, 0.0),
        line("c", None, -0.05),
        *(line(name, None, 0.0) for name in "def"),
        line("g", None, 0.0, "different examples"),
    ]
    (sentence,) = opening_section.section([], None, lines)
    assert sentence["text"] == "A rank below 16 is enough on 2 of 7 tasks, not enough on 1, and on 4 it cannot be told (margin 0.02)."
    assert sentence["evidence"] == [f"#enough{number}" for number in range(7)]


def test_the_pooled_claim_is_a_z_test_beside_the_family() -> None:
    """Worked by hand: errors 0.01 and 0.02 (widths 3.92 of them), so the mean of 0.03 has sqrt(5)/200 = 0.01118, and z = 2.683."""
    rows = [headline(0.01, 0.01 - 0.0196, 0.01 + 0.0196, "inconclusive"), headline(0.05, 0.05 - 0.0392, 0.05 + 0.0392, "improved")]
    together = overview.overview(rows, 0.95, claims=4, correction="holm")
    z = 0.03 / (5**0.5 / 200)
    assert together["p"] == pytest.approx(math.erfc(z / 2**0.5), rel=1e-3)
    assert together["p_adjusted"] == pytest.approx(5 * together["p"])
    assert together["verdict"] == "improved"
    assert overview.overview(rows, 0.95, claims=9, correction="holm")["verdict"] == "inconclusive"
    assert overview.overview(rows, 0.95, claims=9)["verdict"] == "improved"
    low, high = together["over_tasks"]["low"], together["over_tasks"]["high"]
    assert (low + high) / 2 == pytest.approx(0.03)
    assert (high - low) / 2 == pytest.approx(12.7062 * 0.02, rel=1e-4)  # t(1) at 97.5 %, and sd / sqrt(2) = 0.02


@pytest.mark.parametrize("errors", [None, {"seeds": 2, "examples": 0.01, "between": 0.001, "rest": 0.0}])
def test_tasks_on_one_file_are_no_further_evidence(errors: Row | None) -> None:
    """Four equal tasks on the same examples say what one of them says; on examples of their own their error is half of its."""
    rows = [{**headline(0.03, 0.03 - 0.0196, 0.03 + 0.0196, "improved"), "seed_errors": errors}] * 4
    [one, same, own] = (overview.overview(part, 0.95, sources=of) for part, of in ((rows[:1], ["a"]), (rows, "aaaa"), (rows, "abcd")))
    assert (same["low"], same["high"], same["p"]) == pytest.approx((one["low"], one["high"], one["p"]))
    assert own["high"] - 0.03 == pytest.approx((one["high"] - 0.03) / 2)
    assert own["p"] < one["p"]
    assert overview.overview(rows, 0.95)["p"] == own["p"]


@pytest.mark.parametrize("mean", [0.3, 0.02])
def test_the_pooled_claim_covers_other_seeds(mean: float) -> None:
    """Two tasks of two seeds each: every part has a quantile of its own, of the seeds cot(pi p / 2), also at the level of p."""
    examples, between = (0.01, 0.02), (0.002, 0.004)
    rows = []
    for error, of_seeds in zip(examples, between, strict=True):
        half = math.hypot(1.959964 * error, 12.7062 * of_seeds)
        errors = {"seeds": 2, "examples": error, "between": of_seeds, "rest": 0.0}
        rows.append({**headline(mean, mean - half, mean + half, "improved"), "seed_errors": errors})
    together = overview.overview(rows, 0.95)
    z, t = NormalDist().inv_cdf(1 - together["p"] / 2), 1 / math.tan(math.pi * together["p"] / 2)
    assert math.hypot(*(z * error for error in examples), *(t * of_seeds for of_seeds in between)) / 2 == pytest.approx(mean, rel=1e-4)
    assert (together["p"] <= 0.05) == (together["low"] > 0) == (mean == 0.3)
    without = overview.overview([{**row, "seed_errors": None} for row in rows], 0.95)
    assert (together["p"] > without["p"]) == (mean == 0.3)  # below 5 % the quantile of t grows faster


def test_without_any_error_the_pooled_claim_is_certain() -> None:
    flat = overview.overview([headline(0.1, 0.1, 0.1, "improved"), headline(0.1, 0.1, 0.1, "improved")], 0.95, 2, "holm")
    assert (flat["p"], flat["verdict"]) == (0, "improved")
    none = overview.overview([headline(0.0, 0.0, 0.0, "inconclusive"), headline(0.0, 0.0, 0.0, "inconclusive")], 0.95, 2, "holm")
    assert (none["p"], none["verdict"]) == (1, "inconclusive")


@pytest.mark.parametrize(("spread", "lowest", "highest"), [(0.0, 0.93, 0.975), (0.1, 0.93, 0.97)])
def test_tasks_as_a_random_factor_are_covered(spread: float, lowest: float, highest: float) -> None:
    """Of eight tasks from a population with mean 0.05: the interval covers it 19 of 20 times, and that of these tasks alone does not."""
    draw, hits, fixed_hits = random.Random(11), 0, 0
    for _ in range(2000):
        rows = [headline(seen := draw.gauss(draw.gauss(0.05, spread), 0.02), seen - 0.0392, seen + 0.0392, "improved") for _ in range(8)]
        together = overview.overview(rows, 0.95)
        hits += together["over_tasks"]["low"] <= 0.05 <= together["over_tasks"]["high"]
        fixed_hits += together["low"] <= 0.05 <= together["high"]
    assert lowest < hits / 2000 < highest
    assert (fixed_hits / 2000 < 0.5) == (spread > 0)


def test_the_whole_report_keeps_its_level_with_the_pooled_claim() -> None:
    """Ten tasks without any effect: a false verdict on one of them or on their mean in at most 5 % + 5 % / 11 of the reports."""
    draw, wrong = random.Random(5), 0
    for _ in range(4000):
        effects = [draw.gauss(0, 0.02) for _ in range(10)]
        rows = [headline(seen, seen - 0.0392, seen + 0.0392, "inconclusive") for seen in effects]
        ps = stats.holm([math.erfc(abs(seen) / 0.02 / 2**0.5) for seen in effects])
        pooled = overview.overview(rows, 0.95, claims=10, correction="holm")["verdict"] != "inconclusive"
        wrong += pooled or min(ps) <= 0.05
    assert wrong / 4000 < 0.05 + 0.05 / 11 + 3 * (0.05 * 0.95 / 4000) ** 0.5


def test_a_few_tasks_are_no_sample_of_tasks() -> None:
    """Their interval, t with two degrees of freedom, may exceed what scores allow; different metrics are named."""
    for count, is_sampled in ((4, False), (5, True)):
        rows = [headline(0.1 * place, 0.1 * place - 0.02, 0.1 * place + 0.02, "improved") for place in range(count)]
        for has_metrics in (False, True):
            text = opening_section.pooled(overview.overview(rows, 0.95), has_metrics)
            assert ("random factor" in text) == is_sampled
            assert ("(every task by its own metric)" in text) == has_metrics


def test_every_surface_but_the_terminal_has_the_pooled_claim(many: Chartless) -> None:
    together = many.json["overview"]
    assert together["sentence"].startswith(f"Over the 7 tasks together: {together['verdict']}, mean lift {together['mean']:+.3f} [")
    assert "With tasks as a random factor (exploratory): [" in together["sentence"]
    page = html.unescape(render.page(many.json, {}, placeholder_charts(many.json))).replace("−", "-").replace("\u00a0", " ")
    assert "Over the 7 tasks together" in page
    assert "Over the 7 tasks together" in render.markdown(many.json)


def terminal(report: Row) -> str:
    console = Console(width=80, file=io.StringIO())
    console.print(report_table.summary(report))
    return " ".join(console.file.getvalue().split())


def test_the_terminal_has_the_claim_on_few_tasks_and_the_answers_that_stayed_wrong(tmp_path: Path) -> None:
    """Of graded scores, as of titles, no answer is simply wrong; of one task there is no mean."""
    (tmp_path / "one").mkdir()
    report = Chartless(Inputs(tmp_path, {"tasks": ["boolq", "titles"]})).json
    text = terminal(report)
    churn = report["cells"][0]["examples"]["churn"]
    assert " ".join(report["overview"]["sentence"].split()) in text
    assert f"from wrong to another wrong boolq: {churn['changed']} of {churn['wrong']} answers wrong in both" in text
    assert churn["wrong"] > churn["changed"] > 0
    alone = terminal(Chartless(Inputs(tmp_path / "one", {"tasks": ["titles"]})).json)
    assert "together:" not in alone
    assert "another wrong" not in alone
