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
    """The browser; cannot run inside an event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


class OpenPage:
    """An open page, with the errors on it and the addresses that it requested."""

    def __init__(self, browser: Any, file: Path, fragment: str = "", **context: Any) -> None:
        """Open a report; fragment: `#...`; context: options of playwright's context (color_scheme, viewport, ...)."""
        self.context = browser.new_context(**context)
        self.tab = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.faults.append(message.text) if message.type in ("error", "warning") else None)
        self.tab.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(f"file://{file}{fragment}")
        self.tab.wait_for_selector("html[data-ready]")

    def listed(self, count: int) -> None:
        """Wait until so many examples are listed; the page's policy forbids wait_for_function."""
        from playwright.sync_api import expect

        expect(self.tab.locator(".example")).to_have_count(count)

    def starts(self, selector: str, text: str) -> None:
        """Wait until an element's text begins with this."""
        from playwright.sync_api import expect

        expect(self.tab.locator(selector).first).to_have_text(re.compile(f"^{re.escape(text)}"))

    def close(self) -> None:
        self.context.close()
