"""The report of many arms: every measured figure stands there, sections only where something is, one family of claims."""

import html
import json
import re
import struct
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest
from rich.console import Console

from pipeline import arms
from pipeline.commands import page_file, recompute_page
from pipeline.commands.report_table import PAGE_HINT, summary
from pipeline.machine import Work
from pipeline.page import arms_section, charts_arms, charts_lift, charts_scores, charts_training, fmt, render
from pipeline.scoring import stats
from pipeline.store.artifact import Artifact
from tests import report_answers
from tests.report_folders import Files
from tests.report_inputs import BuiltReport, Chartless, Inputs

ARMS = ("base_fewshot", "base_constrained", "base_constrained_raw", "tuned_constrained", "reference.gpt-x", "shuffled_labels", "constant")
RECIPE = {
    "references": [{"name": "gpt-x", "endpoint": "http://localhost/v1", "model": "gpt", "price": {"input": 2.5, "output": 10.0}}],
    "cost": {"gpu_hour": 1.2},
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    return BuiltReport(Inputs(tmp_path_factory.mktemp("full"), RECIPE, arms=ARMS, measured=True))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    return BuiltReport(Inputs(tmp_path_factory.mktemp("plain"), {}))


def arm(page: BuiltReport, name: str, cell: int = 0) -> dict[str, Any]:
    return next(row for row in page.json["cells"][cell]["arms"] if row["name"] == name)


def test_arms_are_those_of_the_comparison_folder(full: BuiltReport) -> None:
    beside = full.load("cell0000.comparison", "beside.json")["accuracy"]
    counts = full.load("cell0000.comparison", "counts.json")
    assert [row["name"] for row in full.json["cells"][0]["arms"]] == sorted(["base", "tuned", *ARMS], key=arms.sort_key)
    for other in beside["others"]:
        row = arm(full, other["name"])
        assert (row["score"], row["low"], row["high"]) == (other["score"], other["score_low"], other["score_high"])
        assert (row["over_base"], row["tuned_over"]["lift"]) == (other["over_base"], other["lift"])
        assert row["counts"] == counts["others"][other["name"]]
    base, tuned = arm(full, "base"), arm(full, "tuned")
    assert (base["over_base"], tuned["tuned_over"]) == (None, None)
    lift = full.json["cells"][0]["comparisons"][0]["lift"]
    assert base["tuned_over"]["lift"] == tuned["over_base"]["lift"] == lift
    assert [base["low"], arm(full, "tuned")["high"]] == [beside["scores"]["base"][0], beside["scores"]["tuned"][1]]


def test_every_arm_has_its_scores_by_the_other_metrics(tmp_path: Path) -> None:
    """The second metric reads the whole text, so only arms that say nothing but a choice score the same by both."""
    page = Chartless(Inputs(tmp_path, RECIPE, arms=ARMS, two_metrics=True))
    by_metric = page.load("cell0000.comparison", "beside.json")["paper_rouge"]
    examples = page.rows("cell0000.comparison", "examples.jsonl")
    row = page.json["cells"][0]["comparisons"][1]
    for arm_row in page.json["cells"][0]["arms"]:
        other = next((other for other in by_metric["others"] if other["name"] == arm_row["name"]), None)
        low, high = (other["score_low"], other["score_high"]) if other else by_metric["scores"][arm_row["name"]]
        score = other["score"] if other else row[arm_row["name"]]
        assert arm_row["metrics"] == [{"metric": "paper_rouge", "score": score, "low": low, "high": high}]
        answers = [{"base": row["base"], "tuned": row["tuned"][0], **row["others"]}[arm_row["name"]] for row in examples]
        assert score == pytest.approx(mean(rouge(row["target"], answer["text"]) for row, answer in zip(examples, answers, strict=True)))
        assert (score == pytest.approx(arm_row["score"])) == (arm_row["name"] in ("constant", "base_constrained_raw"))
    assert "All arms by the other metrics" in page.html


def rouge(target: str, text: str) -> float:
    """ROUGE-L of a target of one word: it stands in the text or not."""
    words = re.findall("[a-z]+", text.lower())
    return 2 / (1 + len(words)) if target in words else 0.0


def test_measures_of_an_arm_are_its_own(full: BuiltReport) -> None:
    few_shot, none = arm(full, "base_fewshot"), arm(full, "constant")
    for name, file in (("relevance", "relevance.json"), ("hallucination", "hallucination.json")):
        assert few_shot[name] == full.load("cell0000.comparison", file)["arms"]["base_fewshot"]
    latency = full.load("cell0000.speed", "speed.json")["arms"]["base_fewshot"]["latency"]
    assert (few_shot["speed"]["p50"], few_shot["speed"]["max"]) == (pytest.approx(median(latency)), max(latency))
    assert few_shot["speed"]["p95"] is None  # of 16 requests it would be the slowest one
    assert (few_shot["speed"]["overhead"], few_shot["tokens_in"]) == (pytest.approx(2.1), 5 * 79.5)
    assert [none[name] for name in ("relevance", "speed", "tokens_in", "cost")] == [None] * 4
    assert arm(full, "tuned")["lenient"] == full.load("cell0000.comparison", "lenient.json")["tuned"]


def test_a_cell_names_what_one_answer_for_all_scores(full: BuiltReport, plain: BuiltReport) -> None:
    constant = arm(full, "constant")
    assert full.json["cells"][0]["constant_answer"] == {"answer": "yes", "score": constant["score"], "tuned_over": constant["tuned_over"]}
    (best, *_) = plain.load("cell0000.comparison", "beside.json")["accuracy"]["constants"]
    assert plain.json["cells"][0]["constant_answer"] == {**best, "tuned_over": None}
    assert plain.json["cells"][1]["constant_answer"] is None  # free text
    label = arms.find("constant", "choices").label
    assert label == "constant answer"  # one name for tasks with classes and without
    assert f"| boolq | {label} | {fmt.number(constant['score'], 3)} " in full.md


def test_tuned_counts_pool_the_seeds() -> None:
    names = ("n", "unparsed", "truncated", "endless", "empty", "refused", "mean_tokens")
    seeds = [dict(zip(names, counts, strict=True)) for counts in ((10, 1, 2, 3, 4, 5, 4.0), (30, 5, 0, 1, 0, 2, 8.0))]
    assert arms_section.pooled(seeds) == dict(zip(names, (40, 6, 2, 4, 4, 7, 7.0), strict=True))


def test_one_family_of_claims(full: BuiltReport) -> None:
    claims = full.json["claims"]
    assert [claim["kind"] for claim in claims] == ["lift", "training effect", "non-inferiority", "non-inferiority"] * 2
    assert [claim["p_adjusted"] for claim in claims] == pytest.approx(stats.holm([claim["p"] for claim in claims]))
    assert full.json["family"] == full.facts["claims"] == 8
    for cell, claim in zip(full.json["cells"], claims[::4], strict=True):
        primary = cell["comparisons"][0]
        assert (primary["p_adjusted"], primary["verdict"]) == (claim["p_adjusted"], claim["verdict"])
        assert html.escape(fmt.p_value(claim["p_adjusted"])) in full.html
    assert {claim["verdict"] for claim in claims if claim["kind"] == "non-inferiority"} == {"no regression", "regressed", "inconclusive"}
    for cell, claim in zip(full.json["cells"], claims[1::4], strict=True):
        headline = cell["headline"]
        assert (headline["kind"], headline["verdict"], headline["baseline"]) == ("training effect", claim["verdict"], claim["against"])
        assert headline["effect"] == claim["value"] == pytest.approx(headline["tuned"] - headline["baseline_score"])
        untrained = [row["score"] for row in cell["arms"] if row["name"] in ("base", *arms.untrained(), "constant")]
        assert headline["baseline_score"] == pytest.approx(max(untrained))


def test_evidence_leads_somewhere(full: BuiltReport) -> None:
    evidence_leads_somewhere(full)


def evidence_leads_somewhere(full: BuiltReport) -> None:
    """From every sentence, rule and claim to an element of the page."""
    rows = [*full.json["claims"], *full.json["rules"], *(sentence for advice in full.json["advice"] for sentence in advice["sentences"])]
    assert all(f'id="{row["evidence"].removeprefix("#")}"' in full.html for row in rows)
    anchors = {f"#{name}" for name in re.findall(r'id="([^"]+)"', full.html)}
    assert {anchor for sentence in full.json["summary"] for anchor in sentence["evidence"]} <= anchors
    assert " ".join(sentence["text"] for sentence in full.json["summary"]) in full.md


def test_prices_come_from_tokens_and_speed(full: BuiltReport) -> None:
    tuned = arm(full, "tuned")
    hour, speed = 1.2 / 3600, tuned["speed"]
    seconds = tuned["tokens_in"] / speed["prompt_tokens_per_second"] + tuned["counts"]["mean_tokens"] / speed["tokens_per_second"]
    assert tuned["cost"]["request"] == pytest.approx(seconds * hour)
    paid = full.load("cell0000.reference.gpt-x", "manifest.json")["facts"]
    priced = (2.5 * paid["prompt_tokens"] + 10 * paid["completion_tokens"]) / 1e6 / paid["examples"]
    assert arm(full, "reference.gpt-x")["cost"]["request"] == pytest.approx(priced)
    assert fmt.dollars(1000 * priced) in full.html
    assert full.json["cells"][0]["cost"]["training"]["dollars"] == pytest.approx(1.2 * 116 / 3600)


def test_without_prices_requests_are_told_in_seconds(full: BuiltReport) -> None:
    cell = json.loads(json.dumps(full.json["cells"][0]))
    for row in cell["arms"]:
        row["cost"] = row["cost"] and {**row["cost"], "request": None}
    cell["cost"]["arms"] = {row["name"]: row["cost"] for row in cell["arms"] if row["cost"]}
    assert {row["unit"] for row in charts_arms.priced_points(cell)} == {"seconds"}
    timed = {"base", "base_fewshot", "base_constrained", "tuned", "tuned_constrained"}
    as_another = {"shuffled_labels", "base_constrained_raw"}  # as long as tuned, and as its first reading
    assert {row["name"] for row in charts_arms.priced_points(cell)} == {arms.find(name, "choices").label for name in timed | as_another}


def test_sections_stand_only_where_there_is_something(full: BuiltReport, plain: BuiltReport) -> None:
    optional = ("parts", "cost", "forgetting", "references", "sweep", "published")
    assert [name for name in optional if f'<section id="{name}">' in full.html] == ["parts", "cost", "forgetting", "references"]
    assert [name for name in optional if f'<section id="{name}">' in plain.html] == ["parts"]
    for page in (full, plain):
        assert all(f'href="#{name}"' not in page.html for name in optional if f'<section id="{name}">' not in page.html)


class Older(Inputs):
    """Inputs of before there were measures beside the scores."""

    def work(self) -> Work:
        work = super().work()
        for name in ("lenient", "decomposition", "hallucination", "relevance", "forgetting"):
            (work.inputs["cell0000.comparison"] / f"{name}.json").unlink()
        return work


def test_an_older_comparison_is_reported_without_what_it_did_not_measure(tmp_path: Path) -> None:
    page = Chartless(Older(tmp_path, {"tasks": ["boolq"]}, n=12, arms=("base_fewshot",), measured=True))
    (cell,) = page.json["cells"]
    assert [cell[name] for name in ("decomposition", "lenient", "hallucination", "forgetting")] == [None, None, None, []]
    assert {arm[name] for arm in cell["arms"] for name in ("lenient", "relevance", "hallucination")} == {None}
    assert [name for name in ("parts", "forgetting") if f'<section id="{name}">' in page.html] == []


def test_the_page_follows_from_the_answers(full: BuiltReport) -> None:
    """The figures in the inputs are what the product makes of the answers in them, and so is the page."""
    checked = recompute_page.verify(full.work.out / "report.html")
    assert checked.comparisons == 2
    assert {name.rpartition("/")[2] for name in checked.hash_only} == {"adapter_model.safetensors", "examples.jsonl", "dev.jsonl"}


def test_a_missing_arm_says_why(full: BuiltReport, plain: BuiltReport) -> None:
    assert full.json["cells"][0]["absent"] == []
    assert plain.json["cells"][0]["absent"] == [{"arm": "base_constrained", "why": "free text"}]
    assert "Not tested: ranked choices (base) (free text)." in plain.html


def test_suites_stand_with_margin_flips_and_verdict(full: BuiltReport) -> None:
    in_folder = full.load("cell0001.comparison", "forgetting.json")["suites"]
    in_report = full.json["cells"][1]["forgetting"]
    assert [{name: row[name] for name in in_folder[0]} for row in in_report] == in_folder
    line = full.html[full.html.index('<tr id="cell0001-kept-shop_sentiment"') :].partition("</tr>")[0]
    assert all(text in line for text in ("0.610", "0.480", fmt.typeset("-0.13"), fmt.typeset("-0.02"), "regressed", "4, 30"))
    assert "&lt;/script&gt;negative" in full.html
    assert {"other-tasks-loss", "other-tasks-task", "arms1", "cost0"} <= {path.stem for path in (full.work.out / "charts").iterdir()}


def test_slot_errors_have_a_table(tmp_path: Path) -> None:
    page = Chartless(Inputs(tmp_path, {"tasks": ["shop_notice"]}, n=12, arms=("base_fewshot",), measured=True))
    assert page.json["cells"][0]["hallucination"] == "slots"
    assert "Slots of shop_notice" in page.html
    slots = arm(page, "base")["hallucination"]["slots"]
    assert slots["of"] == 12 * 6
    assert f"{slots['missing']}<small>[{100 * slots['rates']['missing']['low']:.1f}, " in page.html


def test_enough_of_a_sweep(tmp_path: Path) -> None:
    page = Chartless(Inputs(tmp_path, {"tasks": ["boolq"], "sweep": {"finetune.rank": [4, 16]}}, n=30))
    (line,) = page.json["learning"]
    assert (line["task"], line["axis"], line["values"], line["margin"]) == ("boolq", "finetune.rank", [4, 16], 0.02)
    scores = [cell["comparisons"][0]["tuned"] for cell in page.json["cells"]]
    assert [point["tuned"] for point in line["points"]] == scores
    assert line["points"][0]["against_best"]["difference"] == pytest.approx(scores[0] - scores[1])
    assert "no rank below 16 was shown to be enough" in page.html


def test_terminal_tells_parts_and_losses_in_a_line_each(full: BuiltReport) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(summary(full.json))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= 80
    parts = full.json["cells"][0]["decomposition"]["parts"]
    split = ", ".join(f"{part['name']} {fmt.signed(part['value'])}" for part in parts)
    assert f"over the base = {split} " in " ".join(" ".join(lines).split())
    assert [part["name"] for part in parts] == ["constant", "format", "few-shot", "training"]
    suites = "plain English +0.02 nats/token no regression, shop_sentiment -0.13 regressed"
    assert f"titles: {suites}" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("ranks", [[4, 8], [4, 8, 16, 32]])
def test_terminal_tells_parts_of_few_points_of_a_sweep(tmp_path: Path, ranks: list[int]) -> None:
    tasks = ["tldr_headline_gen", "hellaswag_processed"]
    recipe = {"tasks": tasks, "sweep": {"finetune.rank": ranks, "finetune.learning_rate": [2e-4]}}
    page = Chartless(Inputs(tmp_path, recipe, n=20, arms=("base_fewshot", "constant"), measured=True))
    text = typed(page.json)
    assert max(map(len, text.splitlines())) <= 80
    assert (PAGE_HINT in text) == (len(ranks) > 3)
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    for cell in page.json["cells"]:
        started = [line for line in lines if line.startswith(f"  {cell['label']}: ")]
        churned = bool((churn := cell["examples"]["churn"]) and churn["wrong"])
        assert len(started) == (0 if len(ranks) > 3 else 3 + churned)  # what to use, where the lift comes from, other tasks, other answers
        split = rf"{cell['label']}: \S+ over the base = constant \S+ few-shot \S+ training [-+0]"
        assert len(ranks) > 3 or re.search(split, " ".join(text.split()))


def typed(report: dict[str, Any]) -> str:
    """What a terminal of 80 columns shows."""
    screen = StringIO()
    Console(width=80, file=screen).print(summary(report))
    return screen.getvalue()


def test_a_sweep_without_parts_promises_none(plain: BuiltReport) -> None:
    cells = [cell | {"point": {"finetune.rank": 4}, "decomposition": None} for cell in plain.json["cells"] * 4]
    assert PAGE_HINT not in typed(plain.json | {"cells": cells, "sweep": {"keys": ["finetune.rank"]}})


def test_markdown_has_arms_parts_and_claims(full: BuiltReport) -> None:
    assert all(
        f"## {title}" in full.md for title in ("Where the lift comes from", "Arms", "Regressions on other tasks", "Confirmatory tests")
    )
    assert full.md.count("\n| boolq | ") >= 9
    assert "on the same test examples.\n95 % intervals; " in full.md
    assert all(claim["sentence"].replace("_", "_") in full.md for claim in full.json["claims"])


def test_pictures_are_twice_the_size_of_the_drawing(full: BuiltReport) -> None:
    raw = (full.work.out / "charts" / "scores.png").read_bytes()
    width, height = struct.unpack(">II", raw[16:24])
    head = (full.work.out / "charts" / "scores.svg").read_text("utf-8").partition(">")[0]
    assert f'width="{width // 2}"' in head
    assert f'height="{height // 2}"' in head


@pytest.mark.parametrize(
    ("row", "value", "line"),
    [
        (
            {"unit": "score", "side": "above", "value": 0.3, "low": 0.2, "high": 0.4, "threshold": 0.0, "kind": "lift"},
            "+0.300 [0.200, 0.400]",
            "≠ 0",
        ),
        (
            {"unit": "score", "side": "below", "value": 0.3, "low": 0.2, "high": 0.4, "threshold": 0.0, "kind": "hallucination"},
            "+0.300 [0.200, 0.400]",
            "< 0",
        ),
        (
            {
                "unit": "nats/token",
                "side": "below",
                "value": 0.01,
                "low": -0.03,
                "high": 0.05,
                "threshold": 0.02,
                "kind": "non-inferiority",
            },
            "+0.010 [-0.030, 0.050]",
            "< 0.02",
        ),
        (
            {"unit": "dollars", "side": "below", "value": 2.1e-5, "low": None, "high": None, "threshold": 0.00025, "kind": "request price"},
            "$0.0000210",
            "< $0.0003",
        ),
        ({"unit": "requests", "value": 1234, "low": None, "high": None, "threshold": None}, "1,234", ""),
        ({"unit": "requests", "value": None, "threshold": None, "reason": "speed not measured"}, "not known", ""),
        ({"unit": "requests", "value": None, "threshold": None, "reason": "never"}, "never", ""),
    ],
)
def test_rules_in_words(row: dict[str, Any], value: str, line: str) -> None:
    assert (fmt.rule_value(row), fmt.rule_threshold(row)) == (value, line)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0003, "0.00030 s"), (0.3, "0.30 s"), (9.94, "9.9 s"), (9.97, "10 s"), (59.4, "59 s"), (60, "1 min"), (None, "not known")],
)
def test_times_have_two_digits_and_no_bare_point(seconds: float | None, text: str) -> None:
    assert fmt.seconds(seconds) == text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("base_fewshot", "few-shot base"),
        ("tuned_constrained_raw", "ranked choices or keys in prompt (fine-tuned), total"),
        ("reference.a", "a"),
        ("new_arm", "new arm"),
    ],
)
def test_names_of_arms(name: str, label: str) -> None:
    assert arms.find(name).label == label


def test_values_of_a_sweep_are_written_out_on_its_axis() -> None:
    point = {"task": "a", "metric": "accuracy", "series": {}, "lift": 0.1, "low": 0.0, "high": 0.2, "runs": None, "verdict": "improved"}
    points = [point | {"value": value, "point": {"prepare.train_examples": value}} for value in (160, 480, 1440)]
    axis = {"axis": "prepare.train_examples", "log": None}
    chart = charts_lift.sweep_chart(axis | {"points": points}, axis, "a")
    assert all(f">{value}<" in chart for value in (160, 480, 1440))


def test_a_change_on_another_task_has_the_look_of_its_verdict() -> None:
    suite = {"difference": 0.1, "low": 0.0, "high": 0.2, "margin": 0.02, "label": "b", "kind": "task", "suite": "b"}
    words = ("regressed", "no regression", "inconclusive")
    claimed = [{}, *({("cell0000", "b"): word} for word in words)]
    rows = [charts_arms.other_task_row({"cell": "cell0000", "label": "a"}, suite, verdicts) for verdicts in claimed]
    assert [row["tone"] for row in rows] == ["open", "bad", "good", "open"]


def test_many_tasks_are_told_in_a_table(tmp_path: Path) -> None:
    names = ["boolq", "viggo", "drop", "gsm8k", "mmlu", "legal", "covid"]
    page = Chartless(Inputs(tmp_path, {"tasks": names}, n=12, arms=("base_fewshot", "constant"), measured=True))
    verdict = page.html.partition('<section id="verdict">')[2].partition("</section>")[0]
    assert 'class="card' not in verdict
    for cell, advice in zip(page.json["cells"], page.json["advice"], strict=True):
        assert f'<a href="#{cell["cell"]}">{cell["label"]}</a></th><td>' in verdict
        assert all(fmt.typeset(sentence["text"]).split(":")[0] in verdict for sentence in advice["sentences"])
    assert verdict.count("<td>the fine-tuned model</td>") == sum(advice["use"] == "tuned" for advice in page.json["advice"])
    evidence_leads_somewhere(page)
    folded = page.md.partition("<details><summary>7 recommendations, each with its rule</summary>\n\n")[2].partition("\n\n</details>")[0]
    assert folded.count("\n- **") == 6
    assert "\n  - " not in folded  # the notes are on the page


def test_the_paragraph_leads_to_its_evidence(full: BuiltReport) -> None:
    paragraph = full.html.partition('<p class="summary">')[2].partition("<figure")[0]
    assert " ".join(re.sub(r"&nbsp;<a class=.*?</a>|<.*?>", "", paragraph).split()) == fmt.typeset(
        " ".join(sentence["text"] for sentence in full.json["summary"])
    )
    links = re.findall(r'href="([^"]+)"(?: title="[^"]*")?>([^<]+)<', paragraph)
    assert [anchor for anchor, _ in links] == [anchor for sentence in full.json["summary"] for anchor in sentence["evidence"]]
    assert ("#claims", "8 confirmatory tests") in links
    assert [name for _, name in links if name in ("1", "2")] == ["1", "2"]  # two tests got the same word


def test_many_changes_with_one_word_lead_to_the_matrix(tmp_path: Path) -> None:
    page = Chartless(Inputs(tmp_path, {"tasks": ["boolq", "viggo", "drop", "gsm8k", "mmlu", "legal", "covid"]}, n=12, measured=True))
    sentence = next(sentence for sentence in page.json["summary"] if sentence["text"].startswith("On other tasks and plain English: "))
    assert len(sentence["evidence"]) == 14
    group = sentence["text"][slice(*max(sentence["spans"], key=sentence["spans"].count))]
    assert f'<a href="#other-tasks">{group}</a>' in page.html
    assert page.html.count('id="other-tasks"') == 1


def test_markdown_advises_with_rules(full: BuiltReport) -> None:
    for advice in full.json["advice"]:
        lines = [line.strip() for line in full.md.partition("## What to use")[2].partition("\n## ")[0].splitlines()]
        start = next(number for number, line in enumerate(lines) if line.startswith(f"- **{advice['label']}**: "))
        assert len(advice["sentences"]) > 1
        for line, sentence in zip(lines[start:], advice["sentences"], strict=False):
            assert sentence["text"] in line
            rule = next((rule for rule in full.json["rules"] if (rule["cell"], rule["rule"]) == (advice["cell"], sentence["rule"])), None)
            assert line.endswith(f"*({rule['rule']}: {fmt.rule_value(rule)})*" if rule else sentence["text"])


SHOWN = {"shots": 5, "shrunk": 0, "fewest_shots": 5, "most_shots": 5, "without_shots": 0, "separator": "\n\n"}
FEWER = {"shrunk": 40, "fewest_shots": 3, "most_shots": 4}
NONE = {"shrunk": 40, "fewest_shots": 0, "most_shots": 0, "without_shots": 40, "separator": ""}


@dataclass
class InputsWithFacts(Inputs):
    """Inputs whose folders of arms say what stood in their prompts."""

    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def seal(self, source: str, task: str, params: dict[str, Any], files: Files, facts: dict[str, Any]) -> Artifact:
        return super().seal(source, task, params, files, facts | self.facts.get(source, {}))


@pytest.mark.parametrize(
    ("name", "facts", "text"),
    [
        ("base_fewshot", SHOWN, "5 few-shot examples in every prompt; generation also stops at a blank line"),
        ("base_fewshot", SHOWN | {"separator": ""}, "5 few-shot examples in every prompt"),
        (
            "base_fewshot",
            SHOWN | FEWER,
            "3 to 4 of the 5 few-shot examples requested in a prompt (40 of 40 prompts have fewer); generation also stops at a blank line",
        ),
        ("base_constrained", {"keys": ["to", "day"], "unkeyed": 0}, "2 keys named in every prompt"),
        ("base_constrained", {"keys": ["to"], "unkeyed": 4}, "keys could not be added to 4 of 40 prompts (context window full)"),
    ],
)
def test_what_stood_in_the_prompts_is_told(tmp_path: Path, name: str, facts: dict[str, Any], text: str) -> None:
    page = Chartless(
        InputsWithFacts(tmp_path, {"tasks": ["boolq"]}, arms=("base_fewshot", "base_constrained"), facts={f"arm.{name}": facts})
    )
    in_prompts = {row["name"]: row["prompt_additions"] for row in page.json["cells"][0]["arms"]}
    assert [other for other, contents in in_prompts.items() if contents] == [name]
    assert (in_prompts[name]["sentence"], in_prompts[name]["prompts"]) == (text, 40)
    measured = {"shots": "shots", "shrunk": "shrunk", "fewest": "fewest_shots", "most": "most_shots", "separator": "separator"}
    assert all(in_prompts[name][key] == facts[measured.get(key, key)] for key in in_prompts[name].keys() - {"sentence", "prompts"})
    assert in_prompts[name].keys() - {"sentence", "prompts"} == ({"keys", "unkeyed"} if "keys" in facts else measured.keys())
    section = page.html.partition('<section id="arms">')[2].partition("</section>")[0]
    assert f"{arms.find(name, 'choices').label}: {text}." in section


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (NONE, "no few-shot example fits the context window"),
        (FEWER | {"without_shots": 5}, "few-shot examples fit into only 35 of 40 prompts"),
        (FEWER | {"without_shots": 4}, None),
        (FEWER, None),
    ],
)
def test_an_arm_whose_prompts_are_mostly_those_of_the_base_is_not_tested(tmp_path: Path, facts: dict[str, Any], why: str | None) -> None:
    facts_by_source = {"arm.base_fewshot": SHOWN | facts}
    page = Chartless(InputsWithFacts(tmp_path, {"tasks": ["titles"]}, arms=("base_fewshot",), measured=True, facts=facts_by_source))
    parts = {part["name"]: part for part in page.json["cells"][0]["decomposition"]["parts"]}
    few_shot = parts["few-shot"]
    assert (few_shot["why"], few_shot["arm"] is None, few_shot["tried"] is None and few_shot["low"] is None) == (why, bool(why), bool(why))
    assert (parts["training"]["why"], parts["format"]["why"]) == (None, None)
    text = fmt.part_value(few_shot | {"value": 0.0, "low": None, "high": None})
    assert (f"(not tested: {why})" in text) == bool(why)
    assert ("base_fewshot" in {row["name"] for row in page.json["cells"][0]["arms"]}) == (not why)
    assert page.json["cells"][0]["absent"] == ([{"arm": "base_fewshot", "why": why}] if why else [])
    assert ("few-shot" in page.html.partition('<section id="arms">')[2].partition("Not tested: ")[2][:20]) == bool(why)


def test_an_untested_arm_with_the_bytes_of_the_base_stays_one_when_its_page_is_recomputed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_answers, "other", lambda task, heldout, *_: report_answers.base(task, heldout))
    page = BuiltReport(
        InputsWithFacts(tmp_path, {"tasks": ["titles"]}, arms=("base_fewshot", "merged"), facts={"arm.base_fewshot": SHOWN | NONE})
    )
    carried = json.loads(page_file.INDEX.findall(page.html)[0])["carried"]
    assert carried["cell0000.arm.base_fewshot"]["digest"] == carried["cell0000.base"]["digest"]
    assert recompute_page.verify(page.work.out / "report.html").comparisons == 1


def test_an_arm_that_said_nothing_has_nothing_invented(full: BuiltReport) -> None:
    report = json.loads(json.dumps(full.json))
    base = next(row for row in report["cells"][0]["arms"] if row["name"] == "base")
    base["hallucination"] |= {"rate": None, "low": None, "high": None, "answers": 0, "hallucinated": 0, "first": []}
    assert "no answers</" in render.page(
        report, {}, charts_scores.draw_all(report) | charts_training.draw_all(report) | charts_arms.draw_all(report)
    ).replace("<small>", "</")


def test_points_of_training_curves_tell_their_value(full: BuiltReport) -> None:
    charts = charts_training.draw_all(full.json)
    first = next(iter(full.json["adapters"].values()))["curve"]["train"]
    assert charts["loss0"].count("<title>") > min(20, len(first) // 2)
    assert f"training loss {first[0][1]:.3f} at step {first[0][0]}<" in charts["loss0"]
