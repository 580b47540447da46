"""The page in a real browser, served by the produced binary."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import SECONDS, Watch, chromium, opened
from conftest import Program
from playwright.sync_api import Browser, Page, expect
from servers import Served, serve

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
JAPAN, TOKYO = "What is the capital of Japan?", "The capital of Japan is Tokyo."
HOSTILE = (Path(__file__).parent / "texts" / "hostile.md").read_text(encoding="utf-8")
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "--greeting", "Ask me about capitals.") as running:
        yield running


@pytest.fixture(scope="module")
def talkative(chat: Program) -> Iterator[Served]:
    """Return a server that reads word by word, and whose answers only the context ends."""
    flags = ("-t", "1", "--ignore-eos", "-b", "1", "-np", "1", "--queue", "1")
    with serve(chat, *flags) as running:
        yield running


@pytest.fixture
def watched(browser: Browser, server: Served) -> Iterator[tuple[Page, Watch]]:
    with opened(browser, server.url) as pair:
        yield pair


@pytest.fixture
def page(watched: tuple[Page, Watch]) -> Page:
    return watched[0]


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


def titles(page: Page) -> list[str]:
    return page.locator(".conversations .name").all_inner_texts()


def menu(page: Page, title: str, choice: str) -> None:
    page.get_by_role("button", name=f"More about {title}").click()
    page.get_by_role("menuitem", name=choice).click()


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


KEPT = """async () => {
  const {Store} = await import("/page/store.js");
  const [conversation] = await (await Store.open()).all();
  return conversation?.messages[1]?.content.includes("Paris");
}"""


def test_a_reload_in_mid_answer_loses_little(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, _):
        with slowly(page):
            ask(page, FRANCE)
            until(page, KEPT)
            page.reload(wait_until="commit")

        expect(page.locator(".reply")).to_contain_text("Paris")
        expect(page.get_by_text("The page was closed before")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_an_answer_made_again_and_an_edited_question_keep_what_was(page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator(".answer .which")).to_have_text("2 / 2")
    expect(page.locator("#stop")).to_be_hidden()

    page.get_by_role("button", name="Edit the question").click()
    page.get_by_role("textbox", name="Edit the question").fill(JAPAN)
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_have_text([JAPAN])
    expect(page.locator(".reply")).to_have_text([TOKYO])
    expect(page.locator("#stop")).to_be_hidden()

    page.get_by_role("button", name="Earlier question").click()
    expect(page.locator(".said")).to_have_text([FRANCE])
    page.get_by_role("button", name="Earlier answer").click()
    expect(page.locator(".answer .which")).to_have_text("1 / 2")
    expect(page.locator(".reply")).to_have_text([PARIS])


def test_an_edit_given_up_changes_nothing(page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="Edit the question").click()
    page.get_by_role("textbox", name="Edit the question").fill("nonsense")
    page.keyboard.press("Escape")

    expect(page.locator(".said")).to_have_text([FRANCE])
    expect(page.locator(".which")).to_have_count(0)


def test_the_model_is_told_the_branch_that_is_shown(page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="Edit the question").click()
    page.get_by_role("textbox", name="Edit the question").fill(JAPAN)
    page.keyboard.press("Enter")
    expect(page.locator(".reply")).to_have_text([TOKYO])
    expect(page.locator("#stop")).to_be_hidden()
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, FRANCE)

    told = [message["content"] for message in sent.value.post_data_json["messages"]]
    assert [JAPAN, TOKYO, FRANCE] == told[-3:]
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


def test_what_is_exported_can_be_imported(browser: Browser, server: Served, page: Page) -> None:
    asked(page, FRANCE, PARIS)
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator(".which")).to_have_text("2 / 2")
    expect(page.locator("#stop")).to_be_hidden()
    page.get_by_role("button", name="Settings").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export all").click()
    document = Path(download.value.path()).read_text(encoding="utf-8")

    with opened(browser, server.url) as (other, _):
        imported(other, document)
        expect(other.get_by_text("1 conversation is imported.")).to_be_visible()
        imported(other, document)  # the same again is still the same
        other.get_by_role("link", name=FRANCE).click()
        expect(other.locator(".reply")).to_have_text([PARIS])
        expect(other.locator(".which")).to_have_text("2 / 2")
        assert [FRANCE] == titles(other)


def test_all_can_be_deleted_after_a_question(page: Page) -> None:
    imported(page, dialogue("one", "1"), dialogue("two", "2"))
    expect(page.locator(".conversations .name")).to_have_count(2)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".conversations .name")).to_have_count(2)
    page.get_by_role("button", name="Delete all").click()
    page.locator("#ask").get_by_role("button", name="Delete all").click()

    expect(page.locator(".conversations .name")).to_have_count(0)


def test_a_file_that_cannot_be_imported_says_why(page: Page) -> None:
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


def assert_harmless(page: Page) -> None:
    """Fail where the hostile text became more than text."""
    assert not page.evaluate("window.pwned")
    assert page.url.startswith("http://127.0.0.1")
    thread = page.locator("#thread")
    for forbidden in ("script", "iframe", "style", "form", "object", "svg:not(.icon)", "[onerror]"):
        expect(thread.locator(forbidden)).to_have_count(0)
    expect(thread.locator(".text [style], .text [id], .text [class*=toast]")).to_have_count(0)
    sources = thread.locator("img").evaluate_all("all => all.map((img) => img.src)")
    assert all(source.startswith("data:image/") for source in sources)
    for link in thread.locator("a[href]").all():
        assert re.match("https?:|mailto:", link.get_attribute("href") or "")
        assert "noopener" in (link.get_attribute("rel") or "")
    expect(thread).to_contain_text("<script>window.pwned = 1</script>")  # said, not done


def test_hostile_text_of_an_import_is_text(page: Page) -> None:
    imported(page, dialogue(HOSTILE, HOSTILE))
    page.locator(".conversations .pick").click()

    expect(page.locator(".said")).to_have_text(HOSTILE.strip())
    expect(page.get_by_text("The end of what is hostile.").last).to_be_visible()
    assert_harmless(page)


def test_a_hostile_model_is_harmless_and_its_thoughts_are_folded(
    browser: Browser, chat: Program
) -> None:
    thought = "I *weigh* it. <img src=x onerror='window.pwned = 1'>"
    hostile = "\n\n".join([*HOSTILE.split("\n\n")[:4], "[run](javascript:window.pwned=1) end."])
    literal = json.dumps(f"<think>{thought}</think>{hostile}", ensure_ascii=False)
    template = "<think></think>{{ messages[-1].content }}"
    flags = (
        "--grammar",
        f"root ::= {literal}",
        "--chat-template",
        template,
        "-t",
        "1",
        "-c",
        "4096",
    )
    with serve(chat, *flags) as server, opened(browser, server.url) as (page, _):
        ask(page, "Well?")
        expect(page.get_by_text("run end.")).to_be_visible()
        expect(page.locator("#stop")).to_be_hidden()
        expect(page.get_by_text("I weigh it.")).to_be_hidden()
        page.get_by_text("Thought for 1 second").click()
        expect(page.get_by_text("I weigh it.")).to_be_visible()
        expect(page.locator(".thoughts em")).to_have_text("weigh")
        assert_harmless(page)


CUT = """async ({text, cuts}) => {
  const {Blocks} = await import("/page/blocks.js");
  const show = (pieces) => {
    const root = document.createElement("div");
    const blocks = new Blocks(root);
    let shown = "";
    for (const piece of pieces) blocks.update((shown += piece));
    blocks.finish(shown);
    return root.innerHTML;
  };
  await show([text]);  // loads the colours
  await import("/page/vendor/highlight/highlight.js");
  await new Promise((resolve) => setTimeout(resolve));
  const pieces = [];
  for (let at = 0, n = 0; at < text.length; n++) {
    const next = at + cuts[n % cuts.length];
    pieces.push(text.slice(at, next));
    at = next;
  }
  return [show([text]), show(pieces)];
}"""


@pytest.mark.parametrize("cuts", [[1], [3, 1, 7], [40, 200]], ids=str)
def test_what_is_streamed_looks_like_what_is_shown_at_once(page: Page, cuts: list[int]) -> None:
    sample = (Path(__file__).parent / "texts" / "sample.md").read_text(encoding="utf-8")
    text = sample + HOSTILE + (sample.replace("\n", "\r\n") if cuts != [1] else "")
    whole, pieces = page.evaluate(CUT, {"text": text, "cuts": cuts})

    assert whole == pieces


def test_settled_blocks_are_not_drawn_again(page: Page) -> None:
    drawn = page.evaluate(
        """async () => {
          const {Blocks} = await import("/page/blocks.js");
          const root = document.createElement("div");
          const blocks = new Blocks(root);
          let count = 0;
          new MutationObserver((changes) => (count += changes.length))
            .observe(root, {childList: true, subtree: true});
          let text = "";
          for (let n = 0; n < 200; n++) blocks.update((text += `Paragraph ${n}.\\n\\n`));
          await new Promise((resolve) => setTimeout(resolve));
          return count;
        }"""
    )

    assert drawn < 200 * 3


def test_settings_show_the_defaults_and_go_with_the_question(page: Page, server: Served) -> None:
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


def test_escape_stops(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, _):
        with slowly(page):
            ask(page, FRANCE)
            expect(page.locator(".reply")).to_contain_text("capital")
            page.keyboard.press("Escape")

        expect(page.get_by_text("You stopped this answer.")).to_be_visible()


def test_a_phone_has_room_for_everything(browser: Browser, server: Served) -> None:
    with opened(browser, server.url, **PHONE) as (page, _):
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
def test_axe_finds_nothing(browser: Browser, server: Served, scheme: str, size: str) -> None:
    sample = (Path(__file__).parent / "texts" / "sample.md").read_text(encoding="utf-8")
    device = PHONE if size == "phone" else {}

    def check(page: Page) -> None:
        page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
        results = Axe().run(page, options={"runOnly": list(RULES)})
        assert 0 == results.violations_count, results.generate_report()

    with opened(browser, server.url, color_scheme=scheme, reduced_motion="reduce", **device) as (
        page,
        _,
    ):
        check(page)
        imported(page, dialogue("Tell me.", sample))
        if device:
            page.get_by_role("button", name="Show the conversations").tap()
        page.locator(".conversations .pick").click()
        expect(page.locator(".hljs-keyword").first).to_be_visible()
        check(page)
        if device:
            page.get_by_role("button", name="Show the conversations").tap()
            check(page)
        page.get_by_role("button", name="Settings").click()
        check(page)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Keyboard shortcuts").click()
        check(page)


def test_busy_is_said_and_asked_again(browser: Browser, talkative: Served) -> None:
    with opened(browser, talkative.url) as (page, watch):
        watch.allowed = ("503",)
        over = threading.Event()

        def hammer() -> None:
            while not over.is_set():
                talkative.post("/v1/completions", {"prompt": "The", "max_tokens": 500})

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
    with (
        serve(chat, "-t", "1", "--ignore-eos") as server,
        opened(browser, server.url) as (page, watch),
    ):
        watch.allowed = ("ERR_",)
        with slowly(page):
            ask(page, FRANCE)
            expect(page.locator(".reply")).to_contain_text("capital")
            server.kill()

        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.locator(".reply")).to_contain_text("The capital of France")


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


def test_two_windows_show_the_same(page: Page, server: Served) -> None:
    other = page.context.new_page()
    other.goto(server.url)
    asked(page, FRANCE, PARIS)
    other.get_by_role("link", name=FRANCE).click()
    expect(other.locator(".reply")).to_have_text([PARIS])
    asked(other, JAPAN, TOKYO)

    expect(page.locator(".reply")).to_have_text([PARIS, TOKYO])


def test_the_libraries_have_their_licences(chat: Program) -> None:
    vendor = Path(__file__).parent.parent / "runtime" / "page" / "vendor"
    packages = json.loads((vendor / "packages.json").read_text())
    shown = chat("licenses").out

    assert {path.name for path in vendor.iterdir() if path.is_dir()} == {
        package["folder"] for package in packages
    }
    for package in packages:
        assert package["name"] in shown
        assert (vendor / package["folder"] / "LICENSE").read_text().strip() in shown
