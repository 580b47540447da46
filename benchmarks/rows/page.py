"""Page: what a browser loads before one can chat, and how soon it shows something."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError
from benchmarks.report import Row

DEMO = Path(__file__).parents[2] / "models" / "demo.gguf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
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

    with served(lab) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        version = f"Chromium {browser.version}"
        for _ in range(lab.rounds(9) + 1):
            visit(browser, url)
        browser.close()
    del paints[0], weights[0], coloured[0]  # the first round warms the browser
    return [
        Row("page: transferred until one can write", "KB", tuple(weights), target=KILOBYTES),
        Row("the same, and what colours code", "KB", tuple(coloured), target=KILOBYTES),
        Row("first contentful paint", "ms", tuple(paints), target=MILLISECONDS, note=version),
    ]


def executable() -> str:
    """Return the browser's path."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise BenchmarkError("no Chromium is installed: apt-get install chromium")
    return found


@contextmanager
def served(lab: Lab) -> Iterator[str]:
    """Give the address of a server with the demo model."""
    command = [lab.bundle(DEMO, "--compress", "none"), "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"listening on (http://\S+)", line):
                    yield found[1]
                    return
            raise BenchmarkError("the server did not start")
        finally:
            process.terminate()
