"""A real browser for tests of the page: Debian's Chromium, driven by playwright, without a way to any network."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needed = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@contextmanager
def running() -> Iterator[Any]:
    """The browser; not inside an event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield found
        finally:
            found.close()


class Seen:
    """A page that is open, and what went wrong on it."""

    def __init__(self, browser: Any, file: Path, place: str = "", **look: Any) -> None:
        """Open a report; `look` is what playwright calls a context: color_scheme, viewport, ..."""
        self.context = browser.new_context(**look)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"file://{file}{place}")
        self.page.wait_for_selector("html[data-ready]")

    def listed(self, count: int) -> None:
        """Wait until so many examples are shown; not by wait_for_function, which the page's policy forbids."""
        from playwright.sync_api import expect

        expect(self.page.locator(".example")).to_have_count(count)

    def starts(self, selector: str, text: str) -> None:
        """Wait until an element's text begins so."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector).first).to_have_text(re.compile(f"^{re.escape(text)}"))

    def close(self) -> None:
        self.context.close()
