"""Archives of strangers: bombs, damage, and XML that would grow."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from documents import docx, epub, paragraph, zipped

from runtime import bounds
from runtime.documents.formats import archive
from runtime.documents.formats.archive import Archive, parse_xml
from runtime.documents.formats.epub import read_epub
from runtime.documents.formats.word import read_docx
from runtime.errors import DocumentError


def test_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UNPACKED", 3_000_000)
    parts = zipped({"a": bytes(2_000_000), "b": bytes(1_000_000), "c": b"x"})
    opened = Archive(parts)
    assert 2_000_000 == len(opened.read("a"))
    assert 1_000_000 == len(opened.read("b"))
    with pytest.raises(DocumentError, match=r"it unpacks to more than 3\.0 MB"):
        opened.read("c")

    bomb = docx(paragraph("x" * 5_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(DocumentError, match=r"it unpacks to more than 3\.0 MB"):
        read_docx(bomb, "a.docx")


def test_a_size_that_is_claimed_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UNPACKED", 100_000)
    data = bytearray(zipped({"a": bytes(1_000_000)}))
    at = data.index(archive.ENTRY)
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")

    with pytest.raises(DocumentError):
        Archive(bytes(data)).read("a")


def test_an_archive_of_too_many_files_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ARCHIVE_FILES", 3)
    names = ["a", "b", "c"]
    assert "c" in Archive(zipped(dict.fromkeys(names, b"")))

    with pytest.raises(DocumentError, match="it claims to contain more than 3 files"):
        Archive(zipped(dict.fromkeys([*names, "d"], b"")))


@pytest.mark.parametrize("data", [b"", b"junk", b"PK\x03\x04junk", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    for read in (read_docx, read_epub):
        with pytest.raises(DocumentError, match="it is damaged") as caught:
            read(data, "a")
        assert caught.value.hint


def test_a_damaged_archive_is_refused_wherever_the_damage_is() -> None:
    data = docx(paragraph("Some text. " * 20))
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            read_docx(bytes(damaged), "a.docx")
        except DocumentError as exc:
            assert re.match(r"it (is|has|unpacks|takes|claims|declares)", exc.problem)
    for length in range(0, len(data), 11):
        with pytest.raises(DocumentError):
            read_docx(data[:length], "a.docx")


def test_an_encrypted_archive_is_refused() -> None:
    data = bytearray(docx(paragraph("text")))
    for mark, place in ((b"PK\x03\x04", 6), (archive.ENTRY, 8)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            data[at + place] |= 1
    with pytest.raises(DocumentError, match="it is encrypted"):
        read_docx(bytes(data), "a.docx")


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx">'
    + "".join(f'<!ENTITY b{n} "{f"&b{n - 1 if n else chr(32).strip()};" * 10}">' for n in range(9))
    + "]><a>&b8;</a>"
)


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (BOMB, "it declares entities"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "declares entities"),
        ("<a><b></a>", "it is damaged"),
        ("", "it is damaged"),
        ('<?xml version="1.0" encoding="nothing"?><a/>', "it is damaged"),
    ],
)
def test_xml_is_read_without_declarations(xml: str, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        parse_xml(xml.encode(), lambda name, attributes: None)


def test_deep_xml_is_read() -> None:
    deep = 30_000
    text = docx("<w:tbl><w:tr><w:tc>" * deep + paragraph("in") + "</w:tc></w:tr></w:tbl>" * deep)
    assert "in" == read_docx(text, "a.docx").text

    text = epub({"a.xhtml": "<div>" * deep + "in"})
    assert "in" == read_epub(text, "a.epub").text


def test_other_kinds_of_compression_are_refused() -> None:
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", kind) as written:
            written.writestr("a", "text")
        if kind != zipfile.ZIP_BZIP2:
            assert b"text" == Archive(buffer.getvalue()).read("a")
            continue
        with pytest.raises(DocumentError, match="it is compressed in an unusual way"):
            Archive(buffer.getvalue()).read("a")
