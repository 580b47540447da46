"""Word documents and books: what is read of them."""

from __future__ import annotations

import pytest
from documents import WORD, docx, epub, paragraph, zipped

from runtime.documents.document import Document
from runtime.documents.formats.epub import read_epub
from runtime.documents.formats.word import read_docx
from runtime.errors import DocumentError


def parts(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in document.blocks]


def run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def row(*cells: str) -> str:
    return "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in cells) + "</w:tr>"


def listed(text: str, level: int) -> str:
    numbering = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="2"/></w:numPr>'
    return paragraph(text, "", numbering)


def test_a_word_document_has_headings_lists_tables_and_notes() -> None:
    body = (
        paragraph("Trips", "H1")
        + paragraph("We went far away.")
        + paragraph("Kyoto", "Own")
        + paragraph("Plain", "", '<w:outlineLvl w:val="2"/>')
        + paragraph("one", "ListBullet")
        + listed("two", 0)
        + listed("three", 1)
        + paragraph("After the list.")
        + '<w:tbl><w:tblPr><w:tblLook w:firstRow="1"/></w:tblPr>'
        + row("dish", "yen")
        + row("Ramen", "900")
        + "</w:tbl>"
    )
    note = f"<w:footnote>{paragraph('A note.')}</w:footnote>"
    notes = f'<w:footnotes xmlns:w="{WORD}">{note}</w:footnotes>'
    document = read_docx(
        docx(body, title="My trips", date="2024-05-03T10:00:00Z", footnotes=notes), "a/trips.docx"
    )

    assert ("My trips", "2024-05-03", "word") == (document.title, document.date, document.kind)
    assert [
        ("heading", "Trips"),
        ("paragraph", "We went far away."),
        ("heading", "Kyoto"),
        ("heading", "Plain"),
        ("list", "- one\n- two\n  - three"),
        ("paragraph", "After the list."),
        ("table", "dish | yen\nRamen | 900"),
        ("paragraph", "A note."),
    ] == parts(document)
    assert [1, 2, 3] == [block.level for block in document.blocks if block.kind == "heading"]
    assert [1] == [block.head for block in document.blocks if block.kind == "table"]


def test_what_is_under_review_is_read_as_it_would_be_accepted() -> None:
    body = (
        f"<w:p>{run('The ')}<w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        f"<w:ins>{run('new')}</w:ins>"
        f"<w:moveFrom>{run(' gone')}</w:moveFrom><w:moveTo>{run(' moved')}</w:moveTo>"
        f"<w:hyperlink>{run(' link')}</w:hyperlink><w:sdt><w:sdtContent>{run(' field')}"
        "</w:sdtContent></w:sdt><w:r><w:instrText>PAGE</w:instrText><w:tab/><w:t>tab</w:t><w:br/>"
        "<w:t>line</w:t></w:r></w:p>"
    )
    assert [("paragraph", "The new moved link field tab\nline")] == parts(
        read_docx(docx(body), "a.docx")
    )


def test_text_boxes_are_read_once() -> None:
    box = f"<w:txbxContent>{paragraph('in a box')}</w:txbxContent>"
    compatible = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    body = (
        f'<w:p>{run("around")}<w:r><m:AlternateContent xmlns:m="{compatible}"><m:Choice>{box}'
        f"</m:Choice><m:Fallback>{box}</m:Fallback></m:AlternateContent></w:r>{run('it')}</w:p>"
    )
    assert ["around", "in a box", "it"] == [
        block.text for block in read_docx(docx(body), "a.docx").blocks
    ]


def test_pages_are_where_word_has_last_broken_them() -> None:
    broken = "<w:p><w:r><w:lastRenderedPageBreak/><w:t>second</w:t></w:r></w:p>"
    document = read_docx(docx(paragraph("first") + broken + paragraph("also")), "a.docx")
    assert [1, 2, 2] == [block.page for block in document.blocks]

    assert [0] == [block.page for block in read_docx(docx(paragraph("first")), "a.docx").blocks]


def test_an_older_or_encrypted_word_document_is_refused() -> None:
    with pytest.raises(DocumentError, match="it is encrypted, or of an older Word"):
        read_docx(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "a.docx")
    with pytest.raises(DocumentError, match=r"it has no word/document\.xml"):
        read_docx(zipped({"a": b""}), "a.docx")
    with pytest.raises(DocumentError, match="it has no text"):
        read_docx(docx(paragraph("")), "a.docx")


def test_a_book_is_read_in_its_order() -> None:
    chapters = {
        "text/two.xhtml": "<h1>Two</h1><p>Text &amp; more&#160;text.</p>",
        "text/chapter%201.xhtml": "<h2>One</h2><p>雨が降った。</p><script>no</script>",
    }
    document = read_epub(epub(chapters, title="Rain & snow", date="2020-01-02"), "book.epub")

    assert ("Rain & snow", "2020-01-02", "book") == (document.title, document.date, document.kind)
    assert [
        ("heading", "Two"),
        ("paragraph", "Text & more text."),
        ("heading", "One"),
        ("paragraph", "雨が降った。"),
    ] == parts(document)


def encryption(*names: str) -> str:
    references = "".join(
        '<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference '
        f'URI="{name}"/></CipherData></EncryptedData>'
        for name in names
    )
    return f"<encryption>{references}</encryption>"


def test_a_book_that_is_protected_is_refused_or_read_in_part() -> None:
    chapters = {"a.xhtml": "<p>One", "b.xhtml": "<p>Two"}

    def book(*names: str) -> bytes:
        return epub(chapters, **{"META-INF__encryption.xml": encryption(*names)})

    with pytest.raises(DocumentError, match="encrypted against copying"):
        read_epub(book("OEBPS/a.xhtml", "OEBPS/b.xhtml"), "a.epub")
    assert 2 == len(read_epub(book("OEBPS/fonts/a.ttf"), "a.epub").blocks)
    document = read_epub(book("OEBPS/b.xhtml"), "a.epub")
    assert ["One"] == [block.text for block in document.blocks]
    assert [("a.epub#OEBPS/b.xhtml", "it is encrypted")] == [
        (left.path, left.reason) for left in document.unread
    ]


def test_a_book_without_a_list_of_contents_is_refused() -> None:
    for files in (
        {"a": b""},
        {"META-INF/container.xml": b"<container/>"},
        {"META-INF/container.xml": b"<container"},
    ):
        with pytest.raises(DocumentError, match="it is damaged"):
            read_epub(zipped(files), "a.epub")
