"""Page: what a browser loads before one can chat, and how soon it shows something."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError
from benchmarks.report import Row
from benchmarks.servers import served
from tools import prerequisites

DEMO = Path(__file__).parents[2] / "models" / "demo.gguf"
KILOBYTES = 400.0
MILLISECONDS = 500.0
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
COLOURS = "import('/page/vendor/highlight/highlight.js').then(() => true)"


def measure(lab: Lab) -> list[Row]:
    """Open the page of a bundle, each time in a browser profile that has kept nothing."""
    paints: list[float] = []
    weights: list[float] = []
    coloured: list[float] = []

    def visit(browser: Browser, url: str) -> None:
        with browser.new_context() as profile:
            page = profile.new_page()
            session = profile.new_cdp_session(page)
            session.send("Network.enable")
            loaded: list[float] = []
            session.on("Network.loadingFinished", lambda e: loaded.append(e["encodedDataLength"]))
            page.goto(url)
            page.wait_for_selector("body[data-ready]")
            page.wait_for_load_state("networkidle")
            paints.append(float(page.evaluate(PAINTED)))
            weights.append(sum(loaded) / 1000)
            page.evaluate(COLOURS)
            page.wait_for_load_state("networkidle")
            coloured.append(sum(loaded) / 1000)

    command: list[str | Path] = [lab.bundle(DEMO, "--compress", "none"), "serve"]
    with served(command) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        version = f"Chromium {browser.version}"
        for _ in range(lab.rounds(9) + 1):
            visit(browser, f"http://127.0.0.1:{port}/")
        browser.close()
    del paints[0], weights[0], coloured[0]  # the first round warms the browser
    return [
        Row("page: transferred until one can write", "KB", tuple(weights), target=KILOBYTES),
        Row("the same, and what colours code", "KB", tuple(coloured), target=KILOBYTES),
        Row("first contentful paint", "ms", tuple(paints), target=MILLISECONDS, note=version),
    ]


def executable() -> str:
    """Return the browser's path."""
    if not (found := prerequisites.browser()):
        raise BenchmarkError("no Chromium is installed: apt-get install chromium")
    return found
