"""The first screen of the page: one row a task on one axis, names where they have room, and the set-up in a line."""

import html
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.commands.recompute_page import verify
from pipeline.page import charts_scores, embedded_records, fmt, prompt_excerpt, render, setup_section, static_examples, svg
from pipeline.scoring.verdict import qualified
from tests.report_inputs import BuiltReport, CellFolders, Chartless, Inputs, placeholder_charts

ARMS = ("base_fewshot", "base_constrained", "constant")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Chartless:
    recipe = {"cost": {"gpu_hour": 1.5}, "finetune": {"seeds": [0, 1]}}
    return Chartless(Inputs(tmp_path_factory.mktemp("first"), recipe, n=40, arms=ARMS, measured=True))


def repeated(report: Row, times: int) -> Row:
    """A report of so many tasks, whose training effects rise by a hundredth each."""
    cells = [
        json.loads(json.dumps(report["cells"][0])) | {"cell": f"cell{n:04}", "label": f"task {n}", "task": f"t{n}"} for n in range(times)
    ]
    for number, cell in enumerate(cells):
        cell["headline"]["effect"] += number / 100
    return {**report, "cells": cells}


def texts(drawing: str, tag: str) -> list[str]:
    return ["".join(part.itertext()) for part in ElementTree.fromstring(drawing).iter() if part.tag.endswith(f"}}{tag}")]


def test_the_figure_stands_above_the_cards_and_tests_stand_last(report: Chartless) -> None:
    order = [report.html.index(text) for text in ('id="scores"', 'class="setup"', 'class="cards"', '<section id="lifts">', 'id="claims"')]
    assert order == sorted(order)
    assert report.html.rindex("<section") == report.html.index('<section id="tests">')
    fold = report.html.partition('<section id="tests">')[2].partition('id="claims"')[0]
    assert '<details class="fold"><summary>Confirmatory tests' in fold


def test_names_of_baselines_never_overlap_and_give_way_when_crowded() -> None:
    rows = [{"cell": "a", "score": 0.5}]
    crowd = [{"cell": "a", "label": f"baseline 0.{n}", "score": score} for n, score in enumerate((0.4, 0.41, 0.42, 0.43))]
    charts_scores.place_labels(rows, crowd, lambda score: 600 * score, 600)
    offsets = [tick["offset"] for tick in crowd if "offset" in tick]
    assert offsets == list(charts_scores.LABEL_OFFSETS)
    assert crowd[0]["offset"] == charts_scores.LABEL_OFFSETS[0], "the first, which is the best one, keeps its name"
    apart = [{"cell": "a", "label": "base", "score": 0.1}, {"cell": "a", "label": "constant", "score": 0.9}]
    charts_scores.place_labels(rows, apart, lambda score: 600 * score, 600)
    assert [tick["offset"] for tick in apart] == [charts_scores.LABEL_OFFSETS[0]] * 2
    near = [{"cell": "a", "label": "majority 0.36", "score": score} for score in (0.44, 0.16, 0.19, 0.36)]  # as on a phone
    charts_scores.place_labels([{"cell": "a", "score": 0.83}], near, lambda score: 337 * score, 337)
    for tick in near:
        assert tick["label_x"] <= 337 * tick["score"] <= tick["label_x"] + charts_scores.LETTER_WIDTH * len(tick["label"])
    for one, other in combinations(near, 2):
        is_apart = abs(one["label_x"] - other["label_x"]) >= charts_scores.LETTER_WIDTH * len("majority 0.36") + charts_scores.LABEL_GAP
        assert one["offset"] != other["offset"] or is_apart


@pytest.mark.parametrize("narrow", [False, True])
def test_every_row_has_its_verdict_in_a_word_and_the_names_of_its_baselines(report: Chartless, narrow: bool) -> None:
    cells = report.json["cells"]
    words = texts(charts_scores.score_plot(cells, narrow), "text")
    for cell in cells:
        effect = fmt.typeset(fmt.change(*(cell["headline"][key] for key in ("effect", "low", "high"))))
        assert any(
            word.strip() == f"{effect} {qualified(cell['headline']['verdict'], cell['headline']['this_task_only'])}" for word in words
        )
        assert {tick["label"] for tick in charts_scores.baseline_ticks(cell)} <= set(words)


@pytest.mark.parametrize("narrow", [False, True])
def test_many_tasks_come_by_effect_with_a_legend_for_names(report: Chartless, narrow: bool) -> None:
    many = repeated(report.json, 31)
    cells = charts_scores.by_effect(many)
    assert [cell["label"] for cell in cells] == [f"task {n}" for n in range(30, -1, -1)]
    drawing = charts_scores.score_plot(cells, narrow)
    words = texts(drawing, "text")
    assert [word for word in words if word.startswith("task ")] == [f"task {n}" for n in range(30, -1, -1)]
    assert {"constant answer", "few-shot"} <= set(words)
    (spoken,) = texts(drawing, "desc")
    for cell in cells:
        sentence = charts_scores.described(cell)
        assert sentence in spoken
        assert all(arm["label"] in sentence for arm in cell["arms"] if arm["name"] in ("base", *ARMS))


def test_few_tasks_keep_the_order_of_the_recipe(report: Chartless) -> None:
    assert [cell["label"] for cell in charts_scores.by_effect(repeated(report.json, 3))] == ["task 0", "task 1", "task 2"]


def test_the_setup_says_what_was_trained(report: Chartless) -> None:
    setup = report.json["setup"]
    assert (setup["seeds"], setup["adapters"], setup["rank"], setup["alpha"]) == ([0, 1], 4, [16], [32.0])
    assert setup["training_seconds"] == pytest.approx(sum(row["seconds"] for row in report.json["adapters"].values()))
    assert setup["training_dollars"] == pytest.approx(1.5 * setup["training_seconds"] / 3600)
    assert [row["task"] for row in setup["rows"]] == ["boolq", "titles"]
    assert setup["hour_dollars"] == 1.5
    artifacts = report.json["artifacts"]
    assert (
        setup["seconds"] == pytest.approx(sum(row["seconds"] for row in artifacts)) == pytest.approx(sum(report.json["seconds"].values()))
    )
    lines = dict(setup_section.lines(setup))
    assert (lines["Model"], lines["Adapter"]) == ("qwen2.5-1.5b, NF4", "LoRA rank 16, alpha 32, all-linear")
    assert lines["Rows"] == (
        "using 200 of 2,111 training rows (and 20 for validation; left out: 11 too long, 2 exact duplicates of test prompts, "
        "5 near-duplicates of test prompts, 1,873 not requested) and 40 of 43 test rows (left out: 3 bad value) per task"
    )
    assert (lines["Training"], lines["Hardware"]) == ("1 epoch (60 steps), learning rate 0.0002, seeds 0, 1", "NVIDIA T1")
    assert lines["Time"].startswith("4 adapters in ")
    total = 1.5 * setup["seconds"] / 3600
    assert lines["Price"] == f"training ${setup['training_dollars']:.2f}, all jobs ${total:.2f}, at $1.50 an hour"
    strip = report.html.partition('<dl class="setup"')[2].partition("</dl>")[0]
    assert dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", strip)) == {name: html.escape(text) for name, text in lines.items()}
    assert f"- Price: {lines['Price']}".replace("$", "$") in report.md


def test_rows_are_told_of_rows_available() -> None:
    rows = [{"train": 2000, "train_available": 6000, "test": 500, "test_available": None}, {"train": 900, "train_available": 900}]
    assert setup_section.rows_text({"rows": rows}, "train") == "900 to 2,000 of 900 to 6,000"
    assert setup_section.rows_text({"rows": rows[:1]}, "test") == "500"
    others = {"validation": 0, "test": 9, "test_available": 9, "train_left_out": {}, "test_left_out": {}}
    few = [{**row, "task": f"t{number}", **others} for number, row in enumerate(rows)]
    assert setup_section.data_text({"rows": few}) == (
        "t0: 2,000 of 6,000 training rows and 9 of 9 test rows; t1: 900 of 900 training rows and 9 of 9 test rows"
    )
    assert setup_section.data_text({"rows": few * 4}) == "900 to 2,000 of 900 to 6,000 training rows and 9 of 9 test rows per task"


def test_a_price_that_is_not_known_says_what_to_set() -> None:
    setup = {"hour_dollars": None, "training_dollars": None, "seconds": 1.0}
    assert setup_section.price_text(setup) == "not known (set cost.gpu_hour)"


def test_swept_settings_are_all_named(tmp_path: Path) -> None:
    swept = Chartless(Inputs(tmp_path, {"tasks": ["boolq"], "sweep": {"finetune.rank": [4, 16]}}, n=12)).json["setup"]
    assert (swept["rank"], swept["alpha"]) == ([4, 16], [8.0, 32.0])
    assert "LoRA rank 4, 16, alpha 8, 32, all-linear" in setup_section.strip(swept)


def test_navigation_has_the_words_of_the_headings(report: Chartless) -> None:
    links = re.findall(r'<a href="#(\w+)">([^<]+)</a>', report.html.partition('<nav aria-label="Sections">')[2].partition("</nav>")[0])
    headings = re.findall(r'<section id="(\w+)">\s*<h2>([^<]+)</h2>', report.html)
    assert links == headings
    assert links[0] == ("verdict", "Verdict")


def test_a_page_without_claims_has_its_figure(report: Chartless) -> None:
    bare = {**report.json, "rules": []}
    assert '<section id="tests">' not in render.page(bare, {}, placeholder_charts(bare))


def test_the_first_examples_that_changed_are_plain_html(tmp_path: Path) -> None:
    """What got worse first; texts of models are escaped and shortened."""
    texts = {number: {"prompt": f"<b>{number}</b> " + "word " * 100} for number in range(60)}
    page = BuiltReport(Inputs(tmp_path, {"tasks": ["boolq"]}, n=60, texts=texts, gain=0.05))
    rows = page.rows("cell0000.comparison", "examples.jsonl")
    plain = page.html.partition('<div id="static"')[2].partition('</div>\n<div id="ledger"')[0]
    expected = []
    for sign in (-1, 1):
        changed = [row for row in rows if sign * (row["tuned"][0]["scores"]["accuracy"] - row["base"]["scores"]["accuracy"]) > 0]
        assert len(changed) > 2
        expected += [row["id"] for row in changed[:5]]
    assert re.findall(r'<th scope="row">([^<]+)</th>', plain) == expected
    cells = re.findall(r'<td class="(?:n|value)">([^<]*)</td>', plain)
    for row, start in zip([next(row for row in rows if row["id"] == name) for name in expected], range(0, len(cells), 5), strict=True):
        score, _, target, base, tuned = cells[start : start + 5]
        scores = [answer["scores"]["accuracy"] for answer in (row["base"], row["tuned"][0])]
        assert [float(number) for number in score.split(" → ")] == scores
        assert [html.unescape(text) for text in (target, base, tuned)] == [
            " ".join(text.split()) for text in (row["target"], row["base"]["text"], row["tuned"][0]["text"])
        ]
    assert plain.index("that got worse") < plain.index("that got better")
    assert "&lt;b&gt;" in plain
    assert "<b>0</b>" not in plain
    assert max(map(len, re.findall(r'<td class="value">([^<]*)</td>', plain))) < 2 * prompt_excerpt.MAX_LETTERS


def test_many_tasks_have_few_static_examples(report: Chartless) -> None:
    many = repeated(report.json, 31)
    blocks = {cell["examples"]["file"]: embedded_records.pack(b"") for cell in many["cells"]}
    row = {"id": "a", "prompt": "p", "target": "t", "others": {}, "base": {"text": "x", "scores": {"accuracy": 0.0}}}
    row["tuned"] = [{"text": "y", "scores": {"accuracy": 1.0}}]
    lines = "\n".join(json.dumps(row | {"id": str(number)}) for number in range(9))
    blocks = dict.fromkeys(blocks, embedded_records.pack(lines.encode()))
    chosen = static_examples.section(many, blocks)
    assert [len(part["fixed"]) for part in chosen] == [1] * 31


def test_no_page_and_no_report_holds_a_folder_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of data nor of bases, whose names are the last parts of their paths; of weights there is the hash."""
    data = {"train": "/home/ann/private/a.jsonl", "heldout": "sub/b.jsonl"}
    task = {"name": "teams", "data": data, "prompt": "{text}", "target": "{team}", "metrics": ["accuracy"]}
    bases = ["/home/ann/private/one/model", "~/private/two/model", "/home/ann/private/other", "org/model"]
    point = CellFolders.point

    def with_model(folders: CellFolders, **more: Any) -> Row:
        is_folder = folders.recipe.base != "org/model"
        spec = {"folder": folders.recipe.base, "digest": "d1ce" * 16, "repo": None} if is_folder else {"repo": "org/model"}
        return point(folders, model=spec, **more)

    monkeypatch.setattr(CellFolders, "point", with_model)
    page = BuiltReport(Inputs(tmp_path, {"base": bases[0], "tasks": [task], "sweep": {"base": bases}}, n=12))
    files = [file.read_text("utf-8") for file in page.work.out.rglob("*") if file.suffix in (".json", ".html", ".md", ".svg")]
    assert len(files) > 8
    assert not any("private" in text for text in files)
    shortened = page.json["recipe"]["tasks"][0]["data"]
    assert (shortened["train"], shortened["heldout"]) == ("a.jsonl", "sub/b.jsonl")
    assert page.json["recipe"]["sweep"]["base"] == ["one/model", "two/model", "other", "org/model"]
    assert page.json["bases"] == [f"{name} (weights d1ced1ced1ce)" for name in ("one/model", "two/model", "other")] + ["org/model"]
    assert [cell["coordinates"] for cell in page.json["cells"]] == ["base one/model", "base two/model", "base other", "base org/model"]
    (card,) = [text for text in files if "# teams--adapter0" in text and 'from_pretrained("other"' in text]
    assert "The first path is the folder of the base, other (weights d1ced1ced1ce)" in card
    verify(page.work.out / "report.html")


def test_static_examples_show_the_largest_changes(report: Chartless) -> None:
    block = {f"file{gain}": {"base": 0.5, "tuned": 0.5 + gain} for gain in (0.1, -0.2, 0.0, -0.4, 0.3, -0.1)}
    rows = [
        {"id": name, "prompt": "p", "target": "t"}
        | {
            "others": {},
            "base": {"text": "x", "scores": {"accuracy": row["base"]}},
            "tuned": [{"text": "y", "scores": {"accuracy": row["tuned"]}}],
        }
        for name, row in block.items()
    ]
    packed = embedded_records.pack("\n".join(map(json.dumps, rows)).encode())
    examples = static_examples.changed(report.json["cells"][0], packed, 2)
    assert [row["id"] for row in examples["broken"]] == ["file-0.4", "file-0.2"]
    assert [row["id"] for row in examples["fixed"]] == ["file0.3", "file0.1"]


def test_drawings_in_the_page_lack_nothing_but_digits() -> None:
    """Labels and texts keep theirs."""
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="9.12345" aria-label="a 0.123456 opacity=&quot;1&quot;"><title>0.98765</title>'
        '<g transform="translate(1.00049,-0.000001)" opacity="1" fill-opacity="1"><path d="" display="none" />'
        '<path d="M20.00000002,3.14159h5" opacity="0.5" /></g><text>2.71828</text></svg>'
    )
    assert svg.inline_svg(drawing, "a") == (
        '<svg aria-describedby="a-words" width="9.12345" aria-label="a 0.123456 opacity=&quot;1&quot;"><title>0.98765</title>'
        '<g transform="translate(1,-0)" fill-opacity="1"><path d="M20,3.142h5" opacity="0.5" /></g><text>2.71828</text></svg>'
    )
