"""The page while answers take long, are stopped or fail."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from browsers import (
    FRANCE,
    JAPAN,
    PARIS,
    TOKYO,
    ask,
    asked,
    dialogue,
    imported,
    opened,
    slowly,
    until,
)
from playwright.sync_api import Browser, expect
from program import Program
from servers import Served, serve

KEPT = """async () => {
  const {Store} = await import("/page/store.js");
  const [conversation] = await (await Store.open()).all();
  return conversation?.messages[1]?.content.includes("Paris");
}"""


@pytest.fixture(scope="module")
def talkative(chat: Program) -> Iterator[Served]:
    """Return a server that reads word by word, and whose answers only the context ends."""
    flags = ("-t", "1", "--ignore-eos", "-b", "1", "-np", "1", "--queue", "1")
    with serve(chat, *flags) as running:
        yield running


def test_stop_keeps_what_was_written(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, _):
        text = page.locator(".reply")
        with slowly(page):
            ask(page, FRANCE)
            expect(text).to_contain_text("capital")
            page.get_by_role("button", name="Stop the answer").click()
            expect(page.get_by_text("You stopped this answer.")).to_be_visible()

        expect(page.locator("#question")).to_be_focused()
        kept = text.inner_text()
        assert kept.startswith("The capital")
        page.reload()
        expect(text).to_have_text(kept)

        page.get_by_role("button", name="New conversation").first.click()
        with slowly(page):
            ask(page, FRANCE)
            expect(text).to_contain_text("capital")
            page.keyboard.press("Escape")
            expect(page.get_by_text("You stopped this answer.")).to_be_visible()


def test_a_reload_in_mid_answer_loses_little(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, _):
        with slowly(page):
            ask(page, FRANCE)
            until(page, KEPT)
            page.reload(wait_until="commit")

        expect(page.locator(".reply")).to_contain_text("Paris")
        expect(page.get_by_text("The page was closed before")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_busy_is_said_and_asked_again(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, watch):
        watch.allowed = ("503",)
        over = threading.Event()

        def hammer() -> None:
            while not over.is_set():
                talkative.post("/v1/completions", {"prompt": "The", "max_tokens": 500})
                over.wait(0.01)

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        try:
            for thread in threads:
                thread.start()
            for _ in range(20):  # a question may slip in between two of theirs
                ask(page, FRANCE)
                state = page.locator(".answer").last.locator(".state, .facts:not(:empty)")
                expect(state.first).to_contain_text(re.compile("Busy|tokens"))
                if page.get_by_text("Busy with other questions").is_visible():
                    break
                expect(page.locator("#stop")).to_be_hidden()
            expect(page.get_by_text("Busy with other questions")).to_be_visible()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        expect(page.locator(".answer").last.locator(".reply")).to_contain_text("Paris")


def test_a_program_that_went_away_and_came_back(browser: Browser, chat: Program) -> None:
    with serve(chat, "-t", "1") as first, opened(browser, first.url) as (page, watch):
        watch.allowed = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE")
        asked(page, FRANCE, PARIS)
        first.stop()
        ask(page, JAPAN)
        expect(page.locator("#connection")).to_contain_text("not reachable")
        expect(page.get_by_text("Waiting for the program to come back")).to_be_visible()
        with serve(chat, "-t", "1", port=first.port):
            expect(page.locator(".reply")).to_have_text([PARIS, TOKYO])
            expect(page.locator("#connection")).to_be_hidden()


def test_a_connection_lost_in_mid_answer_is_said(browser: Browser, chat: Program) -> None:
    # So long an answer that it is not complete, and all of it underway, before the end.
    with (
        serve(chat, "-t", "1", "--ignore-eos", "-c", "16384") as server,
        opened(browser, server.url) as (page, watch),
    ):
        watch.allowed = ("ERR_",)
        with slowly(page):
            ask(page, FRANCE)
            expect(page.locator(".reply")).to_contain_text("capital")
            server.kill()

        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.locator(".reply")).to_contain_text("The capital")  # what had come


def test_a_key_is_asked_for_and_kept(browser: Browser, chat: Program) -> None:
    flags = ("-t", "1", "--api-key", "sesame")
    with serve(chat, *flags) as server, browser.new_context() as profile:
        page = profile.new_page()
        page.goto(server.url)
        for key in ("wrong", "sesame"):
            page.get_by_label("Key", exact=True).fill(key)
            page.get_by_role("button", name="Continue").click()
        page.wait_for_selector("body[data-ready]")
        asked(page, FRANCE, PARIS)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        asked(page, JAPAN, TOKYO)


def test_a_question_beyond_the_context_is_refused_in_words(browser: Browser, site: Served) -> None:
    with opened(browser, site.url) as (page, watch):
        watch.allowed = ("400",)
        ask(page, "capital of France " * 400)

        expect(page.locator(".trouble")).to_contain_text("longer than what the model can take in")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_long_prompt_shows_how_far_it_is_read(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, _):
        reading = page.get_by_text(re.compile(r"Reading [\d,]+ of [\d,]+ tokens"))
        with slowly(page):
            ask(page, "capital of France " * 100)
            expect(reading).to_be_visible()
        expect(reading).to_be_hidden()
        page.keyboard.press("Escape")


def test_the_end_stays_in_sight_unless_somebody_reads_above(
    browser: Browser, talkative: Served
) -> None:
    viewport = {"width": 800, "height": 420}
    at_end = "scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 2"
    with opened(browser, talkative.url, viewport=viewport) as (page, _):
        imported(page, dialogue("a\n\n" * 12, "b\n\n" * 12))
        page.locator(".conversations .pick").click()
        expect(page.locator(".message")).to_have_count(2)
        until(page, at_end)
        with slowly(page, 8000):
            ask(page, FRANCE)
            expect(page.locator(".answer").last).to_contain_text("Paris")
            assert page.evaluate(at_end)
            page.locator("#scroller").evaluate("(scroller) => (scroller.scrollTop = 40)")
            expect(page.get_by_role("button", name="Go to the end")).to_be_visible()
            length = "document.querySelector('.answer:last-child .reply').textContent.length"
            before = page.evaluate(length)
            until(page, f"{length} > {before} + 20")
            assert 40 == page.locator("#scroller").evaluate("(scroller) => scroller.scrollTop")
            page.get_by_role("button", name="Go to the end").click()
            assert page.evaluate(at_end)
            page.keyboard.press("Escape")
