"""PDFs: their text in paragraphs, their pages and headings, and those that have none."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from documents import pdf

from bundler.documents.pdf import page_blocks, read_pdf
from bundler.documents.readers import READERS
from runtime import bounds
from runtime.documents.document import Document, Unread
from runtime.documents.folder import walk
from runtime.errors import DocumentError

pytest.importorskip("pypdfium2")


def parts(document: Document) -> list[tuple[str, str, int]]:
    return [(block.kind, block.text, block.page) for block in document.blocks]


def test_lines_become_paragraphs_below_the_headings_of_the_outline() -> None:
    data = pdf(
        [
            [
                "Annual report",
                "The company earned three million euros in the year that ended and it will",
                "grow, so hyphen-",
                "ated words too. It was good.",
                "A second paragraph.",
            ],
            ["2 Outlook", "Next year will be better."],
        ],
        title="Report", date="D:20240503120000+09'00'",
        outline=[("Annual report", 1), ("Outlook", 2)],
    )  # fmt: skip
    document = read_pdf(data, "a.pdf")

    assert ("Report", "2024-05-03", "pdf") == (document.title, document.date, document.kind)
    assert [
        ("heading", "Annual report", 1),
        (
            "paragraph",
            "The company earned three million euros in the year that ended and it will grow, "
            "so hyphenated words too. It was good.",
            1,
        ),
        ("paragraph", "A second paragraph.", 1),
        ("heading", "2 Outlook", 2),
        ("paragraph", "Next year will be better.", 2),
    ] == parts(document)


def test_fonts_that_are_not_in_the_file_are_read() -> None:
    data = pdf([["今日は京都に行った。雨が降", "っていた。"]], japanese=True)

    assert "今日は京都に行った。雨が降っていた。" == read_pdf(data, "a.pdf").text


def test_numbered_lines_and_lines_of_contents_stand_alone() -> None:
    lines = [
        "A line of text that is as long as this one and goes on",
        "in the next one",
        "2.1 Related work",
        "There is some of it, which is told of here and there",
        "Naming. . . . . . . . . . . . . 3",
        "Parsing ............ 14",
    ]
    assert [
        "A line of text that is as long as this one and goes on in the next one",
        "2.1 Related work",
        "There is some of it, which is told of here and there",
        "Naming … 3",
        "Parsing … 14",
    ] == [block.text for block in read_pdf(pdf([lines]), "a.pdf").blocks]


def test_a_paragraph_that_goes_on_on_the_next_page_is_whole() -> None:
    pages = [["It was late and"], ["nobody came. Then", "it rained."], ["Another one"], ["Last."]]

    assert [
        ("paragraph", "It was late and nobody came. Then it rained.", 1),
        ("paragraph", "Another one", 3),
        ("paragraph", "Last.", 4),
    ] == parts(read_pdf(pdf(pages), "a.pdf"))


def test_running_titles_are_kept_once() -> None:
    pages = [["Secret report", f"This is page {word}.", f"- {at} -"] for at, word in
             enumerate("one two three four".split(), 1)]  # fmt: skip
    text = read_pdf(pdf(pages), "a.pdf").text

    assert 1 == text.count("Secret report") == text.count("- ")
    numbers = [[f"This is page {word}.", str(at)] for at, word in enumerate("abcd", 9)]
    assert "12" not in read_pdf(pdf(numbers), "a.pdf").text
    assert 4 == text.count("This is page")


def test_a_heading_that_is_nowhere_stands_at_the_beginning_of_its_page() -> None:
    blocks = list(page_blocks(["Text."], 3, [(2, "Hidden")]))

    assert [("heading", "Hidden", 2, 3), ("paragraph", "Text.", 0, 3)] == [
        (block.kind, block.text, block.level, block.page) for block in blocks
    ]


def test_scanned_pages_are_listed() -> None:
    with pytest.raises(DocumentError, match="it has no text: 2 pages of pictures") as caught:
        read_pdf(pdf([[], []], picture=True), "a.pdf")
    assert "ocrmypdf" in caught.value.hint
    with pytest.raises(DocumentError, match=r"it has no text$"):
        read_pdf(pdf([[], []]), "a.pdf")

    (left,) = read_pdf(pdf([["text"], [], []], picture=True), "a.pdf").unread
    assert ("a.pdf#page 2", 2) == (left.path, left.count)


def test_encrypted_and_damaged_files_are_refused() -> None:
    with pytest.raises(DocumentError, match="it is encrypted"):
        read_pdf(pdf([["text"]], encrypted=True), "a.pdf")
    for data in (b"junk", b"%PDF-1.7\njunk"):
        with pytest.raises(DocumentError, match="it is damaged, or no PDF"):
            read_pdf(data, "a.pdf")


def test_a_pdf_gets_no_more_memory_or_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pdf([["text"]]) + b"%" * (32 << 20)
    assert "text" == read_pdf(data, "a.pdf").text
    monkeypatch.setattr(bounds, "PDF_BYTES", 32 << 20)
    with pytest.raises(DocumentError, match="PDFium fails at it"):
        read_pdf(data, "a.pdf")
    monkeypatch.undo()
    monkeypatch.setattr(bounds, "DOCUMENT_SECONDS", 0)
    with pytest.raises(DocumentError, match="it takes longer than 0 seconds to read"):
        read_pdf(data, "a.pdf")


def test_a_text_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DOCUMENT_TEXT", 3)
    with pytest.raises(DocumentError, match="characters"):
        read_pdf(pdf([["text"]]), "a.pdf")


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(DocumentError, match="which is not installed") as caught:
        read_pdf(pdf([["text"]]), "a.pdf")
    assert "pypdfium2<6" in caught.value.hint


def test_a_folder_is_read_with_all_readers(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([["text"]]))
    (tmp_path / "b.txt").write_text("text")
    (tmp_path / "c.docx").write_bytes(b"junk")

    found = list(walk(tmp_path, READERS))
    assert ["a.pdf", "b.txt"] == [one.path for one in found if isinstance(one, Document)]
    assert ["c.docx"] == [one.path for one in found if isinstance(one, Unread)]
