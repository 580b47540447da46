"""A real browser before a served page: Debian's Chromium, driven by Playwright.

Whatever a page does in a test, it must not complain, break its own rules or ask anybody else:
`Watch` notes all that, and its `quiet` fails a test that made noise.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 20
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation",
  (event) => violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def executable() -> str:
    """Return the browser's path; the message says how to get one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "the page's tests need a browser: apt-get install chromium"
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a running browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that it should not."""

    page: Page
    origin: str
    noise: list[str] = field(default_factory=list)
    allowed: tuple[str, ...] = ()
    """Parts of messages that a test provokes on purpose."""

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.noise.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.noise.append(f"{kind}: {text}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if (
            parts.scheme not in ("data", "blob")
            and f"{parts.scheme}://{parts.netloc}" != self.origin
        ):
            self.noise.append(f"asked elsewhere: {request.url}")

    def quiet(self) -> None:
        """Fail unless there was nothing to hear."""
        heard: list[str] = [*self.noise, *self.page.evaluate("window.violations ?? []")]
        assert [] == [text for text in heard if not any(part in text for part in self.allowed)]


@contextmanager
def opened(browser: Browser, origin: str, **context: Any) -> Iterator[tuple[Page, Watch]]:
    """Give the page at `origin`, ready, in a browser profile of its own; it must stay quiet."""
    with browser.new_context(**context) as profile:
        profile.set_default_timeout(SECONDS * 1000)
        profile.add_init_script(VIOLATIONS)
        page = profile.new_page()
        watch = Watch(page, origin)
        page.goto(origin)
        page.wait_for_selector("body[data-ready]")
        yield page, watch
        watch.quiet()
