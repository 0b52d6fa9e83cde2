"""Prompts that are conversations, on the page: turns with roles, long ones folded, calls and results as JSON, and every text only text."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.data import row_formats
from tests import browser
from tests.browser import OpenPage
from tests.report_inputs import Chartless, Inputs, Row

pytestmark = browser.needed

HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script>"
SYSTEM = f"Answer about orders alone. {HOSTILE} " + "Be brief and kind. " * 20 + "Sign as Otto."
SCHEMA = [{"type": "function", "function": {"name": "find_order", "description": HOSTILE, "parameters": {"type": "object"}}}]
NUMBER = 12345678901234567890
"""Of more digits than a number of a browser has."""
RESULT = f'{{"order":{NUMBER},"state":"sent","places":["Bern","Olten"],"note":"{"late " * 12}"}}'
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def turn(role: str, content: str | None, **more: Any) -> Row:
    return {"role": role, "content": content, **more}


def call(name: str, number: int, **arguments: Any) -> Row:
    return turn("assistant", None, tool_calls=[{"id": f"c{number}", "function": {"name": name, "arguments": arguments}}])


LONG = [
    turn("system", SYSTEM),
    *(turn(role, f"{role} says {number}") for number in range(1, 5) for role in ("user", "assistant")),
    turn("user", f"Where is my order? {HOSTILE}"),
    call("find_order", 1, order=NUMBER),
    turn("tool", RESULT, tool_call_id="c1"),
    call("find_order", 3),
    turn("tool", "none", name="find_order"),
]
CONVERSATIONS: dict[int, list[Row]] = {
    0: [*LONG, call("find_order", 2, order=NUMBER, again=True)],
    1: [turn("user", "hi"), turn("assistant", '{"a":1}'), turn("user", "and now?"), turn("assistant", "ok")],
}


def texts(number: int, turns: list[Row]) -> Row:
    example = row_formats.from_messages({"messages": turns, "tools": SCHEMA if number == 0 else None}).example("last")
    return {"prompt": example.prompt, "target": example.target, "extra": example.extra, "base": example.target, "tuned": "no"}


class Report:
    """A report in a file, whose first examples are conversations."""

    def __init__(self, root: Path) -> None:
        changed = {number: texts(number, turns) for number, turns in CONVERSATIONS.items()}
        self.chartless = Chartless(Inputs(root, {"tasks": ["titles"]}, n=12, texts=changed))
        self.file = root / "report.html"
        self.file.write_text(self.chartless.html, "utf-8")

    def row(self, number: int) -> Row:
        return self.chartless.rows("cell0000.comparison", "examples.jsonl")[number]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return Report(tmp_path_factory.mktemp("conversations"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.running() as chromium:
        yield chromium


def opened(report: Report, chromium: Any, number: int = 0, **context: Any) -> OpenPage:
    return OpenPage(chromium, report.file, f"#cell0000/titles-{number}", **{"viewport": DESK, "accept_downloads": True} | context)


@pytest.fixture
def page(report: Report, chromium: Any) -> Iterator[OpenPage]:
    page = opened(report, chromium)
    yield page
    assert page.tab.title() != "owned"
    assert page.tab.locator("#rows img").count() == 0
    page.close()
    assert page.faults == []


def turns(page: OpenPage) -> list[list[str]]:
    """Role and content of each item of the linked example's conversation."""
    script = "all => all.map(one => [one.querySelector('.role, .gap').textContent, one.querySelector('.body, .more').textContent])"
    return page.tab.locator(".linked .turn").evaluate_all(script)  # type: ignore[no-any-return]


def test_each_turn_has_its_role_and_the_question_is_in_sight(page: OpenPage) -> None:
    seen = turns(page)
    assert [role for role, _ in seen] == [*["Tools", "System", "[8 turns]", "User"], *["Assistant", "Tool result find_order"] * 2]
    assert seen[0][1] == "find_orderShow all 206 characters"
    assert seen[1][1].startswith(f"Answer about orders alone. {HOSTILE} ")
    assert seen[1][1].endswith(f"…Show all {len(SYSTEM)} characters")
    assert seen[3][1] == f"Where is my order? {HOSTILE}"
    assert page.tab.is_visible(".linked .turn.user >> nth=-1")
    assert seen[4][1] == f'call find_order {{"order": {NUMBER}}}'
    assert page.tab.get_attribute(".linked .turns", "aria-label") == "Conversation of 15 turns"


def test_results_are_json_in_lines_with_every_digit(page: OpenPage) -> None:
    result = page.tab.text_content(".linked .turn.tool .json >> nth=0")
    lines = [f'  "order": {NUMBER},', '  "state": "sent",', '  "places": ["Bern", "Olten"],', f'  "note": "{"late " * 12}"']
    assert result == "\n".join(["{", *lines, "}"])
    assert "monospace" in page.tab.locator(".linked .turn.tool .json").evaluate("box => getComputedStyle(box).fontFamily")


def test_text_that_is_no_result_of_a_tool_stays_as_the_model_reads_it(report: Report, chromium: Any) -> None:
    page = opened(report, chromium, 1)
    assert turns(page) == [["User", "hi"], ["Assistant", '{"a":1}'], ["User", "and now?"]]
    page.close()


def test_what_is_folded_opens_by_keyboard_and_has_the_focus(page: OpenPage) -> None:
    for name, text in (("tools", HOSTILE.replace('"', '\\"')), ("system", "Sign as Otto.")):
        assert text not in page.tab.text_content(f".linked .turn.{name}")
        page.tab.locator(f".linked .turn.{name} .more").focus()
        page.tab.keyboard.press("Enter")
        assert text in page.tab.text_content(f".linked .turn.{name} .text:focus")
        assert page.tab.locator(f".linked .turn.{name} .more").count() == 0
    page.tab.locator(".linked .turn > .more").focus()
    page.tab.keyboard.press("Enter")
    assert [text for _, text in turns(page)[2:11]] == [
        *(f"{role} says {number}" for number in range(1, 5) for role in ("user", "assistant")),
        f"Where is my order? {HOSTILE}",
    ]
    assert page.tab.evaluate("document.activeElement.querySelector('.body').textContent") == "user says 1"


def test_a_target_that_calls_is_shown_as_a_call(page: OpenPage, report: Report) -> None:
    target = page.tab.locator(".linked .side").first
    assert target.locator(".json").text_content() == f'call find_order {{"order": {NUMBER}, "again": true}}'
    answer = page.tab.locator(".linked .side").nth(1)
    assert answer.locator(".text").text_content() == report.row(0)["target"] == report.row(0)["base"]["text"]


@pytest.mark.parametrize(
    ("query", "role"),
    [
        ("Sign as Otto", "System"),
        ("assistant says 3", "Assistant"),
        ('"state": "sent"', "Tool result find_order"),
        ('"state":"sent","places"', "Tool result find_order"),
        ('{"type": "object"}', "Tools"),
        (f'"order": {NUMBER}', "Assistant"),
    ],
    ids=["folded", "hidden", "as shown", "as written", "schemas", "arguments"],
)
def test_the_search_finds_text_in_turns_and_marks_it(report: Report, chromium: Any, query: str, role: str) -> None:
    page = opened(report, chromium)
    page.tab.fill("[name=query]", query)
    page.listed(1)
    assert role in page.tab.locator(".turn", has=page.tab.locator("mark")).locator(".role").all_text_contents()
    assert query in page.tab.locator(".turn mark").all_text_contents()
    assert page.tab.is_visible(".turn mark")
    page.close()


def test_downloads_have_every_turn(page: OpenPage, report: Report) -> None:
    files = {}
    for kind in ("json", "csv"):
        with page.tab.expect_download() as download:
            page.tab.click(f"[data-save={kind}]")
        files[kind] = Path(download.value.path()).read_text("utf-8-sig")
    rows = {row["id"]: row for row in json.loads(files["json"])["examples"]}
    assert rows["titles-0"]["prompt"] == report.row(0)["prompt"]
    assert [(turn["role"], turn["content"] or "") for turn in rows["titles-0"]["prompt"][1:]] == [
        (turn["role"], turn["content"] or "") for turn in LONG
    ]
    arguments = rows["titles-0"]["prompt"][-4]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"order": NUMBER}
    table = {row["id"]: row for row in csv.DictReader(io.StringIO(files["csv"], newline=""))}
    text = table["titles-0"]["prompt"]
    assert text.startswith("Tools: [{")
    parts = [f"System: {SYSTEM}", "User: user says 1", f"Assistant: find_order({arguments})", f"Tool result find_order: {RESULT}"]
    assert all(f"\n\n{part}" in text for part in parts)
    assert table["titles-5"]["prompt"] == report.row(5)["prompt"]


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_read_a_conversation(report: Report, chromium: Any, viewport: dict[str, int], scheme: str) -> None:
    """axe-core finds nothing, folded or not, and nothing is wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(report, chromium, viewport=viewport, color_scheme=scheme)
    for _ in range(2):
        broken = axe.run(page.tab, context="#rows").response["violations"]
        assert [(rule["id"], [node["html"][:160] for node in rule["nodes"][:3]]) for rule in broken] == []
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        for button in page.tab.locator(".linked .more").all()[::-1]:
            button.click()
    page.close()


def test_paper_says_which_turns_it_leaves_out(page: OpenPage) -> None:
    page.tab.fill("[name=query]", "sign as otto")
    page.listed(1)
    page.tab.emulate_media(media="print")
    assert page.tab.is_visible(".turn .gap")
    assert not page.tab.is_visible(".turn .more >> nth=0")
    assert page.tab.is_visible(".turn.user >> nth=-1")


def test_readers_without_scripts_see_roles_and_the_question(report: Report, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"file://{report.file}")
    cells = tab.locator("#static tr", has=tab.locator("th", has_text="titles-0")).locator(".value")
    parts = cells.first.locator("span").all_text_contents()
    assert [part.split(" ")[0] for part in parts] == ["Tools", "System", "User", "Assistant", "Tool"]
    assert parts[4] == "Tool result none"
    assert parts[2] == f"User Where is my order? {HOSTILE}"
    assert parts[3] == "Assistant call find_order {}"
    assert "[2 turns]" in cells.first.text_content()
    assert tab.is_visible("#static")
    context.close()
