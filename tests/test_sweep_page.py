"""Curves of a sweep over ranks and training sizes, and the charts of a page of many tasks."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.page import charts_arms, charts_lift, charts_training, render, sweep_section
from pipeline.page.svg import SERIES, THEME
from tests.report_inputs import BuiltReport, Inputs, placeholder_charts

RANKS, SIZES = [4, 8, 16], [100, 200, 400]
RECIPE = {
    "tasks": ["boolq"],
    "finetune": {"seeds": [0, 1]},
    "sweep": {"prepare.train_examples": SIZES, "finetune.rank": RANKS},
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    """The invented answers depend on the rank alone, so all sizes have the same lifts."""
    return BuiltReport(Inputs(tmp_path_factory.mktemp("swept"), RECIPE, n=30))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    """More tasks than are drawn one beside the other."""
    tasks = [f"task_{number}" for number in range(13)]
    inline = [
        {"name": name, "data": {"train": "a.jsonl", "heldout": "b.jsonl"}, "prompt": "{text}", "target": "{team}", "metrics": ["accuracy"]}
        for name in tasks
    ]
    recipe = {"tasks": inline, "general": {"suites": []}, "cost": {"gpu_hour": 1.0}}
    return BuiltReport(Inputs(tmp_path_factory.mktemp("many"), recipe, n=8, arms=("base_fewshot",), measured=True))


def drawing(report: BuiltReport, name: str) -> ElementTree.Element:
    return ElementTree.fromstring((report.work.out / "charts" / f"{name}.svg").read_text("utf-8"))


def marks(report: BuiltReport, name: str) -> dict[str, tuple[str, list[float]]]:
    """Shape and place of every point that tells something, by what it tells."""
    by_text = {}
    for mark in drawing(report, name).iter():
        translation = re.match(r"translate\((.*)\)", mark.get("transform") or "")
        if mark.tag.endswith("}path") and len(mark) and translation:
            by_text[mark[0].text or ""] = (mark.get("d") or "", [float(number) for number in translation[1].split(",")])
    return by_text


def words_of_drawing(report: BuiltReport, name: str) -> list[str]:
    return [part.text for part in drawing(report, name).iter() if part.tag.endswith("}text") and part.text]


def test_lifts_are_drawn_along_both_keys(swept: BuiltReport) -> None:
    assert [along["axis"] for along in swept.json["sweep"]["axes"]] == ["finetune.rank", "prepare.train_examples"]
    for name, values, lines in (("rank", RANKS, SIZES), ("train_examples", SIZES, RANKS)):
        lettering = words_of_drawing(swept, f"sweep0-{name}")
        assert [text for text in lettering if text.isdigit()] == list(map(str, values))
        other = "train examples" if name == "rank" else "rank"
        assert [text for text in lettering if text.startswith(f"{other} ")] == [f"{other} {line}" for line in lines]
        assert f"<h3>boolq by {name.replace('_', ' ')}</h3><svg" in swept.html
        texts = [text for text in marks(swept, f"sweep0-{name}") if "seed" not in text]
        assert len(texts) == len(swept.json["sweep"]["points"]) == 9


def test_axes_of_a_sweep_say_what_they_measure(swept: BuiltReport) -> None:
    assert {"lift, accuracy", "rank, logarithmic"} <= set(words_of_drawing(swept, "sweep0-rank"))
    assert {"lift, accuracy", "train examples"} <= set(words_of_drawing(swept, "sweep0-train_examples"))


@pytest.mark.parametrize("name", ["sweep0-rank", "sweep0-train_examples"])
def test_no_point_of_a_sweep_hides_another(swept: BuiltReport, name: str) -> None:
    """All sizes have equal lifts, so only their distance from the value and their shape tell their points apart."""
    by_text = {text: mark for text, mark in marks(swept, name).items() if "seed" not in text}
    for (_, one), (_, other) in combinations(by_text.values(), 2):
        assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) > 10
    lines = {re.search(r"train examples \d+" if name.endswith("rank") else r"rank \d+", text)[0]: mark[0] for text, mark in by_text.items()}
    assert len(set(lines.values())) == len(lines) == 3
    assert "Points with the same value are drawn side by side." in swept.html


@pytest.mark.parametrize(("log", "values", "lines"), [(2, [1, 2, 4, 8, 256], 8), (None, [100, 110, 5000], 4), (10, [5, 50], 2)])
def test_lines_of_a_sweep_stay_by_their_values(log: int | None, values: list[float], lines: int) -> None:
    low, high = charts_lift.axis_domain(log, values)
    assert low < min(values) <= max(values) < high
    gap = charts_lift.spacing(log, values, lines)
    assert 0 < gap <= charts_lift.MAX_LINE_GAP
    if len(values) == 3:
        assert gap * lines <= charts_lift.SWEEP_WIDTH * (values[1] - values[0]) / (high - low)


def test_enough_is_said_for_every_rank(swept: BuiltReport) -> None:
    lines = [(line["axis"], line["point"]) for line in swept.json["learning"]]
    by_rank = [("finetune.rank", {"prepare.train_examples": size}) for size in SIZES]
    assert lines == by_rank + [("prepare.train_examples", {"finetune.rank": rank}) for rank in RANKS]
    assert not any(line["why"] for line in swept.json["learning"])
    items = swept.html.partition("How many training examples are enough</h3>")[2].partition("</ul>")[0]
    for rank, line in zip(RANKS, re.findall(r'<li id="enough\d+">(.*?)</li>', items, re.DOTALL), strict=True):
        assert f"<b>boolq</b> at rank {rank}:" in line


def test_what_is_enough_is_written_out(swept: BuiltReport) -> None:
    report = json.loads(json.dumps(swept.json))
    for line, smallest in zip(report["learning"], (8, None, 4, 200, None, 100), strict=True):
        line |= {"smallest": smallest, "best": line["values"][-1]}
    html = " ".join(render.page(report, {}, placeholder_charts(report)).split())
    others = "up to the best are non-inferior to every other value, the best is"
    assert f"at train examples 100: rank 8 is enough: it and all above {others} 16 (margin 0.02)." in html
    assert f"at rank 4: 200 are enough: this many and more {others} 400 (margin 0.02)." in html
    assert "at rank 8: no number below 400 was shown to be enough." in html


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"finetune.rank": [4, 8]}, "every rank has the same, 0.0002."),
        ({"finetune.rank": [4, 8], "finetune.dora": [False, True]}, "every rank and dora has the same"),
        ({"finetune.rank": [4, 8], "finetune.learning_rate": [1e-4, 2e-4]}, ""),
        ({"prepare.train_examples": [100, 200]}, ""),
    ],
)
def test_a_sweep_at_one_rate_says_so(keys: dict[str, list[Any]], words: str) -> None:
    note = sweep_section.rate_note({"sweep": keys, "finetune": {"learning_rate": 2e-4}})
    assert (words in note) if words else (note == "")


def test_the_page_says_that_no_rate_was_tuned(swept: BuiltReport) -> None:
    section = swept.html.partition('<section id="sweep">')[2].partition("</section>")[0]
    assert swept.json["sweep"]["rate_note"].startswith("The learning rate was not searched: every rank")
    assert swept.json["sweep"]["rate_note"] in section
    assert "The learning rate was not searched" in swept.md


def test_training_curves_of_a_large_sweep_are_coloured_by_rank(swept: BuiltReport) -> None:
    assert [text for text in words_of_drawing(swept, "loss0") if text.startswith("rank")] == [f"rank {rank}" for rank in RANKS]
    colours = re.findall(r"stroke=\"var\(--(s\d)\)\"", (swept.work.out / "charts" / "loss0.svg").read_text("utf-8"))
    assert set(colours) >= {"s0", "s1", "s2"}


def test_a_small_sweep_has_a_colour_a_point() -> None:
    places = [(rank, size) for rank in RANKS[:2] for size in SIZES[:2]]
    cells = [
        {
            "task": "a",
            "seeds": [0],
            "adapters": [f"{rank}-{size}"],
            "coordinates": f"rank {rank}, size {size}",
            "point": {"finetune.rank": rank},
        }
        for rank, size in places
    ]
    adapters = {cell["adapters"][0]: {"curve": {}, "kept_step": None, "imported": None} for cell in cells}
    lines = charts_training.curve_lines({"cells": cells, "sweep": {"axis": "finetune.rank"}, "adapters": adapters}, "a")
    assert [line["series"] for line in lines] == [cell["coordinates"] for cell in cells]
    assert [line["description"] for line in lines] == [f"{cell['coordinates']}, seed 0" for cell in cells]


def test_every_task_of_many_has_its_charts_in_folds(many: BuiltReport) -> None:
    files = {path.stem for path in (many.work.out / "charts").glob("*.svg")}
    assert files >= {f"{kind}{number}" for kind in ("arms", "cost") for number in range(13)}
    section = many.html.partition('<section id="arms">')[2].partition("</section>")[0]
    assert section.count("score of every arm") == 13
    for cell in many.json["cells"]:
        fold = section.partition(f"<summary>{cell['label']}</summary>")[2].partition("<table")[0]
        assert f'aria-label="{cell["label"]}: score of every arm' in fold
    cost = many.html.partition('<section id="cost">')[2].partition("</section>")[0]
    folded = cost.partition("<summary>Charts of 13 tasks</summary>")[2].partition("</details>")[0]
    assert folded.count("score against cost") == cost.count("score against cost") == 13


def test_more_cells_than_a_reader_opens_are_told_by_tables(many: BuiltReport) -> None:
    cell = many.json["cells"][0] | {"decomposition": None, "forgetting": []}
    report = {"claims": [], "cells": [cell] * (charts_arms.MAX_PANELS + 1)}
    assert charts_arms.draw_all(report) == {}
    assert charts_arms.MAX_PANELS >= 31


CROWD = [("base", 0.02, 0.71), ("base, constrained", 0.0204, 0.715), ("tuned", 0.021, 0.74), ("tuned, merged", 0.0207, 0.738)]


def test_names_of_arms_that_lie_together_stand_apart() -> None:
    """Four arms within the size of a point: names that find no room beside it stand farther off, with a line to their point."""
    rows = [
        {"name": name, "cost": cost, "score": score, "unit": "dollars", "colour_group": "base", "description": name}
        for name, cost, score in CROWD
    ]
    spots = [charts_arms.point_position(row, False, 0.02, 0.021) for row in rows]
    placed = charts_arms.label_positions(spots, [row["name"] for row in rows])
    boxes = [charts_arms.label_box(*spot, row["name"], side) for spot, row, side in zip(spots, rows, placed, strict=True)]
    assert not any(charts_arms.overlap(*pair) for pair in combinations(boxes, 2))
    root = ElementTree.fromstring(charts_arms.against_cost(rows, "a", "exact match"))
    texts = [part.text for part in root.iter() if part.tag.endswith("}text")]
    assert "exact match" in texts
    leads = [part for part in root.iter() if part.tag.endswith("}line") and part.get("opacity") == "0.6"]
    assert len(leads) == sum(side in charts_arms.FAR_POSITIONS for side in placed) > 0


def test_a_logarithmic_cost_axis_says_so() -> None:
    rows = [
        {"name": name, "cost": cost, "score": 0.5, "unit": "dollars", "colour_group": "base", "description": name}
        for name, cost in (("a", 1), ("b", 9))
    ]
    assert "US dollars per 1,000 requests, logarithmic<" in charts_arms.against_cost(rows, "a", "accuracy")
    assert "logarithmic" not in charts_arms.against_cost([rows[0], rows[1] | {"cost": 7}], "a", "accuracy")


def test_every_colour_of_the_theme_is_used() -> None:
    page = Path(charts_lift.__file__).parent
    charts = "".join(
        (page / name).read_text("utf-8") for name in ("charts_lift.py", "charts_arms.py", "charts_scores.py", "charts_training.py")
    )
    style = (page / "templates" / "page.css").read_text("utf-8")
    used = {name for name in THEME if f"var(--{name})" in style or f'"{name}"' in charts} | set(SERIES)
    assert used == THEME.keys()
