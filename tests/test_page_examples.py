"""The list of examples in a real browser: what got worse first, columns that stay, an address for every view, keys, and downloads."""

import csv
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import browser
from tests.browser import OpenPage
from tests.report_inputs import Chartless, Inputs, Row

pytestmark = browser.needed

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> \u2028 é 漢字 עברית 🙂"
FORMULAS = {4: "=1+1", 5: "+cmd", 6: "-2+3", 7: "@SUM(A1)", 8: "\t=1", 9: "＝1", 10: "-7"}
TEXTS = {number: {"base": text, "tuned": text} for number, text in FORMULAS.items()}
TEXTS |= {3: {"id": "odd/3 ?&#", "prompt": HOSTILE * 30, "base": HOSTILE, "tuned": 'two "quoted"\nlines, and a comma'}}
ARMS = ("base_fewshot", "base_constrained", "constant")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Report:
    """A report without charts, in a file."""

    def __init__(self, root: Path) -> None:
        self.chartless = Chartless(Inputs(root, {"finetune": {"seeds": [0, 1]}}, n=80, gain=0.05, texts=TEXTS, arms=ARMS))
        self.file = root / "report.html"
        self.file.write_text(self.chartless.html, "utf-8")

    def rows(self, cell: str = "cell0000") -> list[Row]:
        return self.chartless.rows(f"{cell}.comparison", "examples.jsonl")

    def ids(self, cell: str = "cell0000") -> list[str]:
        """In the order of the list: the largest loss against the best baseline first."""
        name = "accuracy" if cell == "cell0000" else "rougeL"
        best = next(row["headline"]["baseline"] for row in self.chartless.json["cells"] if row["cell"] == cell)
        order = []
        for number, row in enumerate(self.rows(cell)):
            mean = sum(arm["scores"][name] for arm in row["tuned"]) / 2
            rival = row["base"] if best in ("base", "constant") else row["others"][best]
            order.append((mean - rival["scores"][name], mean, number, row["id"]))
        return [name for *_, name in sorted(order)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return Report(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.running() as chromium:
        yield chromium


@pytest.fixture
def page(report: Report, chromium: Any) -> Iterator[OpenPage]:
    page = OpenPage(chromium, report.file, viewport=DESK, accept_downloads=True)
    yield page
    page.close()
    assert page.faults == []
    assert {address for address in page.requests if not address.startswith("blob:")} <= {f"file://{report.file}"}


def ids(page: OpenPage) -> list[str]:
    return [str(text) for text in page.tab.locator("#rows h3").all_text_contents()]


def address(page: OpenPage) -> str:
    return str(page.tab.evaluate("location.hash"))


def status_line(page: OpenPage) -> str:
    return str(page.tab.inner_text("#found"))


def test_what_got_worse_comes_first(page: OpenPage, report: Report) -> None:
    assert ids(page) == report.ids()[:25]
    assert page.tab.is_visible("[name=target]")
    assert page.tab.locator("#rows .example >> nth=0").locator("header span >> nth=0").inner_text() == "broken"
    page.tab.click("[data-step='1'] >> nth=0")
    assert ids(page) == report.ids()[25:50]
    page.tab.select_option("[name=cell]", "cell0001")
    page.starts("#rows h3", "titles")
    assert ids(page) == report.ids("cell0001")[:25]
    assert not page.tab.is_visible("[name=target]")  # free answers have no classes


def announced(page: OpenPage) -> str:
    return str(page.tab.text_content("#announced"))


def test_the_focus_goes_on_to_the_new_examples(page: OpenPage) -> None:
    """On the last page the button is off; a focus that stayed there would be lost."""
    for number, first in ((1, "26 to 50"), (2, "51 to 75"), (3, "76 to 80")):
        page.tab.locator("[data-step='1'] >> nth=1").click()
        assert status_line(page).startswith(first)
        assert page.tab.evaluate("document.activeElement.getAttribute('aria-posinset')") == str(25 * number + 1)


def test_what_a_choice_changed_is_announced(page: OpenPage) -> None:
    page.tab.select_option("[name=order]", "gain")
    assert announced(page) == "Sorted by what got better first."
    page.tab.select_option("[name=from]", "base")
    assert announced(page) == "Compared with base."
    downloaded(page, "json")
    assert announced(page) == "Downloaded 80 examples as boolq-examples.json."


def test_only_tables_that_scroll_stop_the_tab_key(page: OpenPage) -> None:
    script = "all => all.map(box => [box.tabIndex === 0, box.scrollWidth > box.clientWidth])"
    stops = page.tab.locator(".scroll:visible").evaluate_all(script)
    assert [stop for stop, _ in stops] == [scrolls for _, scrolls in stops]
    page.tab.set_viewport_size(PHONE)
    page.tab.wait_for_function(
        "[...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth && box.tabIndex === 0)"
    )


def test_prompts_are_in_sight(page: OpenPage, report: Report) -> None:
    """A long one by its beginning and its end, until it is unfolded."""
    prompts = {row["id"]: row["prompt"] for row in report.rows()}
    page.tab.evaluate("location.hash = '#cell0000/' + encodeURIComponent('odd/3 ?&#')")
    page.starts(".linked h3", "odd/3 ?&#")
    for row in page.tab.locator(".example").all():
        prompt = row.locator(".prompt .text").text_content()
        whole = prompts[row.locator("h3").text_content()]
        assert prompt == whole or (prompt[:200] == whole[:200] and prompt[-200:] == whole[-200:] and "characters]" in prompt)
        assert row.locator(".prompt").is_visible()
    page.tab.click(".linked .prompt .more")
    assert page.tab.text_content(".linked .prompt .text") == HOSTILE * 30
    assert page.tab.title() != "owned"


def columns(page: OpenPage) -> set[tuple[int, ...]]:
    """Where target, base and fine-tuned begin in each example, in pixels."""
    script = "all => all.map(one => [...one.querySelectorAll('.sides > div')].map(box => Math.round(box.getBoundingClientRect().x)))"
    return {tuple(places) for places in page.tab.locator("#rows .example").evaluate_all(script)}


def test_target_base_and_fine_tuned_have_columns_of_their_own(page: OpenPage) -> None:
    heads = page.tab.locator(".example >> nth=0").locator(".sides h4").all_text_contents()
    assert [next(name for name in ("Target", "base", "fine-tuned") if head.startswith(name)) for head in heads[:3]] == [
        "Target",
        "base",
        "fine-tuned",
    ]
    ((target, base, tuned),) = columns(page)
    assert target < base < tuned
    before = page.tab.locator(".side").count()
    page.tab.locator(".arms .pill", has_text="constant").locator("input").check()
    assert page.tab.locator(".side").count() == before + 25
    assert columns(page) == {(target, base, tuned)}
    page.tab.locator(".arms .pill", has_text="base").first.locator("input").uncheck()
    assert columns(page) == {(target, base, tuned)}  # its column stays


def test_an_arm_that_is_asked_for_is_shown(page: OpenPage) -> None:
    few_shot = page.tab.locator(".side h4", has_text="ranked choices")
    page.tab.locator(".arms .pill", has_text="ranked choices").locator("input").uncheck()
    assert few_shot.count() == 0
    page.tab.select_option("[name=by]", "base_constrained")
    assert few_shot.count() == 25


def test_on_a_phone_the_columns_stand_below_each_other(report: Report, chromium: Any) -> None:
    page = OpenPage(chromium, report.file, viewport=PHONE)
    ((target, base, tuned),) = columns(page)
    assert target == base == tuned
    assert page.tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.close()


def controls(page: OpenPage) -> Row:
    names = ("cell", "query", "order", "flag", "target", "answer", "by")
    values = {name: page.tab.input_value(f"[name={name}]") for name in names}
    pills = page.tab.locator("#ledger form input:checked").evaluate_all("all => all.map(one => `${one.name} ${one.value}`)")
    return values | {"pills": sorted(pills)}


def test_a_view_has_an_address_that_opens_it_again(page: OpenPage, report: Report, chromium: Any) -> None:
    page.tab.select_option("[name=order]", "gain")
    page.tab.fill("[name=query]", "Passage 1")
    page.tab.locator(".arms .pill", has_text="constant").locator("input").check()
    page.tab.locator(".against .pill", has_text="nothing").locator("input").check()
    page.tab.locator(".groups .pill", has_text="fixed").locator("input").check()
    page.tab.select_option("[name=by]", "tuned")
    link = address(page)
    assert link.startswith("#examples?cell=cell0000&")
    assert page.tab.locator(f"[id='{link[1:]}']").count() == 0
    other = OpenPage(chromium, report.file, link, viewport=DESK)
    assert (ids(other), controls(other), status_line(other), address(other)) == (ids(page), controls(page), status_line(page), link)
    assert 0 < len(ids(other)) < 25
    assert other.tab.evaluate("scrollY") > 500
    other.close()


def test_going_back_undoes_a_choice(page: OpenPage, report: Report) -> None:
    page.tab.evaluate("location.hash = '#checks'")
    first = ids(page)
    page.tab.locator(".groups .pill", has_text="broken").locator("input").check()
    broken = ids(page)
    last = min(len(broken), 25)
    page.tab.fill("[name=query]", "passage 1")
    page.tab.fill("[name=query]", "passage 11")
    page.tab.wait_for_function("address => location.hash.includes(address)", arg="passage+11")
    page.tab.go_back()  # all of the typing is one step
    page.starts("#found", f"1 to {last} of")
    assert (ids(page), page.tab.input_value("[name=query]")) == (broken, "")
    page.tab.go_back()
    page.starts("#found", "1 to 25 of 80")
    assert (ids(page), address(page)) == (first, "#checks")
    page.tab.go_forward()
    page.starts("#found", f"1 to {last} of")
    assert ids(page) == broken
    page.tab.click("[name=clear]")
    page.starts("#found", "1 to 25 of 80")
    assert not page.tab.is_visible("[name=clear]")


@pytest.mark.parametrize(
    "link",
    ["#examples?cell=cell9999", "#examples?", "#cell0000/%E0%A4%A", "#examples?cell=cell0000&page=-7&sort=x&arm=none&flag=no&group=99"],
)
def test_an_address_that_says_nothing_shows_the_whole_list(report: Report, chromium: Any, link: str) -> None:
    page = OpenPage(chromium, report.file, link, viewport=DESK)
    assert status_line(page) == "1 to 25 of 80"
    assert page.faults == []
    page.close()


def focused(page: OpenPage) -> str:
    return str(page.tab.evaluate("document.activeElement.dataset.id"))


def test_keys_go_from_example_to_example(page: OpenPage, report: Report) -> None:
    order = report.ids()
    assert page.tab.locator("#keys").is_visible()
    page.tab.locator(".example >> nth=0").focus()
    for key, place in (("j", 1), ("ArrowRight", 2), ("J", None), ("k", 1), ("ArrowLeft", 0), ("k", 0), ("Control+j", 0)):
        page.tab.keyboard.press(key)
        if place is not None:
            assert focused(page) == order[place], key
        else:
            page.tab.keyboard.press("k")
    page.tab.keyboard.press("j")
    assert address(page) == f"#cell0000/{order[1]}"
    assert page.tab.locator(".linked").get_attribute("aria-posinset") == "2"
    assert page.tab.locator(".linked").get_attribute("aria-setsize") == "80"
    page.tab.locator(".example >> nth=24").focus()
    page.tab.keyboard.press("j")
    assert (focused(page), status_line(page)) == (order[25], "26 to 50 of 80")
    page.tab.keyboard.press("k")
    assert (focused(page), status_line(page)) == (order[24], "1 to 25 of 80")
    page.tab.keyboard.press("PageDown")
    assert focused(page) == order[25]
    page.tab.keyboard.press("PageUp")
    assert page.tab.locator("#rows [tabindex='0']").count() == 1


def test_keys_are_not_taken_from_those_who_type(page: OpenPage) -> None:
    page.tab.locator("[name=query]").focus()
    page.tab.keyboard.type("jk")
    page.tab.keyboard.press("ArrowLeft")
    assert page.tab.input_value("[name=query]") == "jk"
    assert page.tab.locator(".linked").count() == 0


def downloaded(page: OpenPage, kind: str) -> tuple[str, str]:
    with page.tab.expect_download() as download:
        page.tab.click(f"[data-save={kind}]")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes().decode("utf-8")


def test_the_chosen_examples_come_as_a_table(page: OpenPage, report: Report) -> None:
    """Of all pages of the list, in its order; every text is one cell, and none is a formula."""
    name, text = downloaded(page, "csv")
    assert (name, text[0]) == ("boolq-examples.csv", "\ufeff")
    table = list(csv.DictReader(io.StringIO(text[1:], newline="")))
    assert [row["id"] for row in table] == report.ids()
    rows = {row["id"]: row for row in report.rows()}
    for row in table:
        source = rows[row["id"]]
        assert row["target"] == source["target"]
        for column, arm in (("base", source["base"]), ("tuned_seed1", source["tuned"][1]), ("constant", source["others"]["constant"])):
            assert row[f"{column}_text"] in (arm["text"], f"'{arm['text']}")
            assert float(row[f"{column}_score"]) == arm["scores"]["accuracy"]
            assert row[f"{column}_parsed"] == (arm["answer"] or "")
            assert row[f"{column}_flags"] == "; ".join(arm["flags"])
    by_id = {row["id"]: row for row in table}
    for number, formula in FORMULAS.items():
        assert by_id[f"boolq-{number}"]["base_text"] == (formula if formula == "-7" else f"'{formula}")
    odd = by_id["odd/3 ?&#"]
    assert (odd["prompt"], odd["base_text"], odd["tuned_seed0_text"]) == (HOSTILE * 30, HOSTILE, 'two "quoted"\nlines, and a comma')
    page.tab.select_option("[name=from]", "base")
    page.tab.locator(".groups .pill", has_text="broken").locator("input").check()
    broken = ids(page)
    assert [row["id"] for row in csv.DictReader(io.StringIO(downloaded(page, "csv")[1][1:], newline=""))] == broken


def test_the_chosen_examples_come_as_json(page: OpenPage, report: Report) -> None:
    page.tab.fill("[name=query]", "onerror")
    page.listed(1)
    name, text = downloaded(page, "json")
    body = json.loads(text)
    (row,) = body["examples"]
    source = next(row for row in report.rows() if row["id"] == "odd/3 ?&#")
    assert (name, body["task"], body["address"]) == ("boolq-examples.json", "boolq", address(page))
    assert (row["id"], row["prompt"], row["target"]) == (source["id"], source["prompt"], source["target"])
    answers = {(arm["arm"], arm["seed"]): arm for arm in row["arms"]}
    expected = {("base", None): source["base"], ("tuned", 0): source["tuned"][0], ("tuned", 1): source["tuned"][1]}
    for key, arm in (expected | {(arm, None): answer for arm, answer in source["others"].items()}).items():
        seen = answers[key]
        assert (seen["text"], seen["parsed"], seen["scores"], seen["flags"]) == (arm["text"], arm["answer"], arm["scores"], arm["flags"])
    page.tab.fill("[name=query]", "no such text")
    page.listed(0)
    assert page.tab.locator("[data-save]:not(:disabled)").count() == 0


def test_a_count_of_the_confusion_matrix_leads_to_its_examples(page: OpenPage) -> None:
    matrix = page.tab.locator("table.confusion >> nth=0")
    counts = [(link.text_content(), link.get_attribute("href")) for link in matrix.locator("td a").all()]
    assert len(counts) > 8
    for number, href in counts:
        page.tab.evaluate("link => { location.hash = link }", href)
        page.starts("#found", f"1 to {min(25, int(number))} of {number}")
    matrix.locator("td a >> nth=0").click()
    page.starts("#found", f"1 to {min(25, int(counts[0][0]))} of {counts[0][0]}")
    assert page.tab.evaluate("document.activeElement.className").startswith("example")


def test_confusion_matrices_are_whole_on_a_desk_and_beside_each_other(page: OpenPage) -> None:
    script = "[...document.querySelectorAll('.confusion')].map(table => table.getBoundingClientRect())"
    boxes = page.tab.evaluate(script)
    right = page.tab.evaluate("document.querySelector('main').getBoundingClientRect().right")
    assert len(boxes) >= 2
    assert all(box["right"] <= right + 1 for box in boxes), (boxes, right)
    for one, other in itertools.pairwise(boxes):
        is_beside = one["top"] < other["bottom"] and other["top"] < one["bottom"]
        assert not is_beside or one["right"] <= other["left"], (one, other)


def test_paper_shows_what_was_chosen(page: OpenPage) -> None:
    page.tab.emulate_media(media="print")
    assert (page.tab.is_visible("#static"), page.tab.is_visible("#ledger")) == (True, False)
    page.tab.emulate_media(media="screen")
    page.tab.locator(".groups .pill", has_text="broken").locator("input").check()
    target = str(page.tab.text_content("#rows .sides .text >> nth=0"))
    page.tab.select_option("[name=target]", target)
    assert not page.tab.is_visible("#chosen")
    page.tab.emulate_media(media="print")
    assert page.tab.inner_text("#chosen") == f"Task: boolq. Change: broken. Target: {target}."
    assert (page.tab.is_visible("#static"), page.tab.is_visible("#rows"), page.tab.is_visible("#ledger form")) == (False, True, False)


def test_nothing_is_left_of_a_script_in_a_text(page: OpenPage) -> None:
    page.tab.fill("[name=query]", "onerror")
    page.listed(1)
    assert page.tab.locator("#rows img, #rows script").count() == 0
    assert page.tab.title() != "owned"
