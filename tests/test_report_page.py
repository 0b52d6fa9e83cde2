"""The page as text: it runs nothing that a model wrote, asks no network and stays small. How it works in a browser: test_page_browser."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from pipeline.page import assets, charts_arms, render
from tests.report_inputs import BuiltReport, Inputs

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!-- & \u2028 ' \" ]]> {{ 7*7 }}"


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    texts = {103: {"id": f"odd/{HOSTILE}", "prompt": HOSTILE, "target": HOSTILE, "base": HOSTILE, "tuned": HOSTILE}}
    recipe = {"question": HOSTILE, "finetune": {"seeds": [0, 1]}}
    return BuiltReport(Inputs(tmp_path_factory.mktemp("hostile"), recipe, n=130, texts=texts))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    return BuiltReport(Inputs(tmp_path_factory.mktemp("big"), {"tasks": ["titles"], "finetune": {"seeds": [0, 1]}}, n=5000))


def test_texts_of_models_are_never_markup(hostile: BuiltReport) -> None:
    tags = Tags(hostile.html).opened
    assert not [tag for tag, _ in tags if tag == "img"]
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    kinds = [attrs.get("type") for tag, attrs in tags if tag == "script"]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/octet-stream", "application/json"}
    cell = json.loads(re.search(r'id="index">(.*?)</script>', hostile.html)[1])["cells"][0]
    assert json.loads(hostile.carried(cell["file"]).split("\n")[103])["prompt"] == HOSTILE
    assert "&lt;i&gt;n/a&lt;/i&gt;" in hostile.html  # the value of a dropped row
    assert "test: 3 of 9 rows have no {&lt;i&gt;extra&lt;/i&gt;}; its default is used.</p>" in hostile.html
    assert re.search(r"^> .*, test: 3 of 9 rows have no \{.*extra.*\}; its default is used\.\n\n", hostile.md, re.M)  # a quote of its own
    assert "49" not in re.search(r"<title>(.*?)</title>", hostile.html)[1]
    assert "<img" not in hostile.md.partition("```yaml")[0].replace("\\<img", "")


def test_page_asks_no_network(hostile: BuiltReport) -> None:
    for tag, attrs in Tags(hostile.html).opened:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form") or (tag, attrs.get("role")) == ("form", "search")
        for name in ("src", "href", "action", "xlink:href", "srcset", "data"):
            assert (attrs.get(name) or "#").startswith("#"), (tag, attrs)
    styles = " ".join(re.findall(r"<style>(.*?)</style>", hostile.html, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    assert "default-src 'none'" in hostile.html


def test_five_thousand_examples_stay_small(big: BuiltReport) -> None:
    assert big.facts["page_bytes"] == len(big.html.encode()) < 4_000_000
    assert big.html.count("<article") == 0  # drawn by the script, a page at a time


def test_script_and_style_hold_no_end_tag() -> None:
    assert "</" not in render.script()
    assert "innerHTML" not in render.script()
    assert "</" not in assets.stylesheet(("page", "serve"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    recipe = {"tasks": ["shop_sentences", "titles"], "sweep": {"finetune.rank": [4, 16], "finetune.learning_rate": [1e-4, 2e-4]}}
    arms = ("base_fewshot", "base_constrained")
    return BuiltReport(Inputs(tmp_path_factory.mktemp("swept"), recipe, n=12, arms=arms, measured=True))


def texts(report: BuiltReport, name: str) -> list[str]:
    """Every line of text of a drawing; tooltips are none."""
    root = ElementTree.fromstring((report.work.out / "charts" / f"{name}.svg").read_text("utf-8"))
    elements = [part for part in root.iter() if part.tag.endswith(("}text", "}tspan"))]
    return [part.text for part in elements if part.text]


@pytest.mark.parametrize("name", ["scores", "other-tasks-loss", "other-tasks-task"])
def test_narrow_figures_tell_the_points_apart(swept: BuiltReport, name: str) -> None:
    for figure in (name, f"{name}-narrow"):
        assert not [line for line in texts(swept, figure) if "…" in line]
    lines = texts(swept, f"{name}-narrow")
    points = [
        lines[index + 1 : index + 3]
        for index, line in enumerate(lines[:-2])
        if line == "shop_sentences" and lines[index + 1].startswith("rank")
    ]
    assert points == [[f"rank {rank}", f"learning rate {rate}"] for rank in (4, 16) for rate in ("0.0001", "0.0002")]


def test_losses_have_their_unit(swept: BuiltReport) -> None:
    for name in ("loss0",):
        assert "loss (nats/token)" in texts(swept, name)


def test_names_in_the_cost_chart_cover_no_point() -> None:
    """As in the quickstart, where the few-shot base lay left of the base and its name ran over it."""
    spots, labels = [(164.6, 204.7), (94.3, 217.7), (267.0, 13.3)], ["base", "few-shot base", "tuned"]
    placed = charts_arms.label_positions(spots, labels)
    assert (placed[0], placed[2]) == (charts_arms.LABEL_POSITIONS[0],) * 2
    boxes = [charts_arms.label_box(*spot, label, side) for spot, label, side in zip(spots, labels, placed, strict=True)]
    dots = [
        (x - charts_arms.POINT_RADIUS, y - charts_arms.POINT_RADIUS, x + charts_arms.POINT_RADIUS, y + charts_arms.POINT_RADIUS)
        for x, y in spots
    ]
    assert not any(charts_arms.overlap(boxes[1], other) for other in (boxes[0], boxes[2], dots[0], dots[2]))


def test_every_name_of_the_cost_chart_stands_once_and_lines_lead_to_the_far_ones() -> None:
    names = ["base", "few-shot base", "tuned", "base, constrained", "merged", "unrelated"]
    points = zip(names, [0.5] * 5 + [0.1], [1.0, 1.02, 1.04, 1.06, 1.1, 0.5], strict=True)
    rows = [
        {"name": name, "score": score, "cost": cost, "unit": "dollars", "colour_group": "base", "description": name}
        for name, score, cost in points
    ]
    spots = [charts_arms.point_position(row, False, 0.5, 1.1) for row in rows]
    placed = charts_arms.label_positions(spots, names)
    far = [(*spot, 0.8 * side[1], side[2]) for spot, side in zip(spots, placed, strict=True) if side in charts_arms.FAR_POSITIONS]
    assert 1 < len(far) < len(names) - 1
    root = ElementTree.fromstring(charts_arms.against_cost(rows, "pets", "accuracy"))
    words = [part.text for part in root.iter() if part.tag.endswith("}text")]
    assert sorted(text for text in words if text in names) == sorted(names)
    lines = [part for part in root.iter() if part.tag.endswith("}line") and part.get("stroke") != "var(--rule)"]
    leads = [
        [float(number) for number in re.findall(r"-?[0-9.]+", f"{line.get('transform')} {line.get('x2')} {line.get('y2')}")]
        for line in lines
    ]
    assert sorted(leads) == [pytest.approx(lead, abs=0.01) for lead in sorted(map(list, far))]


def test_more_cells_than_panels_are_told_by_tables_alone(swept: BuiltReport) -> None:
    full = swept.json["cells"][0] | {"decomposition": None, "forgetting": []}
    bare = full | {"arms": [arm for arm in full["arms"] if arm["name"] in ("base", "tuned")], "cost": None}
    assert charts_arms.draw_all({"cells": [full, *[bare] * 39], "claims": []}).keys() == {"arms0", "cost0"}
    assert charts_arms.draw_all({"cells": [full, *[bare] * 40], "claims": []}) == {}


def test_a_point_of_the_cost_chart_lies_where_it_is_drawn(swept: BuiltReport) -> None:
    rows = charts_arms.priced_points(swept.json["cells"][0])
    least, most = min(row["cost"] for row in rows), max(row["cost"] for row in rows)
    root = ElementTree.fromstring((swept.work.out / "charts" / "cost0.svg").read_text("utf-8"))
    marks = [part for part in root.iter() if part.tag.endswith("}path") and len(part)]
    places = [[float(number) for number in re.findall(r"-?[0-9.]+", mark.get("transform") or "")[:2]] for mark in marks]
    assert places == [pytest.approx(charts_arms.point_position(row, most > 8 * least, least, most), abs=0.01) for row in rows]


def head_of(html: str, label: str) -> list[str]:
    head = re.search(rf'aria-label="{label}".*?<thead>(.*?)</thead>', html, re.DOTALL)
    assert head
    return re.findall(r"<th [^>]*>(.*?)</th>", head[1])


def body_of(html: str, label: str) -> list[list[str]]:
    body = re.search(rf'aria-label="{label}".*?<tbody>(.*?)</tbody>', html, re.DOTALL)
    assert body
    rows = re.findall(r"<tr.*?</tr>", body[1], re.DOTALL)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def test_the_result_stands_first(swept: BuiltReport) -> None:
    label = "Lifts by task and metric"
    expected = [
        "Task",
        "Point",
        "Against base",
        "Lift",
        "95 % interval",
        "Base",
        "Fine-tuned",
        "Metric",
        "p (Holm)",
        "n",
        "Seeds",
        "MDE (80 % power)",
    ]
    assert head_of(swept.html, label) == expected
    for cell, row in zip(swept.json["cells"], body_of(swept.html, label), strict=True):
        columns = dict(zip(expected, row, strict=True))
        primary = cell["comparisons"][0]
        assert (columns["Task"], columns["Point"], columns["Against base"]) == (cell["task"], cell["coordinates"], primary["verdict"])
        assert (columns["n"], columns["Seeds"]) == (str(primary["n"]), str(primary["seeds"]))


def test_answers_that_end_in_repeats_have_a_column(hostile: BuiltReport) -> None:
    label = "Answers by arm"
    head, counted = head_of(hostile.html, label), [arm for cell in hostile.json["cells"] for arm in cell["answers"]]
    assert any(arm["endless"] != arm["truncated"] for arm in counted)
    for arm, row in zip(counted, body_of(hostile.html, label), strict=True):
        columns = dict(zip(head, row, strict=True))
        for name, key in (("Truncated", "truncated"), ("Repetition loop", "endless"), ("Empty", "empty")):
            assert columns[name].split(" ")[0] == str(arm[key])


def test_a_folder_stands_with_its_whole_key(hostile: BuiltReport) -> None:
    head = head_of(hostile.html, "Artifacts")
    assert head[:3] == ["Stage", "Folder", "Digest"]
    for artifact in hostile.json["artifacts"]:
        assert artifact["folder"].endswith(artifact["key"][:12])
        assert f'title="{artifact["key"]}">{artifact["folder"]}<' in hostile.html


def test_examples_that_changed_are_named_alike(hostile: BuiltReport, big: BuiltReport) -> None:
    label = "Groups of examples by comparison"
    assert head_of(hostile.html, label)[1:5] == ["From", "Fixed or gained", "Base unparsable among them", "Broken or lost"]
    assert head_of(big.html, label)[1:5] == ["From", "Gained", "Base unparsable among them", "Lost"]
