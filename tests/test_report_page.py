"""The page in itself: it runs nothing that a model wrote, asks no network, stays small, and its list of examples works in a browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.report_inputs import Inputs, Made

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!-- & \u2028 ' \" ]]> {{ 7*7 }}"


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Made:
    texts = {103: {"id": f"odd/{HOSTILE}", "prompt": HOSTILE, "target": HOSTILE, "base": HOSTILE, "tuned": HOSTILE}}
    recipe = {"question": HOSTILE, "finetune": {"seeds": [0, 1]}}
    return Made(Inputs(tmp_path_factory.mktemp("hostile"), recipe, n=130, texts=texts))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(Inputs(tmp_path_factory.mktemp("big"), {"tasks": ["titles"], "finetune": {"seeds": [0, 1]}}, n=5000))


def test_texts_of_models_are_never_markup(hostile: Made) -> None:
    tags = Tags(hostile.html).found
    assert not [tag for tag, _ in tags if tag == "img"]
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    kinds = [attrs.get("type") for tag, attrs in tags if tag == "script"]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "text/plain", "application/json"}
    cell = json.loads(re.search(r'id="index">(.*?)</script>', hostile.html)[1])["cells"][0]
    assert hostile.block(cell["blocks"]["questions"])["prompt"][103] == HOSTILE
    assert "&lt;i&gt;n/a&lt;/i&gt;" in hostile.html  # the value of a dropped row
    assert "49" not in re.search(r"<title>(.*?)</title>", hostile.html)[1]
    assert "<img" not in hostile.md.partition("```yaml")[0].replace("\\<img", "")


def test_page_asks_no_network(hostile: Made) -> None:
    for tag, attrs in Tags(hostile.html).found:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form") or (tag, attrs.get("role")) == ("form", "search")
        for name in ("src", "href", "action", "xlink:href", "srcset", "data"):
            assert (attrs.get(name) or "#").startswith("#"), (tag, attrs)
    styles = " ".join(re.findall(r"<style>(.*?)</style>", hostile.html, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    assert "default-src 'none'" in hostile.html


def test_five_thousand_examples_stay_small(big: Made) -> None:
    assert big.facts["page_bytes"] == len(big.html.encode()) < 1_500_000
    assert big.html.count("<article") == 0  # drawn by the script, fifty at a time
    assert len(big.block(big.json["cells"][0]["examples"]["blocks"]["questions"])["id"]) == 5000


def test_script_and_style_hold_no_end_tag() -> None:
    folder = Path(__file__).parents[1] / "pipeline" / "page"
    assert "</" not in (folder / "page.js").read_text("utf-8")
    assert "innerHTML" not in (folder / "page.js").read_text("utf-8")
    assert "</" not in (folder / "page.css").read_text("utf-8")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def opened(page: Path, place: str, profile: Path) -> str:
    """The document as a browser holds it after five seconds of its own time."""
    flags = [*QUIET.split(), f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom", f"{page.as_uri()}{place}"]
    return subprocess.run([str(CHROMIUM), *flags], capture_output=True, text=True, timeout=120, check=True).stdout


@browser
def test_permalink_opens_an_example_and_runs_nothing_of_it(hostile: Made, tmp_path: Path) -> None:
    """The hostile example stands on the third page of the second comparison."""
    shown = opened(hostile.work.out / "report.html", f"#cell0001/{quote(f'odd/{HOSTILE}', safe='')}", tmp_path)
    tags = Tags(shown).found
    assert "<title>owned" not in shown
    assert not [tag for tag, _ in tags if tag == "img"]
    assert [attrs["class"] for tag, attrs in tags if tag == "article"].count("example linked") == 1
    assert sum(tag == "article" for tag, _ in tags) == 30
    linked = shown[shown.index("example linked") :]
    assert (
        "&lt;/script&gt;&lt;script&gt;document.title='owned'&lt;/script&gt;&lt;img src=x onerror=" in linked[: linked.index("</article>")]
    )


DRIVER = """
<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
addEventListener("load", async () => {
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  const $ = (query) => document.querySelector(query);
  const seen = {};
  const note = (name) => {
    const rows = document.querySelectorAll(".example");
    seen[name] = { found: $("#found").textContent, rows: rows.length, first: rows[0]?.querySelector("h3").textContent ?? "" };
  };
  const set = async (name, value, kind = "change") => {
    $(`[name=${name}]`).value = value;
    $(`[name=${name}]`).dispatchEvent(new Event(kind, { bubbles: true }));
    await rest(400);
  };
  await rest(500);
  note("start");
  document.querySelectorAll(".pill input")[1].click();
  note("fixed");
  document.querySelectorAll(".pill input")[0].click();
  document.querySelectorAll("[data-step='1']")[0].click();
  note("second page");
  await set("query", "PASSAGE 77:", "input");
  note("search");
  await set("query", "", "input");
  await set("flag", "base unreadable");
  note("unreadable");
  await set("flag", "tuned cut off");
  note("cut off");
  await set("flag", "");
  await set("cell", "cell0001");
  note("other comparison");
  await set("order", "gain");
  note("gain");
  location.hash = "#cell0000/boolq-60";
  await rest(400);
  note("link");
  seen.linked = $(".linked h3").textContent;
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify({ ...seen, faults });
  document.body.append(out);
});
</script>
"""


@pytest.fixture(scope="module")
def driven(hostile: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a script saw that used the list of examples; it can only run without the page's policy."""
    folder = tmp_path_factory.mktemp("driven")
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', lambda _: DRIVER, hostile.html)
    (folder / "page.html").write_text(html, "utf-8")
    shown = opened(folder / "page.html", "", folder / "profile")
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)
    assert found, shown[-2000:]
    seen: dict[str, Any] = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return seen


@browser
def test_list_of_examples_filters_searches_and_pages(hostile: Made, driven: dict[str, Any]) -> None:
    first, second = hostile.json["cells"]
    rows = hostile.rows("cell0000.verdict", "examples.jsonl")
    unread = [row["id"] for row in rows if row["base"]["answer"] is None]
    cut = [row["id"] for row in rows if any(arm["stopped"] == "length" for arm in row["tuned"])]
    assert driven["faults"] == []
    assert driven["start"] == {"found": "1 to 50 of 130", "rows": 50, "first": "boolq-0"}
    assert driven["fixed"]["found"].endswith(f"of {first['examples']['classes']['fixed']}")
    assert driven["second page"] == {"found": "51 to 100 of 130", "rows": 50, "first": "boolq-50"}
    assert driven["search"] == {"found": "1 to 1 of 1", "rows": 1, "first": "boolq-77"}
    assert driven["unreadable"] == {"found": f"1 to {len(unread)} of {len(unread)}", "rows": len(unread), "first": unread[0]}
    assert driven["cut off"] == {"found": f"1 to {len(cut)} of {len(cut)}", "rows": len(cut), "first": cut[0]}
    assert driven["other comparison"] == {"found": f"1 to 50 of {second['examples']['n']}", "rows": 50, "first": "titles-0"}
    assert driven["link"]["found"] == "51 to 100 of 130"
    assert driven["linked"] == "boolq-60"


@browser
def test_largest_gain_comes_first_when_asked(hostile: Made, driven: dict[str, Any]) -> None:
    gains = {}
    for row in hostile.rows("cell0001.verdict", "examples.jsonl"):
        tuned = [arm["scores"]["rougeL"] for arm in row["tuned"]]
        gains[row["id"]] = sum(tuned) / len(tuned) - row["base"]["scores"]["rougeL"]
    assert gains[driven["gain"]["first"]] == pytest.approx(max(gains.values()), abs=1e-3)
