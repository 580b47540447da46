"""A real browser before a served page: Debian's Chromium, driven by Playwright.

Whatever a page does in a test, it must not complain, break its own rules or ask anybody else:
`Watch` notes all that, and its `quiet` fails a test that made noise.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tools import prerequisites

SECONDS = 20
expect.set_options(timeout=SECONDS * 1000)
FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
JAPAN, TOKYO = "What is the capital of Japan?", "The capital of Japan is Tokyo."
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation",
  (event) => violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def executable() -> str:
    """Return the browser's path; the message says how to get one."""
    found = prerequisites.browser()
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
def opened(browser: Browser, address: str, **context: Any) -> Iterator[tuple[Page, Watch]]:
    """Give the page at `address`, ready, in a browser profile of its own; it must stay quiet."""
    with browser.new_context(**context) as profile:
        profile.set_default_timeout(SECONDS * 1000)
        profile.add_init_script(VIOLATIONS)
        page = profile.new_page()
        parts = urlsplit(address)
        watch = Watch(page, f"{parts.scheme}://{parts.netloc}")
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page, watch
        watch.quiet()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def asked(page: Page, question: str, answer: str) -> None:
    """Ask, and wait for the whole answer."""
    ask(page, question)
    expect(page.locator(".answer").last.locator(".reply")).to_have_text(answer)
    expect(page.locator("#stop")).to_be_hidden()


@contextmanager
def slowly(page: Page, rate: int = 4000) -> Iterator[None]:
    """Let what the server sends arrive at `rate` bytes a second."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {**limits, "downloadThroughput": rate})
    yield
    session.send("Network.emulateNetworkConditions", {**limits, "downloadThroughput": -1})


def until(page: Page, expression: str) -> None:
    """Wait until the expression is true; the page's policy lets it not evaluate any itself."""
    end = time.monotonic() + SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def imported(page: Page, *documents: str) -> None:
    """Import files of these texts."""
    files = [
        {"name": f"{number}.json", "mimeType": "application/json", "buffer": text.encode()}
        for number, text in enumerate(documents)
    ]
    page.set_input_files("#import", files)  # type: ignore[arg-type]


def dialogue(*texts: str) -> str:
    """Return an importable file: questions and answers by turns."""
    roles = ("user", "assistant")
    return json.dumps([{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)])
