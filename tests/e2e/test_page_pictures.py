"""Pictures on the page: chosen, pasted and dropped, upright, sent, kept with the conversation."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import imported, opened
from encoded_pictures import exif, jpeg, png, segment
from hostile_pictures import SVG, box
from paths import DEMO, EYE
from photographs import circle_above_square
from playwright.sync_api import Browser, FilePayload, Page, expect
from program import Program
from projectors import write_pair
from servers import Served, serve

from runtime import bounds
from runtime.media.data_url import from_data_url
from runtime.media.picture import read_picture

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
GIVE = """
({kind, name, type, data}) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  const field = document.getElementById("question");
  const about = {bubbles: true, cancelable: true};
  if (kind === "paste") {
    field.dispatchEvent(new ClipboardEvent("paste", {...about, clipboardData: transfer}));
  } else {
    dispatchEvent(new DragEvent("drop", {...about, dataTransfer: transfer}));
  }
}
"""


@pytest.fixture(scope="module")
def seeing(chat: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pair = write_pair(tmp_path_factory.mktemp("seeing"), "llava")
    flags = ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1", "-n", "4")
    with serve(chat, *flags) as running:
        yield running


@pytest.fixture
def page(browser: Browser, seeing: Served) -> Iterator[Page]:
    with opened(browser, seeing.url) as (ready, _):
        yield ready


def file(data: bytes, name: str = "a.png", kind: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page: Page, *files: FilePayload) -> None:
    page.set_input_files("#choose-pictures", list(files))


def give(page: Page, kind: str, data: bytes, name: str = "a.png", type_: str = "image/png") -> None:
    text = base64.b64encode(data).decode()
    page.evaluate(GIVE, {"kind": kind, "name": name, "type": type_, "data": text})


def asked(page: Page, question: str) -> list[dict[str, Any]]:
    """Ask, and return the messages that were sent, once the answer is there."""
    with page.expect_request("**/v1/chat/completions") as sent:
        page.get_by_label("Your question").fill(question)
        page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_be_hidden()
    found: list[dict[str, Any]] = sent.value.post_data_json["messages"]
    return found


def urls(message: dict[str, Any]) -> list[str]:
    return [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]


def size(url: str) -> tuple[str, int, int]:
    found = read_picture(from_data_url(url))
    return found.format, found.width, found.height


def no_violations(page: Page) -> None:
    page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    results = Axe().run(page, options={"runOnly": list(RULES)})
    assert 0 == results.violations_count, results.generate_report()


def test_pictures_are_chosen_pasted_and_dropped_and_sent_before_the_text(page: Page) -> None:
    shown = page.locator("#tray img")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach pictures").click()
    chooser.value.set_files([file(png(40, 30))])
    expect(shown).to_have_count(1)
    give(page, "paste", png(20, 10))
    expect(shown).to_have_count(2)
    give(page, "drop", jpeg(64, 48), "b.jpg", "image/jpeg")
    expect(shown).to_have_count(3)
    expect(page.get_by_alt_text("Picture 1, 40 × 30 pixels")).to_be_visible()
    no_violations(page)

    [message] = asked(page, "What is that?")

    assert ["image_url", "image_url", "image_url", "text"] == [
        part["type"] for part in message["content"]
    ]
    assert [("png", 40, 30), ("png", 20, 10), ("jpeg", 64, 48)] == [
        size(url) for url in urls(message)
    ]
    expect(shown).to_have_count(0)
    expect(page.locator(".question .seen img")).to_have_count(3)
    expect(page.locator(".answer .trouble")).to_have_count(0)
    expect(page.get_by_alt_text("Picture 3 of 3")).to_be_visible()
    no_violations(page)


def test_they_are_removed_by_keyboard_and_a_question_needs_no_text(page: Page) -> None:
    send = page.get_by_role("button", name="Send")
    expect(send).to_be_disabled()
    choose(page, file(png(8, 8)), file(png(9, 9)), file(png(10, 10)))
    expect(page.locator("#tray img")).to_have_count(3)
    page.get_by_role("button", name="Remove picture 3").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove picture 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove picture 1")).to_be_focused()
    expect(send).to_be_enabled()

    [message] = asked(page, "")

    assert [("png", 8, 8)] == [size(url) for url in urls(message)]
    assert 1 == len(message["content"])
    expect(page.locator(".conversations .name")).to_have_text(["Picture"])
    expect(page.locator(".answer .trouble")).to_have_count(0)


def test_they_are_kept_with_the_conversation_and_sent_again(page: Page) -> None:
    choose(page, file(png(40, 30)))
    expect(page.locator("#tray img")).to_have_count(1)
    [first] = asked(page, "What is that?")
    page.reload()
    expect(page.get_by_alt_text("Picture 1 of 1")).to_be_visible()
    until_drawn = "document.querySelector('.seen img').naturalWidth"
    assert 40 == page.evaluate(until_drawn)

    messages = asked(page, "And now?")

    assert first == messages[0]
    assert "And now?" == messages[-1]["content"]
    page.get_by_role("button", name="Edit the question").first.click()
    page.get_by_role("textbox", name="Edit the question").fill("Or that?")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.keyboard.press("Enter")
    [edited] = sent.value.post_data_json["messages"]
    assert urls(first) == urls(edited)
    expect(page.locator("#stop")).to_be_hidden()


def test_they_are_exported_and_imported(browser: Browser, seeing: Served, page: Page) -> None:
    choose(page, file(png(40, 30)))
    expect(page.locator("#tray img")).to_have_count(1)
    asked(page, "What is that?")
    page.get_by_role("button", name="More about What is that?").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export").click()
    document = Path(download.value.path()).read_text(encoding="utf-8")

    with opened(browser, seeing.url) as (other, _):
        imported(other, document)
        expect(other.locator(".toast")).to_contain_text("1 conversation is imported.")
        imported(other, document)  # the same again is still the same
        other.get_by_role("link", name="What is that?").click()
        expect(other.get_by_alt_text("Picture 1 of 1")).to_be_visible()
        assert 40 == other.evaluate("document.querySelector('.seen img').naturalWidth")
        expect(other.locator(".conversations .name")).to_have_count(1)

        hostile = json.loads(document)
        hostile["conversations"][0]["messages"][0]["pictures"][0]["url"] = "https://example.org/a"
        imported(other, json.dumps(hostile))
        expect(other.locator(".toast")).to_contain_text("has a picture that is none")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photographs_are_upright_without_notes_of_the_camera(page: Page, orientation: int) -> None:
    secret = segment(0xE1, b"Exif\0\0" + exif(orientation) + b"52.5 N 13.4 E")
    choose(page, file(jpeg(64, 48, before=secret), "Berlin.jpg", "image/jpeg"))
    expect(page.locator("#tray img")).to_have_count(1)

    [message] = asked(page, "Where is that?")

    [url] = urls(message)
    width, height = (48, 64) if orientation > 4 else (64, 48)
    assert ("jpeg", width, height) == size(url)
    sent = from_data_url(url)
    assert 1 == read_picture(sent).orientation
    assert b"13.4" not in sent and b"Exif" not in sent
    assert "Berlin" not in json.dumps(message)


def test_a_photograph_is_seen_as_the_camera_was_held(browser: Browser, chat: Program) -> None:
    flags = ("-m", str(DEMO), "--mmproj", str(EYE), "-t", "1", "--temp", "0")
    with serve(chat, *flags) as server, opened(browser, server.url) as (page, _):
        choose(page, file(circle_above_square()))
        expect(page.locator("#tray img")).to_have_count(1)
        asked(page, "What do you see?")
        expect(page.locator(".reply")).to_have_text("A red circle above a blue square.")


def test_large_ones_are_made_smaller(page: Page) -> None:
    choose(page, file(png(4000, 1000)), file(png(100, 3000)))
    expect(page.locator("#tray img")).to_have_count(2)

    [message] = asked(page, "")

    assert [(1536, 384), (51, 1536)] == [size(url)[1:] for url in urls(message)]


@pytest.mark.parametrize(
    ("data", "name", "kind", "says"),
    [
        (png()[:-30], "cut.png", "image/png", "cut.png cannot be taken: this browser cannot read"),
        (SVG, "a.svg", "image/svg+xml", "a.svg cannot be taken: this browser cannot read it"),
        (box(b"heic"), "a.heic", "image/heic", "save it as PNG or JPEG"),
        (box(b"heic"), "a.heic", "", "save it as PNG or JPEG"),
        (b"# A title", "a.md", "text/markdown", "a.md cannot be taken: it is not a picture."),
        (b"# A title", "a.md", "", "a.md cannot be taken: it is not a picture."),
    ],
)
def test_what_cannot_be_taken_says_why(
    page: Page, data: bytes, name: str, kind: str, says: str
) -> None:
    choose(page, file(data, name, kind))

    expect(page.locator(".toast")).to_contain_text(says)
    expect(page.locator("#tray img")).to_have_count(0)


def test_a_file_that_is_too_large_is_not_read(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png() + bytes(bounds.PICTURE))
    page.set_input_files("#choose-pictures", path)

    expect(page.locator(".toast")).to_contain_text("it has 33.6 MB, at most 33.6 MB can be taken")


def test_no_more_are_taken_than_fit(page: Page) -> None:
    choose(page, *[file(png(8, 8))] * 9)

    expect(page.locator(".toast")).to_contain_text("A question can have 8 pictures.")
    expect(page.locator("#tray img")).to_have_count(8)


def test_the_size_of_a_request_is_held_before_it_is_sent(browser: Browser, chat: Program,
                                                         tmp_path: Path) -> None:  # fmt: skip
    pair = write_pair(tmp_path, "llava")
    flags = ("-m", str(pair.model), "--mmproj", str(pair.projector), "--max-body", "0.01")
    with serve(chat, *flags) as server, opened(browser, server.url) as (page, _):
        choose(page, file(png(200, 200)), file(png(1500, 1500)))
        expect(page.locator(".toast")).to_contain_text("a question can have 0 MB of pictures")
        expect(page.locator("#tray img")).to_have_count(1)


def test_drafts_keep_their_own(page: Page) -> None:
    choose(page, file(png(8, 8)))
    expect(page.locator("#tray img")).to_have_count(1)
    asked(page, "One")
    choose(page, file(png(9, 9)))
    expect(page.locator("#tray img")).to_have_count(1)
    page.get_by_role("button", name="New conversation").first.click()
    expect(page.locator("#tray img")).to_have_count(0)
    page.get_by_role("link", name="One").click()
    expect(page.locator("#tray img")).to_have_count(1)


def test_on_a_phone(browser: Browser, seeing: Served) -> None:
    with opened(browser, seeing.url, **PHONE) as (page, _):
        choose(page, *[file(png(300, 200))] * 6)
        expect(page.locator("#tray img")).to_have_count(6)
        no_violations(page)
        page.get_by_label("Your question").fill("What is that?")
        page.get_by_role("button", name="Send").tap()
        expect(page.locator("#stop")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        no_violations(page)


def test_a_model_that_does_not_see_is_offered_no_pictures(browser: Browser, site: Served) -> None:
    with opened(browser, site.url) as (page, _):
        expect(page.get_by_role("button", name="Attach pictures")).to_be_hidden()
        give(page, "drop", png())
        expect(page.locator(".toast")).to_contain_text("takes no pictures")
        give(page, "paste", png())
        expect(page.locator("#tray img")).to_have_count(0)
