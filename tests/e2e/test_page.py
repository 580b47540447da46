"""The page in a real browser, served by the produced binary."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import FRANCE, JAPAN, PARIS, TOKYO, ask, asked, dialogue, imported, opened
from paths import ROOT, TESTS
from playwright.sync_api import Browser, Page, expect
from program import Program
from servers import Served

SAMPLE = (TESTS / "texts" / "sample.md").read_text(encoding="utf-8")
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def titles(page: Page) -> list[str]:
    return page.locator(".conversations .name").all_inner_texts()


def menu(page: Page, title: str, choice: str) -> None:
    page.get_by_role("button", name=f"More about {title}").click()
    page.get_by_role("menuitem", name=choice).click()


def test_a_conversation_stays_over_a_reload(page: Page) -> None:
    expect(page.get_by_text("Ask me about capitals.")).to_be_visible()
    asked(page, FRANCE, PARIS)
    asked(page, JAPAN, TOKYO)
    expect(page.locator(".facts").last).to_contain_text("tokens/s")
    expect(page.locator("#meter")).to_contain_text(re.compile(r"\d+ of [\d,]+ tokens"))

    page.reload()

    expect(page.locator(".said")).to_have_text([FRANCE, JAPAN])
    expect(page.locator(".reply")).to_have_text([PARIS, TOKYO])
    expect(page.locator(".facts").last).to_contain_text("tokens/s")
    assert [FRANCE] == titles(page)
    assert page.title().startswith(FRANCE)


def test_an_answer_made_again_and_an_edited_question_keep_what_was(page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator(".answer .which")).to_have_text("2 / 2")
    expect(page.locator("#stop")).to_be_hidden()

    edited = page.get_by_role("textbox", name="Edit the question")
    page.get_by_role("button", name="Edit the question").click()
    edited.fill("nonsense")
    page.keyboard.press("Escape")  # given up, it changes nothing
    expect(page.locator(".said")).to_have_text([FRANCE])
    expect(page.locator(".question .which")).to_have_count(0)
    page.get_by_role("button", name="Edit the question").click()
    edited.fill(JAPAN)
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_have_text([JAPAN])
    expect(page.locator(".reply")).to_have_text([TOKYO])
    expect(page.locator("#stop")).to_be_hidden()

    page.get_by_role("button", name="Earlier question").click()
    expect(page.locator(".said")).to_have_text([FRANCE])
    page.get_by_role("button", name="Earlier answer").click()
    expect(page.locator(".answer .which")).to_have_text("1 / 2")
    expect(page.locator(".reply")).to_have_text([PARIS])

    page.get_by_role("button", name="Later question").click()
    expect(page.locator(".said")).to_have_text([JAPAN])
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, FRANCE)
    told = [message["content"] for message in sent.value.post_data_json["messages"]]
    assert [JAPAN, TOKYO, FRANCE] == told[-3:]  # the branch that is shown
    expect(page.locator("#stop")).to_be_hidden()


def test_conversations_are_named_found_deleted_and_brought_back(page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="New conversation").first.click()
    expect(page.locator(".message")).to_have_count(0)
    asked(page, JAPAN, TOKYO)
    assert [JAPAN, FRANCE] == titles(page)

    menu(page, FRANCE, "Rename")
    page.get_by_label("Title").fill("About Europe")
    page.keyboard.press("Enter")
    expect(page.locator(".conversations .name")).to_have_text([JAPAN, "About Europe"])

    search = page.get_by_label("Search conversations")
    search.fill("tokyo")
    expect(page.locator(".conversations .name")).to_have_text([JAPAN])
    expect(page.locator(".conversations mark")).to_have_text("Tokyo")
    search.fill("paris europe")
    expect(page.locator(".conversations .name")).to_have_text(["About Europe"])
    search.fill("nowhere")
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    search.press("Escape")

    menu(page, "About Europe", "Delete")
    expect(page.locator(".conversations .name")).to_have_text([JAPAN])
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".conversations .name")).to_have_text([JAPAN, "About Europe"])
    page.reload()
    expect(page.locator(".conversations .name")).to_have_text([JAPAN, "About Europe"])
    page.get_by_role("link", name="About Europe").click()
    expect(page.locator(".reply")).to_have_text([PARIS])


def test_what_is_exported_can_be_imported(browser: Browser, site: Served, page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator(".which")).to_have_text("2 / 2")
    expect(page.locator("#stop")).to_be_hidden()
    page.get_by_role("button", name="Settings").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export all").click()
    document = Path(download.value.path()).read_text(encoding="utf-8")

    with opened(browser, site.url) as (other, _):
        imported(other, document)
        expect(other.locator(".toast")).to_contain_text("1 conversation is imported.")
        imported(other, document)  # the same again is still the same
        other.get_by_role("link", name=FRANCE).click()
        expect(other.locator(".reply")).to_have_text([PARIS])
        expect(other.locator(".which")).to_have_text("2 / 2")
        assert [FRANCE] == titles(other)


def test_what_cannot_be_imported_says_why_and_what_was_can_be_deleted(page: Page) -> None:
    reasons = {
        "{": "it is not JSON",
        "{}": "it holds no conversations",
        '{"format": "modelembed conversations", "version": 9}': "version 9; this page reads 1",
        '[{"role": "robot", "content": ""}]': "message 1 is neither a question nor an answer",
        '[{"role": "user"}]': "message 1 has no text",
    }
    for text, reason in reasons.items():
        imported(page, text)
        expect(page.locator(".toast")).to_contain_text(reason)
    expect(page.locator(".conversations .name")).to_have_count(0)

    imported(page, dialogue("one", "1"), dialogue("two", "2"))
    expect(page.locator(".conversations .name")).to_have_count(2)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".conversations .name")).to_have_count(2)
    page.get_by_role("button", name="Delete all").click()
    page.locator("#ask").get_by_role("button", name="Delete all").click()

    expect(page.locator(".conversations .name")).to_have_count(0)


def test_settings_show_the_defaults_and_go_with_the_question(page: Page, site: Served) -> None:
    def sent() -> dict[str, Any]:
        with page.expect_request("**/v1/chat/completions") as request:
            ask(page, FRANCE)
        expect(page.locator("#stop")).to_be_hidden()
        body: dict[str, Any] = request.value.post_data_json
        return body

    assert not {"temperature", "top_k", "seed"} & set(sent())
    page.get_by_role("button", name="Settings").click()
    field = page.get_by_label("Temperature", exact=True)
    expect(field).to_have_value("0")  # what was baked in
    expect(page.get_by_text("(default: 0)").first).to_be_visible()
    field.fill("0.5")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_label("Top-p", exact=True).fill("3")  # cannot be, and is not kept
    page.get_by_label("Longest answer", exact=True).fill("3")
    page.get_by_role("textbox", name="System prompt").fill("Be brief.")
    page.keyboard.press("Escape")

    page.reload()
    body = sent()
    assert (0.5, 7, 3) == (body["temperature"], body["seed"], body["max_tokens"])
    assert "top_p" not in body
    assert {"role": "system", "content": "Be brief."} == body["messages"][0]
    expect(page.get_by_text("Cut off at the longest answer allowed")).to_be_visible()

    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Reset Temperature to 0").click()
    expect(field).to_have_value("0")
    page.get_by_role("button", name="Reset all").click()
    page.get_by_role("button", name="Reset", exact=True).click()
    page.keyboard.press("Escape")
    body = sent()
    assert not {"temperature", "top_k", "seed", "max_tokens"} & set(body)
    assert "Be brief." not in json.dumps(body)


def test_dark_follows_the_system_until_it_is_chosen(page: Page) -> None:
    def dark() -> bool:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 200

    page.emulate_media(color_scheme="light")
    assert not dark()
    page.emulate_media(color_scheme="dark")
    assert dark()
    page.get_by_role("button", name="Switch to light").click()
    assert not dark()
    page.reload()
    expect(page.get_by_role("button", name="Switch to dark")).to_be_visible()
    assert not dark()


def test_enter_that_confirms_a_candidate_does_not_send(page: Page) -> None:
    keys = page.context.new_cdp_session(page)
    question = page.get_by_label("Your question")
    question.focus()
    keys.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    page.keyboard.press("Enter")  # the browser marks it as part of the composition
    expect(page.locator(".message")).to_have_count(0)
    keys.send("Input.insertText", {"text": "日本"})
    # Safari ends the composition first, and sends the key behind it.
    question.evaluate(
        """(field) => {
          const last = new CompositionEvent("compositionend", {data: "日本", bubbles: true});
          const enter = {key: "Enter", code: "Enter", bubbles: true, cancelable: true};
          field.dispatchEvent(last);
          field.dispatchEvent(new KeyboardEvent("keydown", {...enter, keyCode: 229}));
          field.dispatchEvent(last);
          field.dispatchEvent(new KeyboardEvent("keydown", {...enter, keyCode: 13}));
        }"""
    )
    expect(page.locator(".message")).to_have_count(0)
    expect(question).to_have_value(re.compile("^(にほん)?日本$|^日本"))
    page.wait_for_timeout(50)  # longer than the key of a composition is behind its end
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".message")).to_have_count(0)
    page.keyboard.press("Enter")

    expect(page.locator(".said")).to_contain_text("日本")
    expect(page.locator("#stop")).to_be_hidden()


def test_everything_goes_by_keys(page: Page) -> None:
    press = page.keyboard.press
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type(FRANCE)
    press("Enter")
    expect(page.locator(".reply")).to_have_text([PARIS])
    expect(page.locator("#stop")).to_be_hidden()
    press("Alt+r")
    expect(page.locator(".answer .which")).to_have_text("2 / 2")
    expect(page.locator("#stop")).to_be_hidden()
    press("ArrowUp")
    expect(page.get_by_role("textbox", name="Edit the question")).to_be_focused()
    press("ControlOrMeta+a")
    page.keyboard.type(JAPAN)
    press("Enter")
    expect(page.locator(".reply")).to_have_text([TOKYO])
    expect(page.locator("#stop")).to_be_hidden()

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press("Alt+c")
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert TOKYO == page.evaluate("navigator.clipboard.readText()")

    press("Alt+n")
    expect(page.locator(".message")).to_have_count(0)
    expect(page.get_by_label("Your question")).to_be_focused()
    press("Alt+ArrowDown")
    expect(page.locator(".reply")).to_have_text([TOKYO])
    press("ControlOrMeta+k")
    page.keyboard.type("japan")
    expect(page.locator(".conversations mark")).to_have_text("Japan")
    press("ArrowDown")
    press("F2")
    page.keyboard.type("Asia")
    press("Enter")
    expect(page.locator(".conversations .name")).to_have_text(["Asia"])
    expect(page.get_by_role("link", name="Asia")).to_be_focused()
    press("Delete")
    expect(page.locator(".conversations .name")).to_have_count(0)
    press("Alt+z")
    expect(page.locator(".conversations .name")).to_have_text(["Asia"])

    press("ControlOrMeta+/")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


def test_a_phone_has_room_for_everything(browser: Browser, site: Served) -> None:
    with opened(browser, site.url, **PHONE) as (page, _):
        page.get_by_label("Your question").fill(FRANCE)
        page.get_by_role("button", name="Send").tap()
        expect(page.locator(".reply")).to_have_text([PARIS])
        imported(
            page,
            dialogue(
                "wide", "```\n" + "wide " * 99 + "\n```\n\n| a | b |\n|-|-|\n|" + "x" * 99 + "|y|"
            ),
        )
        expect(page.get_by_role("link", name="wide")).to_be_hidden()
        page.get_by_role("button", name="Show the conversations").tap()
        page.get_by_role("link", name="wide").tap()
        expect(page.locator(".answer pre")).to_be_visible()

        assert 390 == page.evaluate("document.documentElement.scrollWidth")
        assert 390 >= page.evaluate("document.querySelector('#scroller').scrollWidth")
        expect(page.get_by_role("link", name="wide")).to_be_hidden()
        page.get_by_role("button", name="New conversation").tap()
        expect(page.locator(".message")).to_have_count(0)


@pytest.mark.parametrize("size, scheme", [("desk", "light"), ("phone", "dark")])
def test_axe_finds_nothing(browser: Browser, site: Served, scheme: str, size: str) -> None:
    device = PHONE if size == "phone" else {}

    def check(page: Page) -> None:
        page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
        results = Axe().run(page, options={"runOnly": list(RULES)})
        assert 0 == results.violations_count, results.generate_report()

    with opened(browser, site.url, color_scheme=scheme, reduced_motion="reduce", **device) as (
        page,
        _,
    ):
        check(page)
        imported(page, dialogue("Tell me.", SAMPLE))
        if device:
            page.get_by_role("button", name="Show the conversations").tap()
        page.locator(".conversations .pick").click()
        expect(page.locator(".hljs-keyword").first).to_be_visible()
        if device:  # what slides in or out is looked at once it is there
            expect(page.locator(".conversations .pick")).to_be_hidden()
        check(page)
        if device:
            page.get_by_role("button", name="Show the conversations").tap()
            expect(page.locator(".conversations .pick")).to_be_in_viewport(ratio=1)
            check(page)
        page.get_by_role("button", name="Settings").click()
        check(page)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Keyboard shortcuts").click()
        check(page)


def test_two_windows_show_the_same(page: Page, site: Served) -> None:
    other = page.context.new_page()
    other.goto(site.url)
    asked(page, FRANCE, PARIS)
    other.get_by_role("link", name=FRANCE).click()
    expect(other.locator(".reply")).to_have_text([PARIS])
    asked(other, JAPAN, TOKYO)

    expect(page.locator(".reply")).to_have_text([PARIS, TOKYO])


def test_the_libraries_have_their_licences(chat: Program) -> None:
    vendor = ROOT / "runtime" / "page" / "vendor"
    packages = json.loads((vendor / "packages.json").read_text())
    shown = chat("licenses").out

    assert {path.name for path in vendor.iterdir() if path.is_dir()} == {
        package["folder"] for package in packages
    }
    for package in packages:
        assert package["name"] in shown
        assert (vendor / package["folder"] / "LICENSE").read_text().strip() in shown
