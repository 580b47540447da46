"""Sources on the page: cards below an answer, links to them, and the passage in its document."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import ask, imported, opened
from diaries import FOUND_NOTHING, NOTHING, RAIN, made, talking_model
from playwright.sync_api import Browser, Page, expect
from program import Program
from servers import Served, serve

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def served(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("diary")
    with serve(made(modelembed, talking_model(folder / "talker.gguf"), folder)) as running:
        yield running


@pytest.fixture
def diary(browser: Browser, served: Served) -> Iterator[Page]:
    with opened(browser, served.url) as (ready, _):
        yield ready


def answered(page: Page) -> None:
    page.get_by_label("Your question").fill(RAIN)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator(".source")).to_have_count(2)


def no_violations(page: Page) -> None:
    page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    results = Axe().run(page, options={"runOnly": list(RULES)})
    assert 0 == results.violations_count, results.generate_report()


def test_citations_lead_to_cards_and_these_to_passages(diary: Page) -> None:
    expect(diary.get_by_text("Ask about the documents in this program.")).to_be_visible()
    answered(diary)

    expect(diary.locator(".reply .citation")).to_have_text(["1", "2"])
    expect(diary.locator(".reply p")).to_have_text("It rained in May [1], not in June [2].")
    expect(diary.locator(".reply pre")).to_have_text("row [7]")
    address = diary.url
    diary.locator(".reply .citation").nth(1).press("Enter")
    expect(diary.locator(".source").nth(1)).to_be_focused()
    assert address == diary.url

    card = diary.locator(".source", has_text="2024-05-03")
    expect(card).to_contain_text("It did rain all day in Kyoto")
    card.press("Enter")
    expect(diary.get_by_role("dialog")).to_contain_text("diary/may.md · 2024-05-03")
    mark = diary.locator(".document-text mark")
    expect(mark).to_have_text("It did rain all day in Kyoto, they say. 傘を買った。𝕜 is a letter.")
    expect(mark).to_be_in_viewport()
    expect(diary.locator(".document-text")).to_contain_text("Kyoto\n")
    no_violations(diary)
    diary.keyboard.press("Escape")
    expect(card).to_be_focused()


def test_they_are_kept_with_the_conversation(diary: Page) -> None:
    answered(diary)
    diary.reload()

    expect(diary.locator(".source")).to_have_count(2)
    expect(diary.locator(".reply .citation")).to_have_text(["1", "2"])
    with diary.expect_download() as download:
        diary.get_by_role("button", name="More about").first.click()
        diary.get_by_role("menuitem", name="Export").click()
    exported = json.loads(download.value.path().read_text(encoding="utf-8"))
    (conversation,) = exported["conversations"]
    conversation.update(id="another", title="Another", titled=True)
    source = conversation["messages"][-1]["sources"][0]
    source.update(text="Not there any more.", title="<b>Old</b>", page=4)
    imported(diary, json.dumps(exported))
    diary.get_by_role("link", name="Another").click()

    expect(diary.locator(".source").first).to_contain_text("<b>Old</b>")
    expect(diary.locator(".source").first).to_contain_text("page 4")
    diary.locator(".source").first.click()
    expect(diary.get_by_role("dialog")).to_contain_text("The documents have changed since")
    expect(diary.locator(".document-text mark")).to_have_text("Not there any more.")


def test_nothing_found_has_no_cards(diary: Page) -> None:
    ask(diary, NOTHING)

    expect(diary.locator(".reply")).to_have_text(FOUND_NOTHING)
    expect(diary.locator("#stop")).to_be_hidden()
    expect(diary.locator(".sources")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_fit_narrow_screens(browser: Browser, served: Served, scheme: str) -> None:
    with opened(browser, served.url, color_scheme=scheme, reduced_motion="reduce", **PHONE) as (
        page,
        _,
    ):
        answered(page)

        no_violations(page)
        assert 390 == page.evaluate("document.documentElement.scrollWidth")
        assert 390 >= page.evaluate("document.querySelector('#scroller').scrollWidth")
        page.locator(".source").first.tap()
        expect(page.locator(".document-text mark")).to_be_in_viewport()
        no_violations(page)
