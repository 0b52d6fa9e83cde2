"""The page as text: it runs nothing that a model wrote, asks no network and stays small. How it works in a browser: test_page_browser."""

import json
import re
from html.parser import HTMLParser

import pytest

from pipeline.page import render
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
    assert set(kinds) == {None, "application/octet-stream", "application/json"}
    cell = json.loads(re.search(r'id="index">(.*?)</script>', hostile.html)[1])["cells"][0]
    assert json.loads(hostile.carried(cell["file"]).split("\n")[103])["prompt"] == HOSTILE
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
    assert big.facts["page_bytes"] == len(big.html.encode()) < 4_000_000
    assert big.html.count("<article") == 0  # drawn by the script, a page at a time


def test_script_and_style_hold_no_end_tag() -> None:
    assert "</" not in render.script()
    assert "innerHTML" not in render.script()
    assert "</" not in (render.HERE / "page.css").read_text("utf-8")
