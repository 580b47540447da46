"""What a stranger's document may cost: to each bound, and beyond."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runtime import bounds
from runtime.documents import time_limit
from runtime.documents.chunking import Chunking
from runtime.documents.cutting import cut
from runtime.documents.document import Block, Document, made
from runtime.documents.folder import walk
from runtime.documents.formats.html_page import read_html
from runtime.documents.reading import READERS, read
from runtime.errors import DocumentError, UsageError


def test_a_folder_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "DOCUMENTS", 3)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("text")
    assert 3 == len(list(walk(tmp_path)))

    (tmp_path / ".hidden").write_text("text")
    with pytest.raises(UsageError, match="has more than 3 files"):
        list(walk(tmp_path))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with open(path, "wb") as file:
        file.truncate(bounds.DOCUMENT + 1)
    with pytest.raises(DocumentError, match=r"it has more than 536\.9 MB"):
        read(path)


def test_a_text_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DOCUMENT_TEXT", 1_000_002)
    assert 1_000_000 == len(made("a", "text", [Block("paragraph", "x" * 1_000_000)]).text)

    with pytest.raises(DocumentError, match="it has more than 1 million characters"):
        made("a", "text", [Block("paragraph", "x" * 1_000_001)])


def test_too_many_paragraphs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DOCUMENT_BLOCKS", 3)
    assert 3 == len(READERS[".txt"](b"a\n\nb\n\nc", "a.txt").blocks)

    with pytest.raises(DocumentError, match="it has more than 3 paragraphs"):
        READERS[".txt"](b"a\n\nb\n\nc\n\nd", "a.txt")


def test_reading_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>text " * 30_000)
    assert read(path).blocks

    monkeypatch.setattr(bounds, "DOCUMENT_SECONDS", 0.001)
    with pytest.raises(DocumentError, match=r"it takes longer than 0\.001 seconds to read"):
        read(path)
    time_limit.check_time()  # outside, there is no limit


def test_what_never_ends_is_passed_over() -> None:
    for endless in ("<p title='", "<!-- ", "<!doctype ", "<p ", "<script>", "</p "):
        page = f"<p>text{endless}{'x' * 1_000_000}"
        assert "text" == read_html(page.encode(), "a.html").text


def test_tables_in_tables_are_taken_for_what_they_contain() -> None:
    def nested(levels: int) -> Document:
        text = "<table><tr><td>a<td>b<tr><td>c<td>"
        return read_html((text * levels + "x" + "</table>" * levels + "end").encode(), "a.html")

    assert "table" in {block.kind for block in nested(bounds.TABLE_NESTING).blocks}
    deep = nested(5_000)
    assert 5_000 == deep.text.count("a") == deep.text.count("c")
    assert deep.text.endswith("end")


HOSTILE = {
    ".html": [
        "<div>" * 100_000, "<b" * 100_000, "<!--" * 100_000, "</" * 100_000, "&#" * 100_000,
        "<ul><li>" * 50_000, "<table><tr><td>" * 50_000, "<a href='" * 50_000, "<nav>" * 100_000,
        "\n" * 300_000 + "x", "<pre>" * 100_000, "<![CDATA[" * 50_000,
    ],
    ".md": [
        "#" * 300_000, "> " * 100_000, "- " * 100_000, "`" * 300_000,
        "|" * 300_000 + "\n" + "|-" * 100_000,
        "a|b\n" + " " * 300_000 + "-x", "<!--\n" * 50_000, "![" * 100_000, "![](data:" * 30_000,
        "---\n" * 50_000, "---\n" + "a" * 300_000 + ":", "=\n" * 100_000, "a\n=\n" * 50_000,
        "* * " * 50_000 + "x", "\t" * 300_000 + "x", "1." * 100_000, "```\n" * 50_000,
    ],
    ".txt": ["x" * 1_000_000, "雨" * 300_000, "a\n" * 100_000, "(" * 300_000, "e\u0301" * 100_000,
             "a" + "\u0301" * 300_000, "\f" * 300_000 + "x",
             "2024-" * 100_000, " " * 300_000 + "x"],
    ".csv": ['"' * 100_001, "," * 300_000 + "x", "a,b\n" * 50_000, '"a\n' * 50_000, "x" * 200_000],
    ".jsonl": ["[" * 300_000, '{"a":' * 100_000, "9" * 100_000, '{"text": "x"}\n' * 20_000,
               '{"a": [' + '{"b": "c"},' * 20_000 + "1]}"],
    ".eml": [
        "From: a\nTo: " + "<a@b>, " * 50_000 + "\n\ntext",
        "From: " + "=?utf-8?q?a?= " * 20_000 + "\n\nx",
        "From: a\nDate: " + "(" * 100_000 + "\n\nx", "From: a\n" * 50_000 + "\nx",
        'From: a\nContent-Type: multipart/mixed; boundary=x\n\n' + "--x\n\na\n" * 20_000,
        "From: a\nContent-Type: text/plain; " + "a*0=b; " * 20_000 + "\n\nx",
        'From: a\nContent-Type: text/plain; charset="' + "x" * 10_000 + '"\n\nü',
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "text"),
    [(suffix, text) for suffix, texts in HOSTILE.items() for text in texts],
    ids=lambda value: value[:12],
)
def test_hostile_texts_are_read_and_cut_or_refused_in_seconds(
    suffix: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    begin = time.thread_time()
    try:
        document = read(path)
    except DocumentError as exc:
        assert exc.hint
        return
    assert time.thread_time() - begin < 5
    begin = time.thread_time()
    for piece in cut(document, Chunking()):
        assert len(piece.text) <= 400
    assert time.thread_time() - begin < 5
