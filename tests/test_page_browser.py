"""The page in a real browser: it filters, searches, links, can be used by keyboard and read by anyone, runs nothing and asks nothing."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import browser
from tests.browser import OpenPage
from tests.report_inputs import BuiltReport, Inputs

pytestmark = browser.needed

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!-- & \u2028 ' \" ]]> {{ 7*7 }}"
ARMS = ("base_fewshot", "base_constrained", "reference.gpt-x", "shuffled_labels")
RECIPE = {
    "question": HOSTILE,
    "finetune": {"seeds": [0, 1]},
    "references": [{"name": "gpt-x", "endpoint": "http://localhost/v1", "model": "gpt", "price": {"input": 2.5, "output": 10.0}}],
    "cost": {"gpu_hour": 1.2},
}
SHOWN = ("Target", "base", "fine-tuned", "few-shot base", "ranked choices (base)", "gpt-x", "placebo: shuffled answers")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOOKS = [("light", "light", DESK), ("dark", "dark", DESK), ("narrow", "light", PHONE), ("narrow-dark", "dark", PHONE)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    texts = {103: {"id": f"odd/{HOSTILE}", "prompt": HOSTILE, "target": HOSTILE, "base": HOSTILE, "tuned": f"{HOSTILE} indeed"}}
    texts[104] = {"target": "the red car stands here", "base": "the blue car stands here"}
    return BuiltReport(Inputs(tmp_path_factory.mktemp("page"), RECIPE, n=130, texts=texts, arms=ARMS, measured=True))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    recipe = {"tasks": ["shop_sentiment"], "sweep": {"finetune.rank": [4], "finetune.learning_rate": [1e-4, 2e-4]}}
    return BuiltReport(Inputs(tmp_path_factory.mktemp("swept"), recipe, n=8))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.running() as chromium:
        yield chromium


@pytest.fixture
def page(report: BuiltReport, chromium: Any) -> Iterator[OpenPage]:
    page = OpenPage(chromium, report.work.out / "report.html", viewport=DESK)
    yield page
    page.close()
    assert page.faults == []
    assert page.requests == [f"file://{report.work.out / 'report.html'}"]


def rows(report: BuiltReport, cell: str = "cell0000") -> list[dict[str, Any]]:
    return report.rows(f"{cell}.comparison", "examples.jsonl")


def arms(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [row["base"], *row["tuned"], *row["others"].values()]


def result_line(page: OpenPage) -> str:
    return str(page.tab.inner_text("#found"))


def first(page: OpenPage) -> str:
    return str(page.tab.locator("#rows .example h3").first.text_content())


def as_in_the_test_set(page: OpenPage) -> None:
    page.tab.select_option("[name=order]", "data")


def test_every_example_is_listed_a_page_at_a_time(page: OpenPage, report: BuiltReport) -> None:
    as_in_the_test_set(page)
    assert (result_line(page), first(page)) == ("1 to 25 of 130", "boolq-0")
    page.tab.click("[data-step='1'] >> nth=0")
    assert (result_line(page), first(page)) == ("26 to 50 of 130", "boolq-25")
    assert page.tab.locator(".example").count() == 25
    assert len(rows(report)) == 130


def test_groups_hold_as_many_as_the_report_says(page: OpenPage, report: BuiltReport) -> None:
    for cell in report.json["cells"]:
        page.tab.select_option("[name=cell]", cell["cell"])
        page.tab.wait_for_function(
            "n => document.querySelectorAll('.groups .pill').length === n",
            arg=1 + len(cell["examples"]["classes"]) + (not cell["examples"]["zero_one"]),
        )
        page.starts("#rows h3", cell["task"])
        for arm, counts in (("", cell["examples"]["by_arm"][cell["headline"]["baseline"]]), ("base", cell["examples"]["classes"])):
            if arm:
                page.tab.select_option("[name=from]", arm)
            for name, count in counts.items():
                pill = page.tab.locator(".groups .pill", has_text=name)
                assert pill.locator("b").inner_text() == str(count)
                pill.locator("input").check()
                assert result_line(page).endswith(f"of {count}" if count else "No matching examples.")


def test_what_neither_arm_gets_half_right_is_found_of_graded_tasks(page: OpenPage, report: BuiltReport) -> None:
    assert page.tab.locator(".groups .pill", has_text="both low").count() == 0  # of 0 and 1 it is the group both wrong
    page.tab.select_option("[name=cell]", "cell0001")
    page.starts("#rows h3", "titles")
    page.tab.select_option("[name=from]", "base")
    as_in_the_test_set(page)

    def score(row: dict[str, Any]) -> float:
        return max(row["base"]["scores"]["rougeL"], sum(arm["scores"]["rougeL"] for arm in row["tuned"]) / 2)

    low = [row for row in rows(report, "cell0001") if score(row) < 0.5]
    pill = page.tab.locator(".groups .pill", has_text="both low")
    assert pill.get_attribute("title") == "Neither the arm compared with nor the fine-tuned model (mean over seeds) reaches a score of 0.5"
    assert pill.locator("b").inner_text() == str(len(low))
    pill.locator("input").check()
    assert result_line(page).endswith(f"of {len(low)}")
    assert first(page) == low[0]["id"]
    assert 0 < len(low) < 130
    gained = [row for row in low if sum(arm["scores"]["rougeL"] for arm in row["tuned"]) / 2 > row["base"]["scores"]["rougeL"]]
    assert gained
    assert page.tab.locator("#rows .up").count() == len([row for row in gained if row in low[:25]])
    page.tab.evaluate("place => { location.hash = place }", f"#cell0001/{low[-1]['id']}")  # a link shows one among all
    page.tab.wait_for_selector(".example.linked")
    assert result_line(page).endswith("of 130")


@pytest.mark.parametrize("flag", ["unparsed", "truncated", "endless", "empty", "hallucinated"])
def test_flags_filter_by_any_arm_and_by_one(page: OpenPage, report: BuiltReport, flag: str) -> None:
    name = "titles" if flag == "hallucinated" else "boolq"
    cell = next(cell["cell"] for cell in report.json["cells"] if cell["task"] == name)
    page.tab.select_option("[name=cell]", cell)
    page.starts("#rows h3", name)
    page.tab.select_option("[name=flag]", flag)
    having = [row for row in rows(report, cell) if any(flag in arm["flags"] for arm in arms(row))]
    assert result_line(page).endswith(f"of {len(having)}" if having else "No matching examples.")
    page.tab.select_option("[name=by]", "base")
    having = [row for row in rows(report, cell) if flag in row["base"]["flags"]]
    assert result_line(page).endswith(f"of {len(having)}" if having else "No matching examples.")


def test_arms_that_differ_are_found(page: OpenPage, report: BuiltReport) -> None:
    page.tab.select_option("[name=flag]", "differ")
    differing = [row for row in rows(report) if len({arm["scores"]["accuracy"] for arm in arms(row)}) > 1]
    assert result_line(page).endswith(f"of {len(differing)}")


def test_search_finds_one_and_escape_clears_it(page: OpenPage) -> None:
    page.tab.fill("[name=query]", "PASSAGE 77:")
    page.listed(1)
    assert first(page) == "boolq-77"
    assert page.tab.text_content(".example .prompt mark") == "Passage 77:"
    page.tab.press("[name=query]", "Escape")
    page.listed(25)
    assert page.tab.input_value("[name=query]") == ""


def test_largest_gain_comes_first_when_asked(page: OpenPage, report: BuiltReport) -> None:
    page.tab.select_option("[name=cell]", "cell0001")
    page.starts("#rows h3", "titles")
    page.tab.select_option("[name=from]", "base")
    page.tab.select_option("[name=order]", "gain")
    gains = {
        row["id"]: sum(arm["scores"]["rougeL"] for arm in row["tuned"]) / 2 - row["base"]["scores"]["rougeL"]
        for row in rows(report, "cell0001")
    }
    assert gains[first(page)] == pytest.approx(max(gains.values()))


def test_arms_stand_side_by_side_and_can_be_put_away(page: OpenPage) -> None:
    for pill in page.tab.locator(".arms .pill input").all():
        pill.check()
    names = page.tab.locator(".example >> nth=0").locator(".sides h4").all_text_contents()
    assert [label for label in SHOWN if any(name.startswith(label) for name in names)] == list(SHOWN)
    assert names[0] == "Target"
    before = len(names)
    page.tab.locator(".arms .pill", has_text="gpt-x").locator("input").uncheck()
    assert page.tab.locator(".example >> nth=0").locator(".sides h4").count() == before - 1


def test_words_that_differ_are_marked(page: OpenPage) -> None:
    page.tab.fill("[name=query]", "indeed")
    page.listed(1)
    box = page.tab.locator(".side", has_text="indeed")
    assert box.locator("ins").all_text_contents() == [" indeed"]
    assert box.locator("del").count() == 0
    page.tab.locator(".against .pill", has_text="nothing").locator("input").check()
    assert page.tab.locator("#rows ins, #rows del").count() == 0


@pytest.mark.parametrize(
    ("other", "text", "expected"),
    [
        ("a b c", "a x c", [["same", "a "], ["gone", "b"], ["added", "x"], ["same", " c"]]),
        ("the red car", "the car", [["same", "the "], ["gone", "red "], ["same", "car"]]),
        ("the car", "the red car", [["same", "the "], ["added", "red "], ["same", "car"]]),
        ("yes", "no", [["added", "no"]]),
        ("w " * 401, "w", None),
    ],
)
def test_differences_of_words(chromium: Any, other: str, text: str, expected: Any) -> None:
    script = (Path(__file__).parents[1] / "pipeline" / "page" / "templates" / "diff.js").read_text("utf-8")
    page = chromium.new_page()
    assert page.evaluate(f"([other, text]) => {{ {script}; return differences(other, text) }}", [other, text]) == expected
    page.close()


COLOURS_OF = """tag => {
  const look = getComputedStyle(document.querySelector(`#rows ${tag}`));
  return [look.color, look.backgroundColor, look.textDecorationColor];
}"""
RESULTS = """() => ["good", "bad"].map(name => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_differs_has_no_colour_of_right_or_wrong(report: BuiltReport, chromium: Any, scheme: str) -> None:
    page = OpenPage(chromium, report.work.out / "report.html", viewport=DESK, color_scheme=scheme)
    page.tab.fill("[name=query]", "blue car")
    page.listed(1)
    results = page.tab.evaluate(RESULTS)
    assert len(set(results)) == 2
    for tag in ("ins", "del"):
        assert not set(page.tab.evaluate(COLOURS_OF, tag)) & set(results)
    page.close()


def test_lift_and_verdict_are_seen_on_a_phone(report: BuiltReport, swept: BuiltReport, chromium: Any) -> None:
    """Without a scroll of the table sideways."""
    for inputs, first in ((report, 1), (swept, 2)):
        page = OpenPage(chromium, inputs.work.out / "report.html", viewport=PHONE)
        row = page.tab.locator("#cell0000 > *")
        assert row.nth(first).inner_text() in ("improved", "worse", "above base", "below base", "inconclusive")
        for number, name in enumerate(("verdict", "lift"), first):
            box = row.nth(number).bounding_box()
            assert box, name
            assert box["x"] + box["width"] <= PHONE["width"], name
        page.close()


def test_wide_tables_are_whole_on_a_desk(report: BuiltReport, swept: BuiltReport, chromium: Any) -> None:
    for inputs in (report, swept):
        page = OpenPage(chromium, inputs.work.out / "report.html", viewport=DESK)
        unfold(page.tab)
        for label in ("Lifts by task and metric", "Artifacts", "Answers by arm"):
            hidden = page.tab.locator(f"[aria-label='{label}']").evaluate("box => box.scrollWidth - box.clientWidth")
            assert hidden == 0, label
        assert page.tab.evaluate("document.documentElement.scrollWidth") == DESK["width"]
        page.close()


def test_permalink_survives_reload_and_filters_and_runs_nothing(page: OpenPage) -> None:
    """The hostile example stands on the fifth page of the second comparison."""
    place = f"#cell0001/{quote(f'odd/{HOSTILE}', safe='')}"
    page.tab.evaluate("place => { location.hash = place }", place)
    page.tab.wait_for_selector(".example.linked")
    page.tab.reload()
    page.requests.pop()
    page.tab.wait_for_selector(".example.linked")
    assert page.tab.text_content(".linked h3") == f"odd/{HOSTILE}"
    assert page.tab.text_content(".linked .text >> nth=0") == HOSTILE
    assert page.tab.locator("#rows img, #rows script").count() == 0
    assert not page.tab.title().startswith("owned")
    page.tab.fill("[name=query]", "indeed")
    page.listed(1)
    assert page.tab.locator(".example.linked").count() == 1
    page.tab.fill("[name=query]", "no such text")
    page.listed(0)
    assert result_line(page).startswith("Linked example odd/")
    assert page.tab.evaluate("location.hash").startswith("#examples?cell=cell0001&q=no+such+text&at=odd")


def test_a_click_on_a_name_makes_the_address(page: OpenPage) -> None:
    as_in_the_test_set(page)
    page.tab.click("#rows .example h3 a >> nth=2")
    assert page.tab.evaluate("location.hash") == "#cell0000/boolq-2"
    page.tab.evaluate("location.hash = '#cell0000/none'")
    page.starts("#found", "There is no example none")


def test_evidence_is_there_and_unfolds(page: OpenPage, report: BuiltReport) -> None:
    ids = set(page.tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
    statements = [*report.json["claims"], *report.json["rules"], *(row for advice in report.json["advice"] for row in advice["sentences"])]
    assert len(statements) > 20
    anchors = {row["evidence"] for row in statements} | {anchor for row in report.json["summary"] for anchor in row["evidence"]}
    assert {anchor.removeprefix("#") for anchor in anchors} <= ids
    assert not page.tab.is_visible("#cell0000-hallucination")
    page.tab.evaluate("location.hash = '#cell0000-hallucination'")
    page.tab.wait_for_selector("#cell0000-hallucination", state="visible")


def test_keyboard_alone_is_enough(page: OpenPage) -> None:
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.className") == "skip"
    for _ in range(400):
        page.tab.keyboard.press("Tab")
        if page.tab.evaluate("document.activeElement.name") == "query":
            break
    page.tab.keyboard.type("passage 12:")
    page.tab.keyboard.press("Enter")
    page.listed(1)
    outline = page.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    for _ in range(40):
        page.tab.keyboard.press("Tab")
        if page.tab.evaluate("document.activeElement.matches('#rows h3 a')"):
            break
    page.tab.keyboard.press("Enter")
    assert page.tab.evaluate("location.hash") == "#cell0000/boolq-12"


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('main > section details.fold').forEach(d => { d.open = true })")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scheme", "viewport"), LOOKS, ids=[look[0] for look in LOOKS])
def test_anyone_can_read_it(report: BuiltReport, chromium: Any, name: str, scheme: str, viewport: dict[str, int]) -> None:
    """axe-core finds nothing, folded or not, and nothing is wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = OpenPage(chromium, report.work.out / "report.html", viewport=viewport, color_scheme=scheme)
    for step in (lambda _: None, unfold):
        step(page.tab)
        broken = axe.run(page.tab).response["violations"]
        assert [(rule["id"], [node["html"][:160] for node in rule["nodes"][:3]]) for rule in broken] == []
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    page.close()
    assert page.faults == []


def test_no_sideways_scroll_at_360(report: BuiltReport, chromium: Any) -> None:
    page = OpenPage(chromium, report.work.out / "report.html", viewport={"width": 360, "height": 740})
    unfold(page.tab)
    assert page.tab.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


@pytest.mark.slow
def test_five_thousand_examples_of_six_arms_open(tmp_path: Path, chromium: Any) -> None:
    """Not timed here: benchmarks say how fast; this says that all is there and one page drawn."""
    big = BuiltReport(Inputs(tmp_path, {**RECIPE, "tasks": ["titles"], "finetune": {}}, n=5000, arms=ARMS))
    page = OpenPage(chromium, big.work.out / "report.html", viewport=DESK)
    assert result_line(page) == "1 to 25 of 5,000"
    assert page.tab.locator(".example .side").count() == 25 * 4  # target, base, fine-tuned and the best baseline
    for pill in page.tab.locator(".arms .pill input").all():
        pill.check()
    assert page.tab.locator(".example .side").count() == 25 * 7
    page.close()


@pytest.mark.skipif("LORALIFT_PICTURES" not in os.environ, reason="LORALIFT_PICTURES names a report.html to take pictures of")
@pytest.mark.parametrize(("name", "scheme", "viewport"), LOOKS[:3], ids=[look[0] for look in LOOKS[:3]])
def test_pictures(chromium: Any, name: str, scheme: str, viewport: dict[str, int]) -> None:
    """Writes docs/img/report-*.png, the top of the page as a reader first sees it, and docs/example_report.html, the page itself."""
    source, docs = Path(os.environ["LORALIFT_PICTURES"]).resolve(), Path(__file__).parents[1] / "docs"
    shutil.copyfile(source, docs / "example_report.html")
    page = OpenPage(chromium, source, viewport=viewport, color_scheme=scheme)
    target = docs / "img" / f"report-{name}.png"
    page.tab.screenshot(
        path=str(target), clip={"x": 0, "y": 0, "width": viewport["width"], "height": viewport["height"] + 500}, full_page=True
    )
    page.close()
    assert json.dumps(page.faults) == "[]"


def test_links_are_large_enough_to_touch(page: OpenPage) -> None:
    """WCAG 2.5.8: 24 pixels, for links that stand alone."""
    unfold(page.tab)
    small = page.tab.evaluate(
        """[...document.querySelectorAll('nav a, .why, th a, .example header a')].filter(a => a.offsetParent)
           .map(a => [a.textContent, a.getBoundingClientRect().height]).filter(([_, height]) => height < 24)"""
    )
    assert small == []


def test_navigation_stays_in_sight(page: OpenPage) -> None:
    page.tab.evaluate("location.hash = '#checks'")
    page.tab.wait_for_timeout(200)
    assert page.tab.evaluate("scrollY") > 500
    box = page.tab.locator("nav a").first.bounding_box()
    heading = page.tab.locator("#checks h2").bounding_box()
    assert box
    assert heading
    assert 0 <= box["y"] < 40
    assert heading["y"] > page.tab.evaluate("document.querySelector('nav').getBoundingClientRect().bottom")


def test_navigation_marks_the_section_that_is_read(page: OpenPage) -> None:
    def marks(name: str) -> None:
        page.tab.wait_for_function(
            "name => [...document.querySelectorAll('nav [aria-current=location]')].map(link => link.textContent).join() === name", arg=name
        )

    marks("Verdict")
    page.tab.evaluate("location.hash = '#training'")
    marks("Training")
    page.tab.evaluate("document.querySelector('#arms h2').scrollIntoView()")  # by hand: the address stays
    marks("All arms")
    page.tab.evaluate("location.hash = '#lineage'")  # short, near the end: the page cannot bring it to the top
    marks("Provenance")
    page.tab.evaluate("window.scrollTo(0, 0)")
    marks("Verdict")


def test_no_two_links_of_a_matrix_have_one_name(report: BuiltReport, swept: BuiltReport, chromium: Any) -> None:
    """A figure alone does not tell a screen reader which adapter, task or class it is of."""
    for inputs, matrix in ((report, "#other-tasks"), (swept, ".confusion")):
        page = OpenPage(chromium, inputs.work.out / "report.html", viewport=DESK)
        tables = page.tab.evaluate(
            """matrix => [...document.querySelectorAll(matrix)].map(table => [...table.querySelectorAll('td a')]
               .map(link => [link.ariaLabel ?? '', link.textContent]))""", matrix
        )  # fmt: skip
        assert any(tables), matrix
        for links in tables:
            assert len({label for label, _ in links}) == len(links)
            assert all(label.startswith(text) and len(label) > len(text) + 8 for label, text in links)
        page.close()


def test_no_table_is_wider_than_paper(report: BuiltReport, swept: BuiltReport, chromium: Any) -> None:
    """A sheet of A4 is 720 pixels wide."""
    for inputs in (report, swept):
        page = OpenPage(chromium, inputs.work.out / "report.html", viewport={"width": 720, "height": 1000})
        page.tab.emulate_media(media="print")
        page.tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        wide = page.tab.evaluate(
            """[...document.querySelectorAll('table')].filter(table => table.checkVisibility())
               .filter(table => table.getBoundingClientRect().right > innerWidth)
               .map(table => [table.closest('[aria-label]').ariaLabel, table.getBoundingClientRect().width])"""
        )
        assert wide == []
        assert page.tab.evaluate("document.documentElement.scrollWidth") == 720
        page.close()


def test_paper_has_the_verdict_its_tables_and_some_examples(page: OpenPage) -> None:
    """Long lists stay on the screen, unless the reader has opened one."""
    assert not page.tab.is_visible("#claims")
    assert not page.tab.is_visible("#static")
    lists = [page.tab.locator("details.fold.screen", has_text=title).first for title in ("Recipe", "Artifacts", "examples that got worse")]
    lists[0].evaluate("fold => { fold.open = true }")
    page.tab.emulate_media(media="print")
    assert page.tab.is_visible("#static")
    page.tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.tab.locator("details.fold:not(.screen):not([open])").count() == 0
    assert page.tab.is_visible("#claims")
    assert page.tab.is_visible(".card")
    assert [fold.is_visible() for fold in lists] == [True, False, False]
    assert page.tab.locator("#static tbody tr:visible").count() <= 3 * page.tab.locator("#static table").count()
    assert page.tab.is_visible("footer .paper")
    page.tab.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.tab.locator("details.fold[open]").count() == 1
    page.tab.emulate_media(media="screen")
    assert not page.tab.is_visible("footer .paper")


def test_a_page_of_two_tasks_prints_on_a_dozen_sheets(page: OpenPage) -> None:
    """The tour's page took 31 with every fold open, and takes 16."""
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.tab.pdf(format="A4")))
    assert 4 < sheets <= 16


def test_examples_are_seen_without_scripts(report: BuiltReport, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"file://{report.work.out / 'report.html'}")
    assert tab.is_visible("#static table >> nth=0")
    assert not tab.is_visible("#ledger")
    context.close()


ARRIVAL = """target => {
  const row = document.getElementById(target), box = row.getBoundingClientRect();
  const marked = row.matches("table") ? row.querySelector("caption span") || row : row;
  return {
    top: box.top, bottom: Math.min(box.bottom, box.top + 60), nav: document.querySelector("nav").getBoundingClientRect().bottom,
    folded: Boolean(row.closest("details:not([open])")),
    colour: getComputedStyle(marked).backgroundColor, outline: getComputedStyle(row).outlineColor,
  };
}"""
MARK = "rgb(255, 230, 154)"


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_evidence_leads_to_its_row_in_sight(report: BuiltReport, chromium: Any, viewport: dict[str, int]) -> None:
    """Folds open on the way, the row is marked and below the navigation: by a click, by a second one, and where the page opens there."""
    page = OpenPage(chromium, report.work.out / "report.html", viewport=viewport)
    of_sentences = ".summary a, .watch a, .aside a, #verdict > .caption a"
    links = page.tab.evaluate(f"[...new Set([...document.querySelectorAll('a.why, {of_sentences}, .matrix a, .rule a')].map(a => a.hash))]")
    assert len(links) > 12
    assert {"#other-tasks", "#claims"} & set(links)

    def check(link: str) -> None:
        seen = page.tab.evaluate(ARRIVAL, link.removeprefix("#"))
        assert not seen["folded"], link
        assert seen["nav"] <= seen["top"] < seen["bottom"] <= viewport["height"], (link, seen)
        assert MARK in (seen["colour"], seen["outline"]) or link == "#claims", (link, seen)

    for link in links:
        page.tab.evaluate("link => document.querySelector(`main a[href='${link}']`).click()", link)
        page.tab.wait_for_timeout(30)
        check(link)
    page.tab.evaluate("document.querySelectorAll('details.fold').forEach(fold => { fold.open = false }); scrollTo(0, 0)")
    page.tab.evaluate("link => document.querySelector(`main a[href='${link}']`).click()", links[-1])
    check(links[-1])
    for link in (links[-1], "#claims"):
        page.tab.goto("about:blank")
        page.tab.goto(f"file://{report.work.out / 'report.html'}{link}")
        page.tab.wait_for_selector("html[data-ready]")
        check(link)
    page.close()


def test_a_wide_matrix_scrolls_in_its_own_box(swept: BuiltReport, report: BuiltReport, chromium: Any) -> None:
    """On a phone the name of the adapter stays in sight."""
    page = OpenPage(chromium, report.work.out / "report.html", viewport=PHONE)
    box = page.tab.locator("[aria-label='Other tasks by adapter']")
    head = box.locator("tbody th").first
    before = head.bounding_box()
    box.evaluate("box => { box.scrollLeft = 400 }")
    after = head.bounding_box()
    assert before
    assert after
    assert abs(before["x"] - after["x"]) < 6
    page.close()
